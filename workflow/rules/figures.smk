# Figures of one data set and model, its trainings and seeds together.


rule plot_heatmaps:
    input:
        variance=collect(rules.measure_variance.output.variance, **TRAININGS),
        code=code("plot_heatmaps"),
    output:
        **figure(
            "heatmap_{aggregation}_{stratum}",
            caption="heatmap",
            category="Heatmaps",
            aggregation="{aggregation}",
            stratum=STRATA,
        ),
    log:
        "<logs>/plot_heatmaps/dataset={dataset}/model={model}/{aggregation}.log",
    benchmark:
        "<benchmarks>/plot_heatmaps/dataset={dataset}/model={model}/{aggregation}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        # Whose units are shown; Snakemake compares inputs without their order
        first_seed=lookup(within=config, dpath="seeds/0"),
    message:
        "Drawing heatmaps of {wildcards.model} on {wildcards.dataset}, {wildcards.aggregation}"
    script:
        "../scripts/plot_heatmaps.py"


rule plot_layers:
    input:
        variance=collect(rules.measure_variance.output.variance, **TRAININGS),
        code=code("plot_layers"),
    output:
        **figure("layers_{aggregation}", caption="layers", category="Layers", aggregation="{aggregation}"),
    log:
        "<logs>/plot_layers/dataset={dataset}/model={model}/{aggregation}.log",
    benchmark:
        "<benchmarks>/plot_layers/dataset={dataset}/model={model}/{aggregation}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    message:
        "Drawing variance by layer of {wildcards.model} on {wildcards.dataset}, {wildcards.aggregation}"
    script:
        "../scripts/plot_layers.py"


rule plot_measures:
    input:
        variance=collect(rules.measure_variance.output.variance, **TRAININGS),
        floor=rules.measure_interpolation_floor.output.floor if TURNED_BACK else [],
        code=code("plot_measures"),
    output:
        **figure("measures", caption="measures", category="Measures"),
    log:
        "<logs>/plot_measures/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_measures/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        aggregation=lookup(within=config, dpath="figures/aggregations/0"),
    message:
        "Drawing every measure by layer of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_measures.py"


rule plot_classes:
    input:
        variance=collect(rules.measure_variance.output.variance, **TRAININGS),
        code=code("plot_classes"),
    output:
        **figure("classes_{aggregation}", caption="classes", category="Classes", aggregation="{aggregation}"),
    log:
        "<logs>/plot_classes/dataset={dataset}/model={model}/{aggregation}.log",
    benchmark:
        "<benchmarks>/plot_classes/dataset={dataset}/model={model}/{aggregation}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    message:
        "Drawing variance by class of {wildcards.model} on {wildcards.dataset}, {wildcards.aggregation}"
    script:
        "../scripts/plot_classes.py"


rule plot_distribution:
    input:
        variance=collect(rules.measure_variance.output.variance, **TRAININGS),
        code=code("plot_distribution"),
    output:
        **figure("distribution", caption="distribution", category="Distribution"),
    log:
        "<logs>/plot_distribution/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_distribution/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        aggregations=lookup(within=config, dpath="figures/aggregations"),
    message:
        "Drawing the distribution of units by layer of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_distribution.py"


rule plot_last_layer:
    input:
        variance=collect(rules.measure_variance.output.variance, **TRAININGS),
        code=code("plot_last_layer"),
    output:
        **figure("last_layer", caption="last_layer", category="Last layer"),
    log:
        "<logs>/plot_last_layer/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_last_layer/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    message:
        "Drawing the last layer of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_last_layer.py"


rule plot_training_curves:
    input:
        history=collect(rules.train_model.output.history, **TRAININGS),
        code=code("plot_training_curves"),
    output:
        **figure("training_curves", caption="training_curves", category="Training"),
    log:
        "<logs>/plot_training_curves/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_training_curves/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    message:
        "Drawing the training of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_training_curves.py"


rule plot_accuracy:
    input:
        accuracy=collect(rules.measure_accuracy.output.accuracy, **TRAININGS),
        published=PUBLISHED,
        code=code("plot_accuracy"),
    output:
        **figure("accuracy", caption="accuracy", category="Accuracy"),
    log:
        "<logs>/plot_accuracy/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_accuracy/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    message:
        "Drawing the accuracy of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_accuracy.py"


rule plot_accuracy_by_angle:
    input:
        accuracy=collect(rules.measure_accuracy.output.accuracy, **TRAININGS),
        code=code("plot_accuracy_by_angle"),
    output:
        **figure("accuracy_by_angle", caption="accuracy_by_angle", category="Accuracy by angle"),
    log:
        "<logs>/plot_accuracy_by_angle/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_accuracy_by_angle/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    message:
        "Drawing accuracy against angle of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_accuracy_by_angle.py"


rule plot_accuracy_polar:
    input:
        accuracy=collect(rules.measure_accuracy.output.accuracy, **TRAININGS),
        code=code("plot_accuracy_polar"),
    output:
        **figure("accuracy_polar", caption="accuracy_polar", category="Accuracy by angle"),
    log:
        "<logs>/plot_accuracy_polar/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_accuracy_polar/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    message:
        "Drawing accuracy on a circle of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_accuracy_polar.py"


rule plot_feature_maps:
    input:
        maps=collect(rules.record_feature_maps.output.maps, **TRAININGS_OF_FIRST_SEED),
        code=code("plot_feature_maps"),
    output:
        **figure("feature_maps_{image}", caption="feature_maps", category="Feature maps", image="{image}"),
    log:
        "<logs>/plot_feature_maps/dataset={dataset}/model={model}/{image}.log",
    benchmark:
        "<benchmarks>/plot_feature_maps/dataset={dataset}/model={model}/{image}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    message:
        "Drawing feature maps of {wildcards.model} on {wildcards.dataset}, test image {wildcards.image}"
    script:
        "../scripts/plot_feature_maps.py"


rule plot_convergence:
    input:
        convergence=collect(rules.measure_convergence.output.convergence, **TRAININGS_OF_FIRST_SEED),
        code=code("plot_convergence"),
    output:
        **figure("convergence", caption="convergence", category="How many samples"),
    log:
        "<logs>/plot_convergence/dataset={dataset}/model={model}.log",
    benchmark:
        "<benchmarks>/plot_convergence/dataset={dataset}/model={model}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        images=lookup(within=TEST_IMAGES, dpath="{dataset}"),
        angles=lookup(within=config, dpath="measurement/angles"),
    message:
        "Drawing how many images and angles are enough for {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/plot_convergence.py"


# Figures across all data sets and models.


rule plot_global_variance:
    input:
        variance=collect(rules.measure_variance.output.variance, **NETWORKS),
        published=PUBLISHED,
        code=code("plot_global_variance"),
    output:
        **overview_figure("global_variance", caption="global_variance"),
    log:
        "<logs>/plot_global_variance.log",
    benchmark:
        "<benchmarks>/plot_global_variance.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        aggregations=lookup(within=config, dpath="figures/aggregations"),
    message:
        "Drawing the global variance of all networks"
    script:
        "../scripts/plot_global_variance.py"


rule plot_depth:
    input:
        variance=collect(rules.measure_variance.output.variance, **NETWORKS),
        code=code("plot_depth"),
    output:
        **overview_figure("depth_{aggregation}", caption="depth", aggregation="{aggregation}"),
    log:
        "<logs>/plot_depth/{aggregation}.log",
    benchmark:
        "<benchmarks>/plot_depth/{aggregation}.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    message:
        "Drawing variance by relative depth, {wildcards.aggregation}"
    script:
        "../scripts/plot_depth.py"


if config["transformations"]:

    rule plot_transformations:
        input:
            rotation=collect(rules.measure_variance.output.variance, **NETWORKS),
            others=collect(rules.measure_transformation.output.variance, **TRANSFORMED),
            code=code("plot_transformations"),
        output:
            **overview_figure("transformations_{aggregation}", caption="transformations", aggregation="{aggregation}"),
        log:
            "<logs>/plot_transformations/{aggregation}.log",
        benchmark:
            "<benchmarks>/plot_transformations/{aggregation}.tsv"
        conda:
            "../envs/plot.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=growing(60),
        message:
            "Drawing trainings against transformations, {wildcards.aggregation}"
        script:
            "../scripts/plot_transformations.py"


rule plot_agreement:
    input:
        accuracy="<tables>/accuracy.csv",
        global_variance="<tables>/global_variance.csv",
        sums=["<tables>/accuracy.sha256", "<tables>/global_variance.sha256"],
        code=code("plot_agreement"),
    output:
        **overview_figure("agreement", caption="agreement"),
    log:
        "<logs>/plot_agreement.log",
    benchmark:
        "<benchmarks>/plot_agreement.tsv"
    conda:
        "../envs/plot.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    message:
        "Drawing our values against the published ones"
    script:
        "../scripts/plot_agreement.py"


rule figures:
    input:
        [f"<figures>/{figure['name']}.png" for figure in drawn()],
    localrule: True


# One data set and model by name: snakemake mnist_simple_conv
for dataset in config["datasets"]:
    for model in config["models"]:

        rule:
            name:
                f"{dataset}_{model}"
            input:
                [
                    f"<figures>/{figure['name']}.png"
                    for figure in drawn(dataset=[dataset], model=[model])
                    if "model" in figure["labels"]
                ],
            localrule: True
