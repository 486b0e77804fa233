rule train_model:
    input:
        dataset=rules.download_dataset.output.dataset,
        begin_with=own_weights,
        own_code=own_code,
        code=code("train_model"),
    output:
        weights="<results>/models/<network>/weights.safetensors",
        history="<results>/models/<network>/history.parquet",
    log:
        "<logs>/train_model/<network>.log",
    benchmark:
        "<benchmarks>/train_model/<network>.tsv"
    conda:
        TORCH
    threads: 1
    resources:
        gpu=1,
        mem_mb=training_mb,
        runtime=minutes_of("train_model"),
    params:
        architecture=lookup(within=ARCHITECTURES, dpath="{dataset}/{model}"),
        recipe=recipe,
        augmentation=lookup(within=AUGMENTATIONS, dpath="{training}"),
        own_weights_digest=own_weights_digest,
    message:
        "Training {wildcards.model} on {wildcards.dataset}, {wildcards.training}, seed {wildcards.seed}"
    script:
        "../scripts/train_model.py"


rule train:
    input:
        collect(rules.train_model.output, **NETWORKS),
    localrule: True
