# Compute nodes may have no internet: the download runs where Snakemake runs.
rule download_dataset:
    input:
        code=code("download_dataset"),
    output:
        dataset="<results>/data/{dataset}.safetensors",
    log:
        "<logs>/download_dataset/dataset={dataset}.log",
    benchmark:
        "<benchmarks>/download_dataset/dataset={dataset}.tsv"
    localrule: True
    conda:
        TORCH
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        # Together, because Snakemake compares the values of parameters as a set, without their names
        images=[config["data"]["train_images"], config["data"]["test_images"]],
        own=lookup(within=config, dpath="own_data/{dataset}", default=None),
        fingerprint=fingerprint,
    message:
        "Fetching {wildcards.dataset}"
    script:
        "../scripts/download_dataset.py"
