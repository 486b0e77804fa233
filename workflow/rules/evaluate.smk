rule measure_accuracy:
    input:
        weights=rules.train_model.output.weights,
        dataset=rules.download_dataset.output.dataset,
        code=code("measure_accuracy"),
    output:
        accuracy="<results>/accuracy/<network>/accuracy.parquet",
    log:
        "<logs>/measure_accuracy/<network>.log",
    benchmark:
        "<benchmarks>/measure_accuracy/<network>.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        gpu=1,
        mem_mb=growing(demands.PROCESS_MB),
        runtime=minutes_of("measure_accuracy"),
    params:
        expected=expected_network,
        angles=lookup(within=config, dpath="measurement/angles"),
    message:
        "Classifying rotated {wildcards.dataset}: {wildcards.model}, {wildcards.training}, seed {wildcards.seed}"
    script:
        "../scripts/measure_accuracy.py"
