# When does invariance appear? Networks of the first seed, measured in the course of their trainings.
EPOCHS = sorted(config["emergence"]["epochs"])

# Those that are trained
COURSES = dict(
    training=[name for name, one in config["trainings"].items() if one["epochs"] != 0],
    seed=config["seeds"][:1],
    allow_missing=True,
)


rule train_with_snapshots:
    input:
        dataset=rules.download_dataset.output.dataset,
        begin_with=own_weights,
        own_code=own_code,
        code=code("train_with_snapshots"),
    output:
        weights=[f"<results>/emergence/<network>/epoch={epoch}/weights.safetensors" for epoch in EPOCHS],
    log:
        "<logs>/train_with_snapshots/<network>.log",
    benchmark:
        "<benchmarks>/train_with_snapshots/<network>.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        gpu=1,
        mem_mb=training_mb,
        runtime=minutes_of("train_with_snapshots"),
    params:
        architecture=lookup(within=ARCHITECTURES, dpath="{dataset}/{model}"),
        recipe=recipe,
        augmentation=lookup(within=AUGMENTATIONS, dpath="{training}"),
        own_weights_digest=own_weights_digest,
        epochs=EPOCHS,
    message:
        "Training {wildcards.model} on {wildcards.dataset} with snapshots, {wildcards.training}, seed {wildcards.seed}"
    script:
        "../scripts/train_with_snapshots.py"


use rule measure_transformation as measure_emergence with:
    input:
        weights="<results>/emergence/<network>/epoch={epoch}/weights.safetensors",
        dataset=rules.download_dataset.output.dataset,
        code=code("measure_variance"),
    output:
        variance="<results>/emergence/<network>/epoch={epoch}/variance.parquet",
    log:
        "<logs>/measure_emergence/<network>/{epoch}.log",
    benchmark:
        "<benchmarks>/measure_emergence/<network>/{epoch}.tsv"
    params:
        transformation=ROTATION,
        measurement=MEASUREMENT | dict(aggregations=config["figures"]["aggregations"]),
    message:
        "Measuring the variance of {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}, after epoch {wildcards.epoch}"


rule plot_emergence:
    input:
        during=collect(rules.measure_emergence.output.variance, **COURSES, epoch=EPOCHS),
        finished=collect(rules.measure_variance.output.variance, **COURSES),
        history=collect(rules.train_model.output.history, **COURSES),
        code=code("plot_emergence"),
    output:
        **figure(
            "emergence_{aggregation}",
            caption="emergence",
            category="Emergence",
            question="emergence",
            aggregation="{aggregation}",
        ),
    log:
        "<logs>/plot_emergence/dataset={dataset}/model={model}/{aggregation}.log",
    benchmark:
        "<benchmarks>/plot_emergence/dataset={dataset}/model={model}/{aggregation}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study=list(config["trainings"]),  # for their colours
    message:
        "Drawing when invariance appears in {wildcards.model} on {wildcards.dataset}, {wildcards.aggregation}"
    script:
        "../scripts/plot_emergence.py"


rule tabulate_emergence:
    input:
        during=collect(rules.measure_emergence.output.variance, **NETWORKS | COURSES, epoch=EPOCHS),
        finished=collect(rules.measure_variance.output.variance, **NETWORKS | COURSES),
        history=collect(rules.train_model.output.history, **NETWORKS | COURSES),
        code=code("tabulate_emergence"),
    output:
        **table("emergence", question="emergence"),
    log:
        "<logs>/tabulate_emergence.log",
    benchmark:
        "<benchmarks>/tabulate_emergence.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        aggregations=lookup(within=config, dpath="figures/aggregations"),
    message:
        "Tabulating when invariance appears"
    script:
        "../scripts/tabulate_emergence.py"


rule emergence:
    input:
        collect(
            rules.plot_emergence.output.png,
            dataset=config["datasets"],
            model=config["models"],
            aggregation=config["figures"]["aggregations"],
        ),
        rules.tabulate_emergence.output.csv,
    localrule: True
