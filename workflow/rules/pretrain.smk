# Stores -> runs. A run that was killed left partial.pt beside its outputs and goes on from there.


rule pretrain:
    input:
        store=ancient(store_of("run")),
        checksum=checksum_of("run"),
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
    container:
        None  # its launcher cannot start inside: the command itself goes into the container
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        launcher="",
    params:
        folder=lambda wildcards, output: Path(output.checkpoint).parent,
        arguments=run_arguments,
    shell:
        "{resources.launcher} $CLD_CONTAINER python -m cld.training --preset {wildcards.preset} {params.arguments}"
        " --store {input.store} --run-dir {params.folder} >> {log} 2>&1"
