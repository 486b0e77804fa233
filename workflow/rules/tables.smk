rule tabulate_variance:
    input:
        variance=collect(rules.measure_variance.output.variance, **NETWORKS),
        published=PUBLISHED,
        code=code("tabulate_variance"),
    output:
        csv=table("global_variance"),
        md="<tables>/global_variance.md",
        tex="<tables>/global_variance.tex",
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
        csv=table("layers"),
        md="<tables>/layers.md",
        tex="<tables>/layers.tex",
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
        csv=table("accuracy"),
        md="<tables>/accuracy.md",
        tex="<tables>/accuracy.tex",
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


rule tables:
    input:
        rules.tabulate_variance.output,
        rules.tabulate_layers.output,
        rules.tabulate_accuracy.output,
