# Is it stable? What chance, in seeds and in test images, does to layer means.

BOOTSTRAPPED = [name for name in config["figures"]["aggregations"] if name in POOLED]

# What differences are looked for, and how surely
WANTED = {key: config["stability"][key] for key in ("confidence", "power", "difference")}


rule measure_stability:
    input:
        weights=rules.train_model.output.weights,
        dataset=rules.download_dataset.output.dataset,
        code=code("measure_stability"),
    output:
        stability="<results>/stability/<network>/stability.parquet",
    log:
        "<logs>/measure_stability/<network>.log",
    benchmark:
        "<benchmarks>/measure_stability/<network>.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(2 * demands.PROCESS_MB),
        runtime=bootstrap_minutes,
    params:
        expected=expected_network,
        replicates=lookup(within=config, dpath="stability/replicates"),
        angles=lookup(within=config, dpath="measurement/angles"),
        aggregations=BOOTSTRAPPED,
        precision=lookup(within=config, dpath="measurement/precision"),
    message:
        "Measuring draws of images for {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}"
    script:
        "../scripts/measure_stability.py"


rule plot_stability:
    input:
        stability=collect(rules.measure_stability.output.stability, **TRAININGS),
        code=code("plot_stability"),
    output:
        **figure(
            "stability_{aggregation}",
            caption="stability",
            category="Stability",
            question="stability",
            aggregation=BOOTSTRAPPED,
        ),
    log:
        "<logs>/plot_stability/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_stability/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        aggregations=BOOTSTRAPPED,
        wanted=WANTED,
    message:
        "Drawing how stable the layers of {wildcards.model} on {wildcards.dataset} are"
    script:
        "../scripts/plot_stability.py"


rule tabulate_stability:
    input:
        stability=collect(rules.measure_stability.output.stability, **NETWORKS),
        code=code("tabulate_stability"),
    output:
        **table("stability", question="stability"),
    log:
        "<logs>/tabulate_stability.log",
    benchmark:
        "<benchmarks>/tabulate_stability.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        wanted=WANTED,
    message:
        "Tabulating how stable layers are"
    script:
        "../scripts/tabulate_stability.py"


rule stability:
    input:
        collect(rules.plot_stability.output.png, dataset=config["datasets"], model=config["models"]),
        rules.tabulate_stability.output.csv,
    localrule: True
