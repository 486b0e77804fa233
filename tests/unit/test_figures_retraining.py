"""Which layers must be retrained: a dot a scheme, lines to compare it with."""

import numpy as np
import pytest
from figure_tables import retrained
from matplotlib.axes import Axes
from matplotlib.colors import same_color

from rotvar.errors import InputError
from rotvar.figures import theme
from rotvar.figures.retraining import retraining

LAYERS = {"conv1": "convolution", "conv2": "convolution", "fc": "fully connected"}
TABLE = retrained(LAYERS)


def share(scheme: str, test: str) -> float:
    return TABLE[(TABLE["scheme"] == scheme) & (TABLE["test"] == test)]["accuracy"].item()


def dots(axes: Axes) -> np.ndarray:
    (line,) = (line for line in axes.lines if line.get_marker() == "o")
    return np.asarray(line.get_ydata())


def test_a_panel_for_each_test_set_with_a_dot_for_each_layer_and_group() -> None:
    panels = retraining(TABLE).axes[:2]
    assert [axes.get_title() for axes in panels] == ["rotated test set", "unrotated test set"]
    shown = [*LAYERS, "all convolutions", "all fully connected", "all"]
    for axes, test in zip(panels, ("rotated", "unrotated"), strict=True):
        assert dots(axes).tolist() == [share(scheme, test) for scheme in shown]
        names = axes.child_axes[0].get_xticklabels()
        assert [name.get_text() for name in names] == shown


def test_lines_show_what_nothing_everything_and_another_training_give() -> None:
    figure = retraining(TABLE)
    levels = [line for line in figure.axes[0].lines if line.get_marker() != "o" and line.get_ydata()[0] > 0]
    expected = [share(scheme, "rotated") for scheme in ("none", "all", "from the start")]
    assert [line.get_ydata()[0] for line in levels] == expected
    assert same_color(levels[0].get_color(), theme.TRAININGS["unrotated"])
    assert same_color(levels[2].get_color(), theme.TRAININGS["rotated"])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[-4:] == ["retrained", "nothing retrained", "everything retrained", "trained rotated from the start"]
    assert "trained unrotated, retrained rotated" in figure.get_suptitle()


def test_several_seeds_are_their_mean_with_error_bars() -> None:
    table = retrained(LAYERS, seeds=3)
    figure = retraining(table)
    rows = table[(table["scheme"] == "conv2") & (table["test"] == "rotated")]
    assert dots(figure.axes[0])[1] == pytest.approx(rows["accuracy"].mean())
    assert len(figure.axes[0].containers) == 1
    assert "mean ± std over 3 seeds" in figure.get_suptitle()
    assert not retraining(TABLE).axes[0].containers


def test_a_layer_that_is_named_like_a_group_is_a_layer() -> None:
    table = retrained({"all": "convolution"})
    assert len(dots(retraining(table).axes[0])) == 4


def test_one_network_at_a_time() -> None:
    table = TABLE.copy()
    table.loc[0, "model"] = "vgg16"
    with pytest.raises(InputError, match="The figure shows one model"):
        retraining(table)
