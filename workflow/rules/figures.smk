# Scenes, tables and runs -> figures.


rule all_figures:
    input:
        expand(f"{RESULTS}/{PRESET}/figures/{{figure}}.{{kind}}", figure=FIGURES, kind=["png", "pdf"]),


rule figure_a1:
    input:
        lambda wildcards: source_files(wildcards.preset, "gmu_kitchens"),
        store=ancient(f"{RESULTS}/{{preset}}/stores/kitchen_hc.h5"),
        checksum=f"{RESULTS}/{{preset}}/stores/kitchen_hc.h5.sha256",
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


rule figure_a2:
    input:
        f"{RESULTS}/{{preset}}/tables/table_negatives.csv",
    output:
        figure=multiext(f"{RESULTS}/{{preset}}/figures/fig_a2", ".png", ".pdf"),
        csv=f"{RESULTS}/{{preset}}/figures/fig_a2.csv",
    log:
        f"{LOG}/figures/fig_a2.log",
    benchmark:
        f"{BENCHMARK}/figures/fig_a2.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    shell:
        "python -m cld.figures.negatives --preset {wildcards.preset} --table {input} --figure {output.figure}"
        " --csv {output.csv} > {log} 2>&1"


rule figure_a3:
    input:
        checkpoints=retrieving_checkpoints,
        store=ancient(f"{RESULTS}/{{preset}}/stores/imagenet100.h5"),
        checksum=f"{RESULTS}/{{preset}}/stores/imagenet100.h5.sha256",
    output:
        multiext(f"{RESULTS}/{{preset}}/figures/fig_a3", ".png", ".pdf"),
    log:
        f"{LOG}/figures/fig_a3.log",
    benchmark:
        f"{BENCHMARK}/figures/fig_a3.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        "python -m cld.figures.gallery --store {input.store} --checkpoints {input.checkpoints}"
        " --labels NPID NPID+CLD --figure {output} > {log} 2>&1"


rule figure_choice:
    input:
        scores=scores_of_choice,
    output:
        figure=multiext(f"{RESULTS}/{{preset}}/figures/fig_choice", ".png", ".pdf"),
        csv=f"{RESULTS}/{{preset}}/figures/fig_choice.csv",
    log:
        f"{LOG}/figures/fig_choice.log",
    benchmark:
        f"{BENCHMARK}/figures/fig_choice.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    shell:
        "python -m cld.figures.choice --key cld.weight --scores {input.scores} --figure {output.figure}"
        " --csv {output.csv} > {log} 2>&1"
