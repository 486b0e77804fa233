rule tabulate_variance:
    input:
        variance=collect(rules.measure_variance.output.variance, **NETWORKS),
        published=PUBLISHED,
        code=code("tabulate_variance"),
    output:
        **table("global_variance"),
    log:
        "<logs>/tabulate_variance.log",
    benchmark:
        "<benchmarks>/tabulate_variance.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    message:
        "Tabulating global variance"
    script:
        "../scripts/tabulate_variance.py"


rule tabulate_layers:
    input:
        variance=collect(rules.measure_variance.output.variance, **NETWORKS),
        code=code("tabulate_layers"),
    output:
        **table("layers"),
    log:
        "<logs>/tabulate_layers.log",
    benchmark:
        "<benchmarks>/tabulate_layers.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    message:
        "Tabulating variance by layer"
    script:
        "../scripts/tabulate_layers.py"


rule tabulate_accuracy:
    input:
        accuracy=collect(rules.measure_accuracy.output.accuracy, **NETWORKS),
        published=PUBLISHED,
        code=code("tabulate_accuracy"),
    output:
        **table("accuracy"),
    log:
        "<logs>/tabulate_accuracy.log",
    benchmark:
        "<benchmarks>/tabulate_accuracy.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    message:
        "Tabulating accuracy"
    script:
        "../scripts/tabulate_accuracy.py"


if config["transformations"]:

    rule tabulate_transformations:
        input:
            rotation=collect(rules.measure_variance.output.variance, **NETWORKS),
            others=collect(rules.measure_transformation.output.variance, **TRANSFORMED),
            code=code("tabulate_transformations"),
        output:
            **table("transformations"),
        log:
            "<logs>/tabulate_transformations.log",
        benchmark:
            "<benchmarks>/tabulate_transformations.tsv"
        conda:
            "../envs/plot.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=growing(60),
        message:
            "Tabulating global variance under each transformation"
        script:
            "../scripts/tabulate_transformations.py"


rule tables:
    input:
        [f"<tables>/{name}.csv" for name in TABLES],
    localrule: True
