# Upstream files -> stores. A source (config/sources) is a publisher's files; a dataset (config/datasets) says how a
# store is made of them.


localrules:
    fetch,


rule all_stores:
    input:
        expand(
            f"{STORE}.card.{{kind}}",
            preset=PRESET,
            dataset=TARGETS.available_datasets(PRESET),
            kind=["md", "png"],
        ),


rule generate:
    output:
        directory(f"{RESULTS}/{{preset}}/data/{{source}}"),
    log:
        f"{LOG}/generate/{{source}}.log",
    benchmark:
        f"{BENCHMARK}/generate/{{source}}.tsv"
    priority: of(targets.priority, "source")
    conda:
        ENVIRONMENT
    threads: TARGETS.threads("generate", 2)
    resources:
        **TARGETS.requests("generate", mem_mb=4000, runtime=30),
    params:
        settings=lambda wildcards: settings.load_source(wildcards.preset, wildcards.source)["generate"],
    shell:
        "python -m data_prep generate --preset {wildcards.preset} --source {wildcards.source} --out {output:q}"
        " --workers {threads} > {log:q} 2>&1"


rule fetch:
    output:
        f"{RESULTS}/{{preset}}/data/{{source}}.json",
    log:
        f"{LOG}/fetch/{{source}}.log",
    priority: of(targets.priority, "source")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=1440,
    params:
        root=of(TARGETS.upstream, "source"),
        check_md5=lambda wildcards: settings.load_source(wildcards.preset, wildcards.source)["check_md5"],
        own_images=lambda wildcards: or_exit(
            own_fingerprint, TARGETS.upstream(*wildcards), settings.load_source(*wildcards)
        ),
        mirror=["--mirror", config["data"]["mirror"]] if config["data"]["mirror"] else [],
    shell:
        "python -m data_prep fetch --preset {wildcards.preset} --source {wildcards.source} --root {params.root:q}"
        " {params.mirror:q} --receipt {output:q} > {log:q} 2>&1"


# The log's notes, of what was left out, are shown in the terminal too.
rule store:
    input:
        of(TARGETS.dataset_files, "dataset"),
    output:
        store=f"{STORE}.h5",
        checksum=f"{STORE}.h5.sha256",
        manifest=f"{STORE}.manifest.csv",
        report=f"{STORE}.report.md",
    log:
        f"{LOG}/store/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/store/{{dataset}}.tsv"
    priority: of(targets.priority, "dataset")
    conda:
        ENVIRONMENT
    threads: TARGETS.threads("store", 2)
    resources:
        **TARGETS.requests("store", mem_mb=8000, runtime=120),
    params:
        builder=lambda wildcards: settings.load_dataset(wildcards.preset, wildcards.dataset)["builder"],
        root=of(TARGETS.dataset_upstream, "dataset"),
        settings=lambda wildcards: settings.load_dataset(wildcards.preset, wildcards.dataset)["build"],
    shell:
        "python -m data_prep build --preset {wildcards.preset} --dataset {wildcards.dataset}"
        " --root {params.root:q} --store {output.store:q} --manifest {output.manifest:q} --report {output.report:q}"
        " --workers {threads} > {log:q} 2>&1"
        " && {{ grep '^note: ' {log:q} >&2 || true; }}"


rule card:
    input:
        store=ancient(f"{STORE}.h5"),
        checksum=f"{STORE}.h5.sha256",
        pixel_knn=of(TARGETS.pixel_knn, "dataset"),
    output:
        card=f"{STORE}.card.md",
        figure=f"{STORE}.card.png",
    log:
        f"{LOG}/card/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/card/{{dataset}}.tsv"
    conda:
        ENVIRONMENT
    threads: TARGETS.threads("card", 1)
    resources:
        **TARGETS.requests("card", mem_mb=2000, runtime=10),
    params:
        score=lambda wildcards, input: ["--pixel-knn", input.pixel_knn] if input.pixel_knn else [],
    shell:
        "python -m cld.runtime.warm card --store {input.store:q} {params.score:q}"
        " --card {output.card:q} --figure {output.figure:q} > {log:q} 2>&1"
