# Stores -> runs. A run that was killed left partial.pt beside its outputs and resumes from there. `update`: Snakemake
# removes no outputs before a job. The trainer keeps a complete run, which a job of an earlier, killed workflow may have
# left, and replaces it if pre-training was forced or the data differ.


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
    priority: of(targets.priority, "run")
    conda:
        ENVIRONMENT
    container:
        None  # the launcher stays outside, where Slurm's commands are, and enters the container
    threads: TARGETS.threads("pretrain", 1)
    resources:
        **TARGETS.requests("pretrain", mem_mb=4000, runtime=60, gpu=gpus_of_run),
    params:
        folder=lambda wildcards, output: Path(output.checkpoint).parent,
        arguments=of(TARGETS.run_arguments, "run"),
        # resources: other protocols train nothing again
        scored_by=lambda wildcards, resources: TARGETS.scored_by(*wildcards),
        launcher=launcher,
    shell:
        "{params.launcher} python -m cld.runtime.warm train --preset {wildcards.preset} {params.arguments} --store {input.store:q}"
        " --scored-by {params.scored_by:q} --run-dir {params.folder:q} --replace-before $CLD_REPLACE_BEFORE --device $CLD_DEVICE > {log:q} 2>&1"
