# Scenes, tables and runs -> figures.


rule all_figures:  # that the supplement prints
    input:
        TARGETS.figure_files(PRESET, TARGETS.supplement_figures(PRESET)),


for name in ("fig_a1", *TABLE_OF_FIGURE):  # each by its name: snakemake fig_choice

    rule:
        name:
            name
        input:
            TARGETS.figure_files(PRESET, [name]),


rule figure_a1:
    input:
        lambda wildcards: TARGETS.dataset_files(wildcards.preset, "kitchen_hc"),
        store=ancient(f"{RESULTS}/{{preset}}/stores/kitchen_hc.h5"),
        checksum=f"{RESULTS}/{{preset}}/stores/kitchen_hc.h5.sha256",
        manifest=f"{RESULTS}/{{preset}}/stores/kitchen_hc.manifest.csv",
    output:
        png=report(f"{FIGURE}/fig_a1.png", caption=CAPTION, category="Figures", labels={"figure": "A.1"}),
        pdf=f"{FIGURE}/fig_a1.pdf",
        csv=f"{FIGURE}/fig_a1.csv",
    log:
        f"{LOG}/figures/fig_a1.log",
    benchmark:
        f"{BENCHMARK}/figures/fig_a1.tsv"
    priority: SOON
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        root=lambda wildcards: TARGETS.dataset_upstream(wildcards.preset, "kitchen_hc"),
        caption=lambda wildcards: targets.report_caption(wildcards.preset, "fig_a1"),
    shell:
        "python -m cld.runtime.warm figure-a1 --preset {wildcards.preset} --root {params.root:q} --store {input.store:q}"
        " --manifest {input.manifest:q} --figure {output.png:q} {output.pdf:q}"
        " --csv {output.csv:q} > {log:q} 2>&1"


rule figure_a2:
    input:
        f"{RESULTS}/{{preset}}/tables/table_negatives.csv",
    output:
        png=report(f"{FIGURE}/fig_a2.png", caption=CAPTION, category="Figures", labels={"figure": "A.2"}),
        pdf=f"{FIGURE}/fig_a2.pdf",
        csv=f"{FIGURE}/fig_a2.csv",
    log:
        f"{LOG}/figures/fig_a2.log",
    benchmark:
        f"{BENCHMARK}/figures/fig_a2.tsv"
    priority: SOON
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        caption=lambda wildcards: targets.report_caption(wildcards.preset, "fig_a2"),
    shell:
        "python -m cld.runtime.warm figure-a2 --preset {wildcards.preset} --table {input:q}"
        " --figure {output.png:q} {output.pdf:q} --csv {output.csv:q} > {log:q} 2>&1"


rule figure_a3:
    input:
        checkpoints=of(TARGETS.retrieval_checkpoints),
        store=ancient(f"{RESULTS}/{{preset}}/stores/imagenet100.h5"),
        checksum=f"{RESULTS}/{{preset}}/stores/imagenet100.h5.sha256",
    output:
        png=report(f"{FIGURE}/fig_a3.png", caption=CAPTION, category="Figures", labels={"figure": "A.3"}),
        pdf=f"{FIGURE}/fig_a3.pdf",
        csv=f"{FIGURE}/fig_a3.csv",
    log:
        f"{LOG}/figures/fig_a3.log",
    benchmark:
        f"{BENCHMARK}/figures/fig_a3.tsv"
    priority: SOON
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        caption=lambda wildcards: targets.report_caption(wildcards.preset, "fig_a3"),
    shell:
        "python -m cld.runtime.warm figure-a3 --store {input.store:q} --checkpoints {input.checkpoints:q}"
        " --labels NPID NPID+CLD --figure {output.png:q} {output.pdf:q} --csv {output.csv:q} --device $CLD_DEVICE"
        " > {log:q} 2>&1"


rule figure_choice:
    input:
        scores=of(TARGETS.choice_scores),
    output:
        png=report(
            f"{FIGURE}/fig_choice.png",
            caption=CAPTION,
            category="Figures",
            labels={"figure": "choice without labels"},
        ),
        pdf=f"{FIGURE}/fig_choice.pdf",
        csv=f"{FIGURE}/fig_choice.csv",
    log:
        f"{LOG}/figures/fig_choice.log",
    benchmark:
        f"{BENCHMARK}/figures/fig_choice.tsv"
    priority: SOON
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        caption=lambda wildcards: targets.report_caption(wildcards.preset, "fig_choice"),
    shell:
        "python -m cld.runtime.warm figure-choice --key cld.weight --scores {input.scores:q}"
        " --figure {output.png:q} {output.pdf:q} --csv {output.csv:q} > {log:q} 2>&1"
