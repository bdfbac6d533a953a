# Scores -> cells -> tables.


rule all_tables:  # that the supplement prints
    input:
        TARGETS.table_files(PRESET, TARGETS.supplement_tables(PRESET)),


for name in table_names():  # each by its name: snakemake table_methods

    rule:
        name:
            name
        input:
            TARGETS.table_files(PRESET, [name]),


rule cell:
    input:
        of(TARGETS.cell_scores, "table", "row", "column"),
    output:
        f"{RESULTS}/{{preset}}/cells/{{table}}/{{row}}/{{column}}.json",
    log:
        f"{LOG}/cells/{{table}}.{{row}}.{{column}}.log",
    benchmark:
        f"{BENCHMARK}/cells/{{table}}.{{row}}.{{column}}.tsv"
    priority: SOON
    conda:
        ENVIRONMENT
    threads: TARGETS.threads("cell", 1)
    resources:
        **TARGETS.requests("cell", mem_mb=500, runtime=5),
    params:
        cell=lambda wildcards: repr(
            targets.tables(wildcards.preset)[wildcards.table].cell(wildcards.row, wildcards.column)
        ),
    shell:
        "python -m cld.runtime.warm cell --preset {wildcards.preset} --table {wildcards.table} --row {wildcards.row:q}"
        " --column {wildcards.column:q} --scores {input:q} --out {output:q} > {log:q} 2>&1"


rule table:
    input:
        of(TARGETS.table_cells, "table"),
    output:
        multiext(TABLE, ".csv", ".md", ".tex"),
        html=report(
            f"{TABLE}.html", caption=CAPTION, category="Tables", labels={"table": "{table}", "as": "page"}
        ),
        png=report(
            f"{TABLE}.png", caption=CAPTION, category="Tables", labels={"table": "{table}", "as": "picture"}
        ),
    log:
        f"{LOG}/tables/{{table}}.log",
    benchmark:
        f"{BENCHMARK}/tables/{{table}}.tsv"
    priority: SOON
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        table=lambda wildcards: repr(targets.tables(wildcards.preset)[wildcards.table]),
        caption=of(targets.report_caption, "table"),
        results=lambda wildcards, output: Path(output[0]).parents[2],
    shell:
        "python -m cld.runtime.warm tables --preset {wildcards.preset} --tables {wildcards.table}"
        " --results {params.results:q} > {log:q} 2>&1"
