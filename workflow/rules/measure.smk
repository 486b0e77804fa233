# Every network is measured under each transformation of the configuration, and in the same way under rotation, below.
rule measure_transformation:
    input:
        weights=rules.train_model.output.weights,
        dataset=rules.download_dataset.output.dataset,
        code=code("measure_variance"),
    output:
        variance="<results>/transformations/<network>/transformation={transformation}/variance.parquet",
    log:
        "<logs>/measure_transformation/<network>/{transformation}.log",
    benchmark:
        "<benchmarks>/measure_transformation/<network>/{transformation}.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        gpu=1,
        mem_mb=sweep_mb,
        runtime=minutes_of("measure_transformation"),
    params:
        expected=expected_network,
        transformation=lookup(within=TRANSFORMATIONS, dpath="{transformation}"),
        measurement=MEASUREMENT,
    message:
        "Measuring the variance of {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}, under {wildcards.transformation}"
    script:
        "../scripts/measure_variance.py"


if SHARDS == 1:

    use rule measure_transformation as measure_variance with:
        output:
            variance="<results>/variance/<network>/variance.parquet",
        log:
            "<logs>/measure_variance/<network>.log",
        benchmark:
            "<benchmarks>/measure_variance/<network>.tsv"
        params:
            transformation=ROTATION,
        message:
            "Measuring the variance of {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}"

else:

    # A shard is a measurement of some of the classes; shards can run side by side.
    use rule measure_transformation as measure_shard with:
        output:
            state=temp(f"<results>/variance/<network>/shard_{{shard}}_of_{SHARDS}.safetensors"),
        log:
            f"<logs>/measure_shard/<network>/{{shard}}_of_{SHARDS}.log",
        benchmark:
            f"<benchmarks>/measure_shard/<network>/{{shard}}_of_{SHARDS}.tsv"
        params:
            transformation=ROTATION,
            classes=lambda wildcards: list(range(CLASSES))[int(wildcards.shard) - 1 :: SHARDS],
        message:
            "Measuring the variance of {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}, shard {wildcards.shard}"

    rule measure_variance:
        input:
            shards=collect(rules.measure_shard.output.state, shard=range(1, SHARDS + 1), allow_missing=True),
            code=code("merge_shards"),
        output:
            variance="<results>/variance/<network>/variance.parquet",
        log:
            "<logs>/measure_variance/<network>.log",
        benchmark:
            "<benchmarks>/measure_variance/<network>.tsv"
        conda:
            TORCH
        resources:
            mem_mb=sweep_mb,
            runtime=growing(60),
        message:
            "Merging the shards of {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}"
        script:
            "../scripts/merge_shards.py"


# What a layer would have under `same_equivariance` that only averages the images down to the size of its maps.
rule measure_interpolation_floor:
    input:
        dataset=rules.download_dataset.output.dataset,
        own_code=own_code,
        code=code("measure_interpolation_floor"),
    output:
        floor="<results>/interpolation_floor/dataset={dataset}/model={model}/floor.parquet",
    log:
        "<logs>/measure_interpolation_floor/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/measure_interpolation_floor/dataset={dataset}/model={model}.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        mem_mb=growing(demands.PROCESS_MB),
        runtime=growing(60),
    params:
        architecture=lookup(within=ARCHITECTURES, dpath="{dataset}/{model}"),
        angles=lookup(within=config, dpath="measurement/angles"),
    message:
        "Measuring the interpolation floor of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/measure_interpolation_floor.py"


# On few images at twice as many angles: what the measurement's own numbers of both are worth.
rule measure_convergence:
    input:
        weights=rules.train_model.output.weights,
        dataset=rules.download_dataset.output.dataset,
        code=code("measure_convergence"),
    output:
        convergence="<results>/convergence/<network>/convergence.parquet",
    log:
        "<logs>/measure_convergence/<network>.log",
    benchmark:
        "<benchmarks>/measure_convergence/<network>.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(demands.PROCESS_MB),
        runtime=minutes_of("measure_convergence"),
    params:
        expected=expected_network,
        images=lookup(within=config, dpath="figures/convergence/images"),
        aggregation=lookup(within=config, dpath="figures/convergence/aggregation"),
        angles=lookup(within=config, dpath="measurement/angles"),
        precision=lookup(within=config, dpath="measurement/precision"),
    message:
        "Measuring subsets of images and angles for {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}"
    script:
        "../scripts/measure_convergence.py"


rule record_feature_maps:
    input:
        weights=rules.train_model.output.weights,
        dataset=rules.download_dataset.output.dataset,
        variance=rules.measure_variance.output.variance,
        code=code("record_feature_maps"),
    output:
        maps="<results>/feature_maps/<network>/feature_maps.parquet",
    log:
        "<logs>/record_feature_maps/<network>.log",
    benchmark:
        "<benchmarks>/record_feature_maps/<network>.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        mem_mb=growing(demands.PROCESS_MB),
        runtime=growing(30),
    params:
        expected=expected_network,
        images=lookup(within=config, dpath="figures/feature_maps/images"),
        layers=lookup(within=config, dpath="figures/feature_maps/layers/{model}", default=[]),
        angles=lookup(within=config, dpath="measurement/angles"),
    message:
        "Recording feature maps of {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}"
    script:
        "../scripts/record_feature_maps.py"


rule measure:
    input:
        collect(rules.measure_accuracy.output.accuracy, **NETWORKS),
        collect(rules.measure_variance.output.variance, **NETWORKS),
    localrule: True
