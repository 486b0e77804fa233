# Does it transfer? Networks trained on one data set, measured on the others of the study.


rule measure_transfer:
    input:
        weights=rules.train_model.output.weights,
        dataset="<results>/data/{measured_on}.safetensors",
        code=code("measure_transfer"),
    output:
        variance="<results>/transfer/<network>/measured_on={measured_on}/variance.parquet",
    log:
        "<logs>/measure_transfer/<network>/{measured_on}.log",
    benchmark:
        "<benchmarks>/measure_transfer/<network>/{measured_on}.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        gpu=1,
        mem_mb=sweep_mb,
        runtime=minutes_of("measure_transfer"),
    params:
        expected=expected_network,
        angles=lookup(within=config, dpath="measurement/angles"),
        measurement=MEASUREMENT,
    message:
        "Measuring the variance of {wildcards.model} trained on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}, on {wildcards.measured_on}"
    script:
        "../scripts/measure_transfer.py"


rule plot_transfer_layers:
    input:
        own=collect(rules.measure_variance.output.variance, **TRAININGS),
        others=lambda wildcards: on_others(
            rules.measure_transfer.output.variance, dataset=[wildcards.dataset], model=[wildcards.model]
        ),
        code=code("plot_transfer_layers"),
    output:
        **figure(
            "transfer_{aggregation}",
            caption="transfer_layers",
            category="Transfer",
            question="transfer",
            aggregation="{aggregation}",
        ),
    log:
        "<logs>/plot_transfer_layers/dataset={dataset}/model={model}/{aggregation}.log",
    benchmark:
        "<benchmarks>/plot_transfer_layers/dataset={dataset}/model={model}/{aggregation}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    message:
        "Drawing the layers of {wildcards.model} trained on {wildcards.dataset} on other data sets, {wildcards.aggregation}"
    script:
        "../scripts/plot_transfer_layers.py"


rule plot_transfer:
    input:
        own=collect(rules.measure_variance.output.variance, **NETWORKS),
        others=on_others(rules.measure_transfer.output.variance),
        code=code("plot_transfer"),
    output:
        **overview_figure(
            "transfer_{aggregation}", caption="transfer", question="transfer", aggregation="{aggregation}"
        ),
    log:
        "<logs>/plot_transfer/{aggregation}.log",
    benchmark:
        "<benchmarks>/plot_transfer/{aggregation}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    message:
        "Drawing networks of one data set on the others, {wildcards.aggregation}"
    script:
        "../scripts/plot_transfer.py"


rule tabulate_transfer:
    input:
        own=collect(rules.measure_variance.output.variance, **NETWORKS),
        others=on_others(rules.measure_transfer.output.variance),
        code=code("tabulate_transfer"),
    output:
        **table("transfer", question="transfer"),
    log:
        "<logs>/tabulate_transfer.log",
    benchmark:
        "<benchmarks>/tabulate_transfer.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    message:
        "Tabulating global variance on other data sets"
    script:
        "../scripts/tabulate_transfer.py"


rule transfer:
    input:
        collect(
            rules.plot_transfer_layers.output.png,
            dataset=config["datasets"],
            model=config["models"],
            aggregation=config["figures"]["aggregations"],
        ),
        collect(rules.plot_transfer.output.png, aggregation=config["figures"]["aggregations"]),
        rules.tabulate_transfer.output.csv,
    localrule: True
