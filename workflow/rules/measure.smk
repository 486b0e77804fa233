rule measure_variance:
    input:
        weights=rules.train_model.output.weights,
        dataset=rules.download_dataset.output.dataset,
        code=code("measure_variance"),
    output:
        variance="<results>/variance/<network>/variance.parquet",
    log:
        "<logs>/measure_variance/<network>.log",
    benchmark:
        "<benchmarks>/measure_variance/<network>.tsv"
    conda:
        f"../envs/torch-{config['conda']['torch']}.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=720,
    params:
        measurement=lookup(within=config, dpath="measurement"),
    message:
        "Measuring the variance of {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}"
    script:
        "../scripts/measure_variance.py"


rule measure:
    input:
        collect(rules.measure_accuracy.output.accuracy, **NETWORKS),
        collect(rules.measure_variance.output.variance, **NETWORKS),
