# Everything on one page.


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
