# Runs -> scores, and the baselines that need no run.


rule all_evaluations:
    input:
        lambda wildcards: [f"{RESULTS}/{score}" for score in or_exit(scores_of_evaluations, PRESET)],


rule evaluate:
    input:
        store=ancient(store_of("subject")),
        checksum=checksum_of("subject"),
        checkpoint=CHECKPOINT,
    output:
        SCORE,
    log:
        f"{LOG}/evaluate/{{subject}}.{{protocol}}.log",
    benchmark:
        f"{BENCHMARK}/evaluate/{{subject}}.{{protocol}}.tsv"
    wildcard_constraints:
        protocol="|".join(name for name in RUN_PROTOCOLS if name not in RESUMABLE),
    priority: of(targets.priority, "subject")
    conda:
        ENVIRONMENT
    threads: TARGETS.threads("evaluate", 1)
    resources:
        **TARGETS.requests("evaluate", mem_mb=4000, runtime=30),
    params:
        settings=lambda wildcards: settings.load_protocol(wildcards.preset, wildcards.protocol),
    shell:
        "python -m cld.runtime.warm evaluate {wildcards.protocol} --preset {wildcards.preset} --store {input.store:q}"
        " --checkpoint {input.checkpoint:q} --score {output:q} --device $CLD_DEVICE > {log:q} 2>&1"


rule linear_published:
    input:
        store=ancient(store_of("subject")),
        checksum=checksum_of("subject"),
        checkpoint=CHECKPOINT,
    output:
        f"{SCORES}/linear_published.json",
    log:
        f"{LOG}/evaluate/{{subject}}.linear_published.log",
    benchmark:
        f"{BENCHMARK}/evaluate/{{subject}}.linear_published.tsv"
    priority: of(targets.priority, "subject")
    conda:
        ENVIRONMENT
    container:
        None  # see pretrain
    threads: TARGETS.threads("linear_published", 1)
    resources:
        **TARGETS.requests("linear_published", mem_mb=4000, runtime=120),
    params:
        settings=lambda wildcards: settings.load_protocol(wildcards.preset, "linear_published"),
        launcher=launcher,
    shell:
        "{params.launcher} python -m cld.runtime.warm evaluate linear_published"
        " --preset {wildcards.preset} --store {input.store:q} --checkpoint {input.checkpoint:q} --score {output:q}"
        " --device $CLD_DEVICE > {log:q} 2>&1"


rule evaluate_store:
    input:
        store=ancient(f"{RESULTS}/{{preset}}/stores/{{subject}}.h5"),
        checksum=f"{RESULTS}/{{preset}}/stores/{{subject}}.h5.sha256",
    output:
        SCORE,
    log:
        f"{LOG}/evaluate/{{subject}}.{{protocol}}.log",
    benchmark:
        f"{BENCHMARK}/evaluate/{{subject}}.{{protocol}}.tsv"
    wildcard_constraints:
        protocol="|".join(STORE_PROTOCOLS),
    priority: of(targets.priority, "subject")
    conda:
        ENVIRONMENT
    threads: TARGETS.threads("evaluate_store", 1)
    resources:
        **TARGETS.requests("evaluate_store", mem_mb=4000, runtime=30),
    params:
        settings=lambda wildcards: settings.load_protocol(wildcards.preset, wildcards.protocol),
    shell:
        "python -m cld.runtime.warm evaluate {wildcards.protocol} --preset {wildcards.preset} --store {input.store:q}"
        " --score {output:q} > {log:q} 2>&1"


rule detect:
    input:
        store=ancient(f"{RESULTS}/{{preset}}/stores/{{objects}}.h5"),
        checksum=f"{RESULTS}/{{preset}}/stores/{{objects}}.h5.sha256",
        checkpoint=CHECKPOINT,
    output:
        score=f"{SCORES}/detection_{{objects}}.json",
        pictures=f"{SCORES}/detection_{{objects}}.png",
    log:
        f"{LOG}/evaluate/{{subject}}.detection_{{objects}}.log",
    benchmark:
        f"{BENCHMARK}/evaluate/{{subject}}.detection_{{objects}}.tsv"
    wildcard_constraints:
        objects="|".join(targets.detection_datasets()),
    priority: of(targets.priority, "subject")
    conda:
        ENVIRONMENT
    container:
        None  # see pretrain
    threads: TARGETS.threads("detect", 1)
    resources:
        **TARGETS.requests("detect", mem_mb=8000, runtime=120),
    params:
        settings=lambda wildcards: settings.load_protocol(wildcards.preset, "detection"),
        launcher=launcher,
    shell:
        "{params.launcher} python -m cld.runtime.warm evaluate detection"
        " --preset {wildcards.preset} --store {input.store:q} --checkpoint {input.checkpoint:q} --score {output.score:q}"
        " --device $CLD_DEVICE > {log:q} 2>&1"


rule semisup_subset:
    input:
        store=ancient(f"{RESULTS}/{{preset}}/stores/{{dataset}}.h5"),
        checksum=f"{RESULTS}/{{preset}}/stores/{{dataset}}.h5.sha256",
    output:
        f"{STORE}.semisup_{{percent}}-s{{seed}}.json",
    log:
        f"{LOG}/evaluate/{{dataset}}.semisup_{{percent}}-s{{seed}}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        share=lambda wildcards: int(wildcards.percent) / 100,
        held_out=lambda wildcards: settings.load_protocol(wildcards.preset, "semisup")["held_out_share"],
    shell:
        "python -m cld.runtime.warm semisup subset --preset {wildcards.preset} --store {input.store:q}"
        " --share {params.share:q} --seed {wildcards.seed} --out {output:q} > {log:q} 2>&1"


rule semisup_trial:
    input:
        store=ancient(store_of("subject")),
        checksum=checksum_of("subject"),
        checkpoint=CHECKPOINT,
        subset=of(TARGETS.semisup_subset, "subject", "percent"),
    output:
        report=f"{SCORES}/semisup_{{percent}}/lr{{lr}}-head{{multiplier}}.json",
        network=temp(f"{SCORES}/semisup_{{percent}}/lr{{lr}}-head{{multiplier}}.pt"),
    log:
        f"{LOG}/evaluate/{{subject}}.semisup_{{percent}}.lr{{lr}}-head{{multiplier}}.log",
    benchmark:
        f"{BENCHMARK}/evaluate/{{subject}}.semisup_{{percent}}.lr{{lr}}-head{{multiplier}}.tsv"
    priority: of(targets.priority, "subject")
    conda:
        ENVIRONMENT
    container:
        None  # see pretrain
    threads: TARGETS.threads("semisup_trial", 1)
    resources:
        **TARGETS.requests("semisup_trial", mem_mb=4000, runtime=60),
    params:
        settings=lambda wildcards: settings.load_protocol(wildcards.preset, "semisup"),
        launcher=launcher,
    shell:
        "{params.launcher} python -m cld.runtime.warm semisup trial"
        " --preset {wildcards.preset} --store {input.store:q} --checkpoint {input.checkpoint:q}"
        " --subset {input.subset:q} --lr {wildcards.lr}"
        " --head-multiplier {wildcards.multiplier} --out {output.report:q} --device $CLD_DEVICE > {log:q} 2>&1"


rule semisup:
    input:
        unpack(of(TARGETS.semisup_trials, "subject", "percent")),
        store=ancient(store_of("subject")),
        checksum=checksum_of("subject"),
    output:
        f"{SCORES}/semisup_{{percent}}.json",
    log:
        f"{LOG}/evaluate/{{subject}}.semisup_{{percent}}.log",
    benchmark:
        f"{BENCHMARK}/evaluate/{{subject}}.semisup_{{percent}}.tsv"
    priority: of(targets.priority, "subject")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "python -m cld.runtime.warm semisup choose --preset {wildcards.preset} --store {input.store:q}"
        " --trials {input.reports:q} --score {output:q} --device $CLD_DEVICE > {log:q} 2>&1"
