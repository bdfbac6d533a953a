# What there is to do, and what is done.
localrules:
    plan,
    status,
    tables_now,
    index_now,


rule index:
    input:
        rules.all_stores.input,
        rules.all_tables.input,
        rules.all_figures.input,
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
        tables=tables_available(PRESET),
    shell:
        "python -m cld page --preset {params.preset} --results {params.results} --tables {params.tables}"
        " --out {output} > {log} 2>&1"


# These print what they log, and may run while others' jobs do.
rule index_now:
    log:
        f"{LOG}/index_now.log".format(preset=PRESET),
    conda:
        ENVIRONMENT
    params:
        preset=PRESET,
        results=RESULTS,
        tables=tables_available(PRESET),
    shell:
        "python -m cld page --preset {params.preset} --results {params.results} --tables {params.tables}"
        " --out {params.results}/{params.preset}/index.html 2>&1 | tee {log}"


rule plan:
    log:
        f"{LOG}/plan.log".format(preset=PRESET),
    conda:
        ENVIRONMENT
    params:
        preset=PRESET,
        results=RESULTS,
    shell:
        "python -m cld plan --preset {params.preset} --results {params.results} 2>&1 | tee {log}"


rule status:
    log:
        f"{LOG}/status.log".format(preset=PRESET),
    conda:
        ENVIRONMENT
    params:
        preset=PRESET,
        results=RESULTS,
    shell:
        "python -m cld status --preset {params.preset} --results {params.results} 2>&1 | tee {log}"


rule tables_now:
    log:
        f"{LOG}/tables_now.log".format(preset=PRESET),
    conda:
        ENVIRONMENT
    params:
        preset=PRESET,
        results=RESULTS,
    shell:
        "python -m cld tables --now --preset {params.preset} --results {params.results} 2>&1 | tee {log}"
