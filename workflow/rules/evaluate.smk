# Runs -> scores, and the baselines that need no run.


rule evaluate:
    input:
        store=store_of("subject"),
        checkpoint=f"{RESULTS}/{{preset}}/runs/{{subject}}/checkpoint.pt",
    output:
        SCORE,
    log:
        f"{LOG}/evaluate/{{subject}}.{{protocol}}.log",
    benchmark:
        f"{BENCHMARK}/evaluate/{{subject}}.{{protocol}}.tsv"
    wildcard_constraints:
        protocol="knn",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda wildcards: settings.load_protocol(wildcards.preset, wildcards.protocol),
    shell:
        "python -m cld.evaluation {wildcards.protocol} --preset {wildcards.preset} --store {input.store}"
        " --checkpoint {input.checkpoint} --score {output} > {log} 2>&1"


rule evaluate_store:
    input:
        store=f"{RESULTS}/{{preset}}/stores/{{subject}}.h5",
    output:
        SCORE,
    log:
        f"{LOG}/evaluate/{{subject}}.{{protocol}}.log",
    benchmark:
        f"{BENCHMARK}/evaluate/{{subject}}.{{protocol}}.tsv"
    wildcard_constraints:
        protocol="|".join(STORE_PROTOCOLS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda wildcards: settings.load_protocol(wildcards.preset, wildcards.protocol),
    shell:
        "python -m cld.evaluation {wildcards.protocol} --preset {wildcards.preset} --store {input.store}"
        " --score {output} > {log} 2>&1"
