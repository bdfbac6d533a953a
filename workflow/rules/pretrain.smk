# Stores -> runs. A run that was killed left partial.pt beside its outputs and goes on from there.


rule pretrain:
    input:
        store=store_of("run"),
    output:
        checkpoint=f"{RUN}/checkpoint.pt",
        log=f"{RUN}/log.csv",
        config=f"{RUN}/config.yaml",
    log:
        f"{LOG}/pretrain/{{run}}.log",
    benchmark:
        f"{BENCHMARK}/pretrain/{{run}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=gpus_of_run,
    params:
        folder=lambda wildcards, output: Path(output.checkpoint).parent,
        arguments=run_arguments,
        launcher=launcher,
    shell:
        "{params.launcher} python -m cld.training --preset {wildcards.preset} {params.arguments}"
        " --store {input.store} --run-dir {params.folder} >> {log} 2>&1"
