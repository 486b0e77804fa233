"""Every figure looks as it did when someone last looked at it: the images in `golden`.

A test draws a figure from a fixed table of `figure_tables`; its image is `<module>_<what>.png`.
docs/development.md, "Images of figures", says how to renew an image after a change that is meant. Look at it before
you commit it.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import test_figures_convergence
import test_figures_feature_maps
from figure_tables import (
    FIVE,
    WANTED,
    accuracy,
    elsewhere,
    emerging,
    floor,
    history,
    network,
    published,
    retrained,
    stable,
    under,
    under_several,
    with_measures,
)
from matplotlib.figure import Figure

from rotvar import figures, summary
from rotvar.figures import theme
from rotvar.figures.accuracy import accuracy_bars
from rotvar.figures.accuracy_by_angle import accuracy_by_angle
from rotvar.figures.accuracy_polar import accuracy_polar
from rotvar.figures.agreement import agreement
from rotvar.figures.classes import by_class
from rotvar.figures.convergence import convergence
from rotvar.figures.depth import by_depth
from rotvar.figures.distribution import distribution
from rotvar.figures.emergence import emergence
from rotvar.figures.feature_maps import feature_maps
from rotvar.figures.global_variance import global_variance
from rotvar.figures.heatmap import heatmap
from rotvar.figures.last_layer import last_layer
from rotvar.figures.layers import by_layer
from rotvar.figures.measures import measures
from rotvar.figures.retraining import retraining
from rotvar.figures.stability import stability
from rotvar.figures.training_curves import training_curves
from rotvar.figures.transfer import transfer, transfer_by_layer
from rotvar.figures.transformations import transformations
from rotvar.tables import published as published_values

GOLDEN = Path(__file__).parent / "golden"
SHARED = {"__init__", "layer_axis", "scale", "seeds", "theme"}  # modules that draw no figure of their own
BOTH = ["mean", "spatial"]


def golden(module: str, what: str) -> Callable[[Callable[[], Figure]], Callable[[], Figure]]:
    """Compare the figure that the test returns with its image, up to a root mean square of 0.5 of 255 per pixel."""
    return pytest.mark.mpl_image_compare(
        filename=f"{module}_{what}.png", tolerance=0.5, style=theme.STYLE, savefig_kwargs={"dpi": 60}
    )


def several(layers: int, units: int, seeds: int) -> pd.DataFrame:
    return pd.concat([network(layers, units, seed) for seed in range(seeds)], ignore_index=True)


def layers(count: int) -> dict[str, str]:
    """Convolutions with names as long as those of a deep ResNet, and a fully connected layer."""
    return {f"layer{place // 6 + 1}.{place % 6}.conv2": "convolution" for place in range(count - 1)} | {
        "fc": "fully connected"
    }


def study() -> list[pd.DataFrame]:
    """Two data sets, two models, two seeds, 10 and 25 layers; global values are published for all of them."""
    return [
        network(layers, 6, seed).assign(dataset=dataset, model=model)
        for dataset, add in (("mnist", 0), ("cifar10", 1))
        for model, layers in (("simple_conv", 10 + add), ("resnet", 25))
        for seed in range(2)
    ]


@golden("heatmap", "shallow")
def test_heatmap_of_16_layers() -> Figure:
    return heatmap(network(16, 24), "all", "mean")


@golden("heatmap", "deep")
def test_heatmap_of_170_layers_sorted() -> Figure:
    return heatmap(network(170, 600, aggregations=["mean"]), "all", "mean", sort=True)


@golden("heatmap", "seeds")
def test_heatmap_of_two_seeds() -> Figure:
    return heatmap(several(7, 12, 2), "0 - zero", "spatial")


@golden("heatmap", "trainings")
def test_heatmap_of_five_trainings() -> Figure:
    return heatmap(under(FIVE, network(16, 24), "normalized_variance"), "all", "mean")


@golden("layers", "shallow")
def test_layers_of_16() -> Figure:
    return by_layer(several(16, 12, 3), "mean")


@golden("layers", "deep")
def test_layers_of_170() -> Figure:
    return by_layer(network(170, 6), "spatial")


@golden("measures", "shallow")
def test_measures_of_16_layers() -> Figure:
    table = with_measures(several(16, 12, 2))
    return measures(table, "mean", floor(table))


@golden("measures", "deep")
def test_measures_of_170_layers() -> Figure:
    return measures(with_measures(network(170, 6)), "spatial")


@golden("classes", "one_seed")
def test_classes() -> Figure:
    return by_class(network(16, 12), "mean")


@golden("classes", "seeds")
def test_classes_of_two_seeds() -> Figure:
    return by_class(several(16, 12, 2), "spatial")


@golden("distribution", "shallow")
def test_distribution_of_16_layers() -> Figure:
    return distribution(several(16, 24, 2), BOTH)


@golden("distribution", "deep")
def test_distribution_of_170_layers() -> Figure:
    return distribution(network(170, 24), BOTH)


@golden("last_layer", "one_seed")
def test_last_layer() -> Figure:
    return last_layer(network(4, 3))


@golden("last_layer", "seeds")
def test_last_layer_of_two_seeds() -> Figure:
    return last_layer(several(4, 3, 2))


@golden("last_layer", "trainings")
def test_last_layer_of_five_trainings() -> Figure:
    return last_layer(under(FIVE, network(4, 3), "normalized_variance"))


@golden("training_curves", "one_seed")
def test_training_curves() -> Figure:
    return training_curves(history())


@golden("training_curves", "seeds")
def test_training_curves_of_three_seeds() -> Figure:
    return training_curves(history(seeds=3))


@golden("training_curves", "trainings")
def test_training_curves_of_five_trainings() -> Figure:
    return training_curves(under(FIVE, history(), "loss", "accuracy"))


@golden("accuracy", "published")
def test_accuracy_beside_the_published_values() -> Figure:
    return accuracy_bars(accuracy(seeds=2), published_values()["accuracy"])


@golden("accuracy", "trainings")
def test_accuracy_of_five_trainings() -> Figure:
    return accuracy_bars(under(FIVE, accuracy(seeds=2), "correct"), published_values()["accuracy"])


@golden("accuracy_by_angle", "seeds")
def test_accuracy_by_angle() -> Figure:
    return accuracy_by_angle(accuracy(seeds=2))


@golden("accuracy_by_angle", "trainings")
def test_accuracy_by_angle_of_five_trainings() -> Figure:
    return accuracy_by_angle(under(FIVE, accuracy(), "correct"))


@golden("accuracy_polar", "seeds")
def test_accuracy_polar() -> Figure:
    return accuracy_polar(accuracy(seeds=2))


@golden("global_variance", "published")
def test_global_variance_beside_the_published_values() -> Figure:
    values = pd.concat(map(summary.global_variance, study()))
    return global_variance(values, published_values()["global_variance"])


@golden("global_variance", "trainings")
def test_global_variance_of_five_trainings() -> Figure:
    values = under(FIVE, pd.concat(map(summary.global_variance, study())), "global_variance")
    return global_variance(values[values["dataset"] == "mnist"], published_values()["global_variance"])


@golden("depth", "seeds")
def test_depth() -> Figure:
    return by_depth(pd.concat(map(summary.layer_means, study())), "mean")


@golden("transformations", "seeds")
def test_transformations() -> Figure:
    return transformations(under_several(pd.concat(map(summary.global_variance, study()))), "mean")


@golden("stability", "seeds")
def test_stability_of_three_seeds() -> Figure:
    return stability(stable(several(16, 12, 3)), "mean", **WANTED)


@golden("stability", "one_seed")
def test_stability_of_one_seed() -> Figure:
    return stability(stable(network(16, 12)), "mean", **WANTED)


@golden("stability", "deep")
def test_stability_of_170_layers() -> Figure:
    return stability(stable(several(170, 6, 2)), "mean", **WANTED)


@golden("transfer", "seeds")
def test_transfer() -> Figure:
    networks = [
        elsewhere(summary.global_variance(one.assign(dataset=dataset)), "global_variance").assign(dataset=dataset)
        for one in study()[:6]
        for dataset in ("mnist", "fashion_mnist")
    ]
    values = pd.concat(networks).drop_duplicates(["dataset", "model", "training", "seed", "measured_on", "stratum"])
    return transfer(values, "mean")


@golden("transfer", "layers")
def test_transfer_by_layer() -> Figure:
    return transfer_by_layer(elsewhere(summary.layer_means(several(16, 12, 2)), "normalized_variance"), "mean")


@golden("agreement", "seeds")
def test_agreement() -> Figure:
    return agreement(published("accuracy", 2), published("global_variance", 2))


@golden("agreement", "none")
def test_agreement_of_nothing() -> Figure:
    return agreement(published("accuracy")[:0], published("global_variance")[:0])


@golden("convergence", "trainings")
def test_convergence() -> Figure:
    values = test_figures_convergence.VALUES
    trainings = [test_figures_convergence.table(values, training=name) for name in ("unrotated", "rotated")]
    return convergence(pd.concat(trainings), images=2000, angles=4)


@golden("convergence", "five_trainings")
def test_convergence_of_five_trainings() -> Figure:
    whole = test_figures_convergence.VALUES.items()
    trainings = [
        test_figures_convergence.table(
            {(n, r, draw): [(1 + 0.1 * step * (n < 80)) * mean for mean in means] for (n, r, draw), means in whole},
            training=name,
        )
        for step, name in enumerate(FIVE)
    ]
    return convergence(pd.concat(trainings), images=2000, angles=4)


@golden("emergence", "shallow")
def test_emergence_in_16_layers() -> Figure:
    return emergence(emerging(network(16, 6)), history(10), "mean")


@golden("emergence", "deep")
def test_emergence_in_170_layers() -> Figure:
    return emergence(emerging(network(170, 3), [0, 1, 2, 5, 10, 20, 30]), history(30), "spatial")


@golden("retraining", "shallow")
def test_retraining_of_7_layers_of_three_seeds() -> Figure:
    return retraining(retrained(layers(7), seeds=3))


@golden("retraining", "deep")
def test_retraining_of_54_layers() -> Figure:
    return retraining(retrained(layers(54)))


@golden("feature_maps", "trainings")
def test_feature_maps() -> Figure:
    return feature_maps(
        pd.concat([test_figures_feature_maps.table(training=name) for name in ("unrotated", "rotated")])
    )


def test_every_figure_has_an_image_and_every_image_a_test() -> None:
    modules = {file.stem for file in Path(figures.__path__[0]).glob("*.py")} - SHARED
    images = {file.stem for file in GOLDEN.glob("*.png")}
    without = {module for module in modules if not any(image.startswith(f"{module}_") for image in images)}
    assert without == set(), "write a test of these modules that returns a figure"
    marks = [mark for test in globals().values() for mark in getattr(test, "pytestmark", [])]
    assert images == {Path(mark.kwargs["filename"]).stem for mark in marks}
