# Stores -> runs. A run that was killed left partial.pt beside its outputs and goes on from there. Snakemake removes a
# job's log at each start; what a run has said since its first start stays in its folder, where the log points to.


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
        gpu=gpus_of_run,
    params:
        folder=lambda wildcards, output: Path(output.checkpoint).parent,
        arguments=of(TARGETS.run_arguments, "run"),
        launcher=launcher,
        said=lambda wildcards: f"../../runs/{wildcards.run}/output.log",
    shell:
        "ln -sf {params.said} {log} && {params.launcher} $CLD_CONTAINER {CLD} train"
        " --preset {wildcards.preset} {params.arguments} --store {input.store} --run-dir {params.folder} >> {log} 2>&1"
