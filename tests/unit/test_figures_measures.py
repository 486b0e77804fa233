"""Every measure by layer, one under the other."""

import numpy as np
import pandas as pd
import pytest
from figure_tables import floor, seeds, variance, with_measures
from matplotlib.colors import to_hex

from rotvar.errors import InputError
from rotvar.figures import theme
from rotvar.figures.measures import measures

TABLE = with_measures(variance(strata=["all", "stratified"], aggregations=["mean", "spatial"]))


def lines(table: pd.DataFrame, aggregation: str = "mean", **options: object) -> dict[str, list[list[float]]]:
    """Panel (measure, aggregation) -> the values of its lines."""
    figure = measures(table, aggregation, **options)
    return {
        f"{axes.get_title(loc='left')}, {axes.get_title(loc='right')}": [
            line.get_ydata().tolist() for line in axes.lines
        ]
        for axes in figure.axes
    }


def test_a_panel_for_each_measure_and_in_it_a_line_for_each_training() -> None:
    found = lines(TABLE)
    assert list(found) == [
        "Normalized variance, aggregation: mean",
        "Normalized distance, aggregation: mean",
        "Units whose mean rotation moves, p < 0.05, aggregation: mean",
        "Local / global firing rate, aggregation: mean",
        "Maps turned back: normalized variance, aggregation: same_equivariance",
    ]
    assert found["Normalized variance, aggregation: mean"] == [[1.0, 1.5], [0.5, 0.75]]
    assert found["Normalized distance, aggregation: mean"] == pytest.approx(np.array([[1.1, 1.65], [0.55, 0.825]]))
    # p is below 0.05 where the value is below 0.9
    assert found["Units whose mean rotation moves, p < 0.05, aggregation: mean"] == pytest.approx(
        np.array([[1 / 3, 0], [1, 0.5]])
    )
    assert found["Local / global firing rate, aggregation: mean"][0] == pytest.approx([60, (60 + 30) / 2])
    turned = found["Maps turned back: normalized variance, aggregation: same_equivariance"]
    assert turned == pytest.approx(np.array([[0.6, 0.9], [0.3, 0.45]]))


def test_the_colour_is_the_training_and_the_floor_a_dotted_line_with_a_gap_where_there_are_no_maps() -> None:
    figure = measures(TABLE, "mean", floor(TABLE))
    *others, turned = figure.axes
    assert [len(axes.lines) for axes in others] == [2, 2, 2, 2]
    colours = [to_hex(line.get_color()).upper() for line in turned.lines]
    assert colours == [theme.TRAININGS["unrotated"], theme.TRAININGS["rotated"], "#333333"]
    np.testing.assert_array_equal(turned.lines[2].get_ydata(), [0.1, np.nan])
    assert turned.lines[2].get_linestyle() == ":"
    key = [text.get_text() for text in figure.legends[0].get_texts()]
    assert key == [
        "convolution", "fully connected", "trained unrotated", "trained rotated", "interpolation floor",
    ]  # fmt: skip


def test_the_key_names_no_floor_where_no_layer_has_maps() -> None:
    key = [text.get_text() for text in measures(TABLE, "mean", floor(TABLE).iloc[:0]).legends[0].get_texts()]
    assert key == ["convolution", "fully connected", "trained unrotated", "trained rotated"]


def test_an_aggregation_that_has_no_tests_shows_those_of_another() -> None:
    found = lines(TABLE, "spatial")
    assert list(found)[:4] == [
        "Normalized variance, aggregation: spatial",
        "Normalized distance, aggregation: spatial",
        "Units whose mean rotation moves, p < 0.05, aggregation: mean",
        "Local / global firing rate, aggregation: mean",
    ]


def test_maps_turned_back_are_shown_once() -> None:
    assert list(lines(TABLE, "same_equivariance")) == list(lines(TABLE, "mean"))


def test_a_table_from_before_there_were_other_measures_has_the_one() -> None:
    assert list(lines(variance())) == ["Normalized variance, aggregation: mean"]


def test_a_measure_that_is_missing_everywhere_has_no_panel() -> None:
    table = variance().assign(normalized_distance=1.0, p_value=np.nan)
    assert list(lines(table)) == ["Normalized variance, aggregation: mean", "Normalized distance, aggregation: mean"]


def test_seeds_are_a_mean_and_a_band_in_every_panel() -> None:
    table = with_measures(seeds({"conv": [1.0], "fc": [1.0]}, {"conv": [3.0], "fc": [1.0]}))
    figure = measures(table, "mean")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [2.0, 1.0]
    heights = figure.axes[1].collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((1.1 * (2 - 2**0.5), 1.1 * (2 + 2**0.5)))
    assert all(len(axes.collections) == 1 for axes in figure.axes)
    assert figure.get_suptitle() == "MNIST  ·  VGG16  ·  stratum: all  ·  mean ± std over 2 seeds"


def test_the_axis_of_a_share_ends_a_little_above_1_however_wide_the_band() -> None:
    one = TABLE.assign(seed=0, p_value=0.0)
    panel = measures(pd.concat([one, one.assign(seed=1, p_value=1.0), one.assign(seed=2)]), "mean").axes[2]
    assert panel.get_title("left").startswith("Units whose mean")
    assert panel.get_ylim() == pytest.approx((0, 1.08))  # 2/3 and 0.58 would be 1.24


def test_an_aggregation_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(InputError, match="There is no aggregation 'max' in the table: choose one of mean, spatial"):
        measures(TABLE, "max")
