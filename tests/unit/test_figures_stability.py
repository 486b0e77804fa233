"""Layer means with what chance does to them, and differences that it hides."""

import numpy as np
import pandas as pd
import pytest
from figure_tables import WANTED, draws, network, seeds, stable, variance

from rotvar.errors import InputError
from rotvar.figures.stability import stability
from rotvar.questions import differences


def test_the_means_and_intervals_are_those_of_the_summary() -> None:
    summary = stable(variance())  # layers conv and fc, unrotated and rotated, one seed
    means, _ = stability(summary, "mean", **WANTED).axes[:2]
    unrotated, rotated = means.lines
    np.testing.assert_allclose(unrotated.get_ydata(), [1.0, 1.5])
    np.testing.assert_allclose(rotated.get_ydata(), [0.5, 0.75])
    for band, training in zip(means.collections, ["unrotated", "rotated"], strict=True):
        rows = summary[summary["training"] == training]
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((rows["low"].min(), rows["high"].max()))


def test_lines_are_the_smallest_visible_differences_and_crosses_the_differences() -> None:
    summary = stable(variance())
    lines = stability(summary, "mean", **WANTED).axes[1].lines
    crosses = [line for line in lines if line.get_marker() == "x"]
    visible = [line for line in lines if line.get_marker() == "o"]
    wanted = [line for line in lines if line.get_linestyle() == "--"]
    (away,) = crosses
    np.testing.assert_allclose(away.get_ydata(), [0.5, 0.75])
    for line, training in zip(visible, ["unrotated", "rotated"], strict=True):
        np.testing.assert_allclose(
            line.get_ydata(), summary[summary["training"] == training]["smallest_difference"].to_list()
        )
    assert [line.get_ydata()[0] for line in wanted] == [0.05]


def test_the_key_says_which_difference_is_which() -> None:
    words = [text.get_text() for text in stability(stable(variance()), "mean", **WANTED).legends[0].get_texts()]
    assert words[-3:] == ["smallest visible", "difference from unrotated", "looked for: 0.05"]


def test_seeds_have_a_band_of_their_own_and_are_counted() -> None:
    summary = stable(seeds({"conv": [0.5], "fc": [1.0]}, {"conv": [0.7], "fc": [2.0]}, {"conv": [0.9], "fc": [3.0]}))
    figure = stability(summary, "mean", **WANTED)
    assert len(figure.axes[0].collections) == 2
    heights = figure.axes[0].collections[1].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.5, 3.0))
    assert figure.axes[1].get_title() == "visible with 3 seeds, 10,000 images"
    assert "mean ± std over 3 seeds" in figure.get_suptitle()


def test_of_one_seed_it_is_said_that_others_are_unknown() -> None:
    figure = stability(stable(variance()), "mean", **WANTED)
    assert figure.axes[1].get_title() == "visible with 10,000 images"
    assert "one seed: the images' part alone" in figure.get_suptitle()
    assert "95 % confidence, 80 % power" in figure.get_suptitle()


def test_a_training_alone_has_no_crosses() -> None:
    summary = differences.summarize(draws(variance({"rotated": {"conv": [0.5], "fc": [1.0]}})), **WANTED)
    lines = stability(summary, "mean", **WANTED).axes[1].lines
    assert not [line for line in lines if line.get_marker() == "x"]


def test_one_network_at_a_time_and_an_aggregation_that_was_measured() -> None:
    table = network(4, 3)
    both = pd.concat([stable(table), stable(table.assign(model="resnet"))])
    with pytest.raises(InputError, match="The figure shows one model, the table holds vgg16, resnet"):
        stability(both, "mean", **WANTED)
    with pytest.raises(InputError, match="There is no aggregation 'max' in the table"):
        stability(stable(table), "max", **WANTED)
