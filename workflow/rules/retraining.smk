# Which layers must be retrained? Networks of one training, retrained under another with all layers frozen but one.
RETRAINING = config["retraining"]


# One job for all layers of a network: what is done is kept, and an interrupted one goes on.
rule retrain_model:
    input:
        weights=rules.train_model.output.weights,
        dataset=rules.download_dataset.output.dataset,
        code=code("retrain_model"),
    output:
        retraining="<results>/retraining/<network>/retraining.parquet",
    log:
        "<logs>/retrain_model/<network>.log",
    benchmark:
        "<benchmarks>/retrain_model/<network>.tsv"
    wildcard_constraints:
        training=RETRAINING["from"],
    conda:
        TORCH
    threads: 1
    resources:
        gpu=1,
        mem_mb=training_mb,
        runtime=minutes_of("retrain_model"),
    params:
        expected=expected_network,
        retrained=RETRAINING["to"],
        recipe=retraining_recipe,
        augmentation=AUGMENTATIONS[RETRAINING["to"]],
    message:
        "Retraining layers of {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}"
    script:
        "../scripts/retrain_model.py"


rule plot_retraining:
    input:
        retraining=collect(rules.retrain_model.output.retraining, **TRAININGS | dict(training=[RETRAINING["from"]])),
        accuracy=collect(rules.measure_accuracy.output.accuracy, **TRAININGS | dict(training=[RETRAINING["to"]])),
        code=code("plot_retraining"),
    output:
        **figure("retraining", caption="retraining", category="Retraining", question="retraining"),
    log:
        "<logs>/plot_retraining/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_retraining/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study=list(config["trainings"]),  # for their colours
    message:
        "Drawing the retraining of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_retraining.py"


rule tabulate_retraining:
    input:
        retraining=collect(rules.retrain_model.output.retraining, **NETWORKS | dict(training=[RETRAINING["from"]])),
        accuracy=collect(rules.measure_accuracy.output.accuracy, **NETWORKS | dict(training=[RETRAINING["to"]])),
        code=code("tabulate_retraining"),
    output:
        **table("retraining", question="retraining"),
    log:
        "<logs>/tabulate_retraining.log",
    benchmark:
        "<benchmarks>/tabulate_retraining.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    message:
        "Tabulating the accuracy of retrained networks"
    script:
        "../scripts/tabulate_retraining.py"


rule retraining:
    input:
        collect(rules.plot_retraining.output.png, dataset=config["datasets"], model=config["models"]),
        rules.tabulate_retraining.output.csv,
    localrule: True
