"""Figures of one and of many trainings, of short and of the longest names: nothing is cut off, and no title hides
another."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import pytest
import test_figures_convergence
import test_figures_feature_maps
from figure_tables import FIVE, accuracy, history, retrained, under, variance
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from test_figures_degenerate import VARIANCE_FIGURES, is_whole

from rotvar import tables
from rotvar.figures.accuracy import accuracy_bars
from rotvar.figures.accuracy_by_angle import accuracy_by_angle
from rotvar.figures.accuracy_polar import accuracy_polar
from rotvar.figures.convergence import convergence
from rotvar.figures.feature_maps import feature_maps
from rotvar.figures.retraining import retraining
from rotvar.figures.training_curves import training_curves

LONG = ["rotated", *(f"{letter}_training_whose_name_is_as_long_as_one_may_be_" for letter in "abcd")]  # 50 letters
NETWORK = {f"conv{layer}": [0.5 + layer / 10, 1.0] for layer in range(12)}
MODELS = ["simple_conv", "all_convolutional", "vgg16", "vgg_like", "resnet"]


def accuracies(trainings: Sequence[str], seeds: int) -> pd.DataFrame:
    table = accuracy(seeds=seeds)
    return under(trainings, table.assign(correct=table["correct"].clip(lower=0)), "correct")


OTHER_FIGURES: dict[str, Callable[[Sequence[str], int], Figure]] = {
    "accuracy": lambda names, seeds: accuracy_bars(accuracies(names, seeds), tables.published()["accuracy"]),
    "accuracy_by_angle": lambda names, seeds: accuracy_by_angle(accuracies(names, seeds)),
    "accuracy_polar": lambda names, seeds: accuracy_polar(accuracies(names, seeds)),
    "training_curves": lambda names, seeds: training_curves(under(names, history(10, seeds), "loss", "accuracy")),
    "convergence": lambda names, _: convergence(
        under(names, test_figures_convergence.table(test_figures_convergence.VALUES)), images=2000, angles=4
    ),
    "feature_maps": lambda names, _: feature_maps(under(names, test_figures_feature_maps.table())),
    "retraining": lambda names, seeds: retraining(
        retrained(dict.fromkeys(NETWORK, "convolution"), seeds).assign(training=names[0], retrained=names[-1])
    ),
}
COMPARING = ("global_variance", "transformations", "transfer", "depth")  # several models and data sets


def networks(trainings: Sequence[str], seeds: int) -> pd.DataFrame:
    """Of the strata and aggregations that figures need; the units differ a little from seed to seed."""
    parts = [
        variance({"rotated": NETWORK}, ["all", "stratified", "0 - zero"], ["mean", "spatial"], seed=seed).assign(
            normalized_variance=lambda table, seed=seed: table["normalized_variance"] * (1 + 0.1 * seed)
        )
        for seed in range(seeds)
    ]
    return under(trainings, pd.concat(parts), "normalized_variance")


def draw(figure: str, trainings: Sequence[str], seeds: int) -> Figure:
    if figure in OTHER_FIGURES:
        return OTHER_FIGURES[figure](trainings, seeds)
    table = networks(trainings, 1 if figure == "emergence" else seeds)
    if figure in COMPARING:
        places = [(dataset, model) for dataset in ("fashion_mnist", "cifar10") for model in MODELS]
        table = pd.concat([table.assign(dataset=dataset, model=model) for dataset, model in places])
    return VARIANCE_FIGURES[figure](table)


def marks(axes: Axes) -> Iterator[np.ndarray]:
    """Where lines and points are drawn, in pixels (number x 2)."""
    for line in axes.lines:
        yield line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float))
    for collection in axes.collections:
        if isinstance(collection, PathCollection):  # a scatter
            yield collection.get_offset_transform().transform(collection.get_offsets())


def titles(figure: Figure) -> list[Bbox]:
    texts = [text for axes in figure.axes for text in axes.get_children() if isinstance(text, Text)]
    inside = {text for axes in figure.axes for text in axes.texts}
    return [text.get_window_extent() for text in texts if text.get_text() and text not in inside]


@pytest.mark.parametrize("figure", [*VARIANCE_FIGURES, *OTHER_FIGURES])
@pytest.mark.parametrize(
    ("trainings", "seeds"),
    [(["rotated"], 1), (FIVE[:3], 3), (FIVE, 1), (LONG, 3)],
    ids=["one", "three", "five", "five of long names"],
)
def test_all_is_drawn_inside_and_no_title_hides_another(figure: str, trainings: Sequence[str], seeds: int) -> None:
    is_whole(drawn := draw(figure, trainings, seeds))
    for axes in drawn.axes:
        for points in marks(axes):
            points = points[np.isfinite(points).all(axis=1)]
            assert (points >= axes.bbox.min - 1).all()
            assert (points <= axes.bbox.max + 1).all()
    shown = titles(drawn)
    assert not [(one, other) for place, one in enumerate(shown) for other in shown[:place] if one.overlaps(other)]


@pytest.mark.parametrize("figure", COMPARING)
def test_all_is_drawn_inside_and_no_title_hides_another_whatever_networks_are_called(figure: str) -> None:
    table = networks(LONG[:3], 2)
    table = pd.concat([table.assign(dataset=f"data_set_{letter}_" * 4, model=letter * 50) for letter in "ab"])
    is_whole(drawn := VARIANCE_FIGURES[figure](table))
    shown = titles(drawn)
    assert not [(one, other) for place, one in enumerate(shown) for other in shown[:place] if one.overlaps(other)]


@pytest.mark.parametrize("figure", [name for name in VARIANCE_FIGURES if name not in COMPARING] + ["accuracy_by_angle"])
def test_a_figure_of_five_trainings_is_no_wider_than_a_page(figure: str) -> None:
    assert draw(figure, FIVE, 1).get_figwidth() < 16  # inches
