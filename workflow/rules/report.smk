# What there is to do, and what is done: these print what they log.
localrules:
    plan,
    tables_now,


rule plan:
    log:
        f"{LOG}/plan.log".format(preset=PRESET),
    conda:
        ENVIRONMENT
    params:
        preset=PRESET,
        results=RESULTS,
    shell:
        "python -m cld.plan --preset {params.preset} --results {params.results} 2>&1 | tee {log}"


rule tables_now:
    log:
        f"{LOG}/tables_now.log".format(preset=PRESET),
    conda:
        ENVIRONMENT
    params:
        preset=PRESET,
        results=RESULTS,
    shell:
        "python -m cld.tables.now --preset {params.preset} --results {params.results} 2>&1 | tee {log}"
