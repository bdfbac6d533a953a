# Checkpoints that others trained -> runs; runs -> files for torchvision and timm.


rule all_imports:
    input:
        [TARGETS.score(PRESET, f"{targets.IMPORTED}{name}", "knn") for name in config["checkpoints"]],


rule import_checkpoint:
    input:
        file=lambda wildcards: TARGETS.imported(wildcards.name)["file"],
    output:
        checkpoint=f"{RESULTS}/{{preset}}/runs/imported-{{name}}/checkpoint.pt",
        config=f"{RESULTS}/{{preset}}/runs/imported-{{name}}/config.yaml",
        report=f"{RESULTS}/{{preset}}/runs/imported-{{name}}/import.json",
    log:
        f"{LOG}/import/{{name}}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        folder=lambda wildcards, output: Path(output.checkpoint).parent,
        arguments=lambda wildcards: TARGETS.import_arguments(wildcards.name),
    shell:
        "python -m cld.runtime.warm import {input.file:q} --preset {wildcards.preset} --name {wildcards.name}"
        " --run-dir {params.folder:q} {params.arguments} > {log:q} 2>&1"


rule export:
    input:
        checkpoint=f"{RESULTS}/{{preset}}/runs/{{run}}/checkpoint.pt",
        store=ancient(store_of("run")),
        checksum=checksum_of("run"),
        score=f"{RESULTS}/{{preset}}/scores/{{run}}/knn.json",
    output:
        directory(f"{RESULTS}/{{preset}}/exports/{{run}}"),
    log:
        f"{LOG}/export/{{run}}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    shell:
        "python -m cld.runtime.warm export {input.checkpoint:q} --preset {wildcards.preset} --store {input.store:q}"
        " --scores {input.score:q} --out {output:q} > {log:q} 2>&1"
