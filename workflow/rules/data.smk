# Upstream files -> stores.


rule kitchen_scenes:
    output:
        directory(f"{RESULTS}/{{preset}}/data/kitchen_hc"),
    log:
        f"{LOG}/kitchen_scenes.log",
    benchmark:
        f"{BENCHMARK}/kitchen_scenes.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda wildcards: settings.load_dataset(wildcards.preset, "kitchen_hc")["render"],
    shell:
        "python -m data_prep.render_kitchen --preset {wildcards.preset} --out {output} --workers {threads}"
        " > {log} 2>&1"


rule store:
    input:
        rendered(),
    output:
        store=f"{STORE}.h5",
        manifest=f"{STORE}.manifest.csv",
        report=f"{STORE}.report.md",
    log:
        f"{LOG}/store/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/store/{{dataset}}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        builder=lambda wildcards: builder(wildcards.preset, wildcards.dataset),
        root=lambda wildcards: upstream(wildcards.preset, wildcards.dataset),
        settings=lambda wildcards: settings.load_dataset(wildcards.preset, wildcards.dataset)["build"],
    shell:
        "python -m data_prep.{params.builder} --preset {wildcards.preset} --root {params.root}"
        " --store {output.store} --manifest {output.manifest} --report {output.report} --workers {threads}"
        " > {log} 2>&1"
