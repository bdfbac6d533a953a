# Stores -> runs. A run that was killed left partial.pt beside its outputs and resumes from there. `update`: Snakemake
# removes no outputs. The trainer replaces a complete run, unless another job has completed it since this workflow began.


rule pretrain:
    input:
        store=ancient(store_of("run")),
        checksum=checksum_of("run"),
    output:
        checkpoint=update(f"{RUN}/checkpoint.pt"),
        log=update(f"{RUN}/log.csv"),
        config=update(f"{RUN}/config.yaml"),
    log:
        f"{LOG}/pretrain/{{run}}.log",
    benchmark:
        f"{BENCHMARK}/pretrain/{{run}}.tsv"
    conda:
        ENVIRONMENT
    container:
        None  # the launcher stays outside, where Slurm's commands are, and enters the container
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=gpus_of_run,
    params:
        folder=lambda wildcards, output: Path(output.checkpoint).parent,
        arguments=of(TARGETS.run_arguments, "run"),
        launcher=launcher,
    shell:
        "{params.launcher} python -m cld.runtime.warm train --preset {wildcards.preset} {params.arguments} --store {input.store}"
        " --run-dir {params.folder} --replace-before $CLD_STARTED > {log} 2>&1"
