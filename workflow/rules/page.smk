# Everything on one page, and as a PDF.


localrules:
    supplement,  # a TeX is where people work


rule index:
    input:
        rules.all_stores.input,
        TARGETS.table_files(PRESET, TARGETS.available_tables(PRESET)),
        TARGETS.figure_files(PRESET, TARGETS.available_figures(PRESET)),
    output:
        f"{RESULTS}/{PRESET}/index.html",
    log:
        f"{LOG}/index.log".format(preset=PRESET),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        preset=PRESET,
        results=lambda wildcards, output: Path(output[0]).parents[1],
        tables=TARGETS.available_tables(PRESET),
    shell:
        "python -m cld.runtime.warm page --preset {params.preset:q} --results {params.results:q} --tables {params.tables:q}"
        " --out {output:q} > {log:q} 2>&1"


rule supplement:  # the supplement's tables and figures as one PDF, where there is a TeX
    input:
        expand(
            f"{RESULTS}/{PRESET}/tables/{{table}}.tex",
            table=TARGETS.supplement_tables(PRESET),
        ),
        expand(
            f"{RESULTS}/{PRESET}/figures/{{figure}}.pdf",
            figure=TARGETS.supplement_figures(PRESET),
        ),
    output:
        multiext(f"{RESULTS}/{PRESET}/supplement", ".pdf", ".tex"),
    log:
        f"{LOG}/supplement.log".format(preset=PRESET),
    conda:
        ENVIRONMENT
    container:
        None  # its image has no TeX
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        preset=PRESET,
        results=lambda wildcards, output: Path(output[0]).parents[1],
    shell:
        "python -m cld.runtime.warm supplement --preset {params.preset:q} --results {params.results:q} > {log:q} 2>&1"
