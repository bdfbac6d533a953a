# Scenes and scores -> figures.


rule all_figures:
    input:
        multiext(f"{RESULTS}/{PRESET}/figures/fig_a1", ".png", ".pdf"),


rule figure_a1:
    input:
        lambda wildcards: source_files(wildcards.preset, "gmu_kitchens"),
        store=f"{RESULTS}/{{preset}}/stores/kitchen_hc.h5",
        manifest=f"{RESULTS}/{{preset}}/stores/kitchen_hc.manifest.csv",
    output:
        multiext(f"{RESULTS}/{{preset}}/figures/fig_a1", ".png", ".pdf"),
    log:
        f"{LOG}/figures/fig_a1.log",
    benchmark:
        f"{BENCHMARK}/figures/fig_a1.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        root=lambda wildcards: upstream(wildcards.preset, "gmu_kitchens"),
    shell:
        "python -m cld.figures.scenes --preset {wildcards.preset} --root {params.root} --store {input.store}"
        " --manifest {input.manifest} --figures {output} > {log} 2>&1"
