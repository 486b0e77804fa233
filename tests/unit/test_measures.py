"""The measures beside the normalized variance: against all pairs of activations, and against SciPy's tests."""

from itertools import combinations

import numpy as np
import oracle
import pandas as pd
import pytest
import torch
from oracle import MEASURES
from scipy import stats
from test_properties import by_key, measured, noise

from rotvar.rotation import angles
from rotvar.statistics.measures import Spread, Statistics, holm, quotient
from rotvar.variance import measure

pytestmark = pytest.mark.usefixtures("either_way")

N, R, CHANNELS = 9, 4, 3
LABELS = torch.arange(N) % 3


def maps(seed: int = 0) -> torch.Tensor:
    """N x R x channels x 2 x 3, some rotations and images above others."""
    by_rotation = torch.linspace(0, 1, R).view(1, R, 1, 1, 1)
    return noise(seed, N, R, CHANNELS, 2, 3) + noise(seed + 1, N, 1, CHANNELS, 1, 1) + by_rotation


def column(name: str, layers: dict[str, torch.Tensor], stratum: str, aggregation: str, **options: object) -> np.ndarray:
    table = measured_with(layers, **options).reset_index()
    table = table[(table["stratum"] == stratum) & (table["aggregation"] == aggregation)]
    return table.sort_values(["layer", "unit"])[name].to_numpy()


def measured_with(layers: dict[str, torch.Tensor], **options: object) -> pd.DataFrame:
    """As `test_properties.measured`, with all columns."""
    from test_properties import Known, names, pictures

    return by_key(measure(Known(**layers), pictures(N), LABELS, names(LABELS), angles(R), **options))


def distance(values: np.ndarray) -> float:
    """The root mean square distance between two versions of an image over that between two images in one version, of
    a unit's values, n x R x positions."""

    def squared(rows: np.ndarray) -> float:
        return float(np.mean([((one - other) ** 2).sum() for one, other in combinations(rows, 2)]))

    versions = np.mean([squared(image) for image in values])
    images = np.mean([squared(values[:, j]) for j in range(values.shape[1])])
    return float(np.sqrt(versions / images))


@pytest.mark.parametrize(("stratum", "chosen"), [("all", slice(None)), ("class 1", LABELS == 1)])
def test_the_normalized_distance_is_that_of_all_pairs(stratum, chosen):
    values = maps()
    a = values[chosen].double().numpy().reshape(-1, R, CHANNELS, 6)
    whole = [distance(a[:, :, unit]) for unit in range(CHANNELS)]
    means = [distance(a[:, :, unit].mean(axis=2, keepdims=True)) for unit in range(CHANNELS)]
    np.testing.assert_allclose(column("normalized_distance", {"map": values}, stratum, "spatial"), whole, rtol=1e-5)
    np.testing.assert_allclose(column("normalized_distance", {"map": values}, stratum, "mean"), means, rtol=1e-5)


@pytest.mark.parametrize(("aggregation", "pool"), [("mean", np.mean), ("max", np.max), ("sum", np.sum)])
@pytest.mark.parametrize(("stratum", "chosen"), [("all", slice(None)), ("class 2", LABELS == 2)])
def test_f_and_its_significance_are_those_of_scipys_anova_corrected_for_all_units(stratum, chosen, aggregation, pool):
    layers = {"flat": noise(7, N, R, 2) + torch.linspace(0, 2, R).view(1, R, 1), "map": maps()}
    groups = [layers["flat"][chosen].double().numpy(), pool(layers["map"][chosen].double().numpy(), axis=(3, 4))]
    tests = [stats.f_oneway(*(each[:, j, unit] for j in range(R))) for each in groups for unit in range(each.shape[2])]
    f = column("f_statistic", layers, stratum, aggregation)
    np.testing.assert_allclose(f, [test.statistic for test in tests], rtol=1e-4)
    p = column("p_value", layers, stratum, aggregation)
    np.testing.assert_allclose(p, oracle.holm(np.array([test.pvalue for test in tests])), rtol=1e-3)


def test_under_spatial_mean_squares_are_added_over_the_positions_before_their_ratio():
    values = maps().double()
    m = values.mean(0)
    between = N * ((m - m.mean(0)) ** 2).sum((0, 2, 3)) / (R - 1)
    within = ((values - m) ** 2).sum((0, 1, 3, 4)) / (R * (N - 1))
    got = column("f_statistic", {"map": values.float()}, "all", "spatial")
    np.testing.assert_allclose(got, between / within, rtol=1e-4)


def test_significance_is_missing_where_there_is_no_test():
    table = measured_with({"map": maps(), "flat": noise(0, N, R, 2)}).reset_index()
    missing = table[table["p_value"].isna()]
    expected = table[(table["stratum"] == "stratified") | (table["aggregation"] == "spatial")]
    pd.testing.assert_frame_equal(missing, expected)


def test_classes_are_averaged_in_the_stratified_values():
    table = measured_with({"map": maps()}, firing_rate=0.3)
    for name in MEASURES:
        if name != "p_value":
            by_class = [table.xs(f"class {c}", level="stratum")[name] for c in range(3)]
            expected = sum(by_class) / 3
            np.testing.assert_allclose(table.xs("stratified", level="stratum")[name], expected, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_unit_that_nothing_moves_is_at_distance_1_and_not_significant(value):
    values = torch.full((N, R, 1, 2, 2), value)
    table = measured_with({"map": values}).reset_index()
    assert (table["normalized_distance"] == 1).all() and (table["f_statistic"] == 0).all()
    assert (table["p_value"].dropna() == 1).all()


def test_the_rounding_of_a_constant_unit_does_not_count():
    """The last bit flickers, more often at some rotations than at others."""
    values = torch.full((N, R, 1), 0.1)
    values[:, 1:][noise(0, N, R - 1, 1) > 0] = torch.nextafter(torch.tensor(0.1), torch.tensor(1.0))
    table = measured_with({"flat": values}).reset_index()
    assert (table["normalized_distance"] == 1).all() and (table["f_statistic"] == 0).all()


def test_a_unit_that_only_rotation_moves_is_infinitely_far_and_significant():
    values = torch.arange(R, dtype=torch.float32).view(1, R, 1).expand(N, R, 1).clone()
    table = measured_with({"flat": values}).reset_index()
    assert np.isinf(table["normalized_distance"]).all() and np.isinf(table["f_statistic"]).all()
    assert (table["p_value"].dropna() == 0).all()


def test_rotation_that_moves_half_of_the_images_up_and_half_down_leaves_the_mean():
    values = noise(3, N, 1, 1).expand(N, R, 1) + torch.linspace(-1, 1, R).view(1, R, 1) * torch.tensor(
        [1.0, -1, 1, -1, 1, -1, 1, -1, 0]
    ).view(N, 1, 1)
    table = measured_with({"flat": values}).xs("all", level="stratum")
    assert (table["normalized_variance"] > 0.3).all()
    assert (table["f_statistic"] < 1e-9).all()


def test_holm_multiplies_the_smallest_by_all_and_the_next_by_one_less():
    p = np.array([[0.04, 0.01, 0.03, 0.5], [0.2, 0.2, 0.9, 1e-9]])
    assert holm(p) == pytest.approx(np.array([[0.09, 0.04, 0.09, 0.5], [0.6, 0.6, 0.9, 4e-9]]))
    assert np.isnan(holm(np.full((2, 3), np.nan))).all()


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_step_by_step_correction(seed):
    p = np.random.default_rng(seed).beta(0.3, 1, size=40)
    np.testing.assert_allclose(holm(p), oracle.holm(p))


def test_quotients_with_zero():
    above, below = np.array([0.0, 0.0, 2.0, 2.0]), np.array([0.0, 4.0, 0.0, 4.0])
    assert quotient(above, below, of_zeros=1).tolist() == [1, 0, np.inf, 0.5]
    assert quotient(above, below, of_zeros=0).tolist() == [0, 0, np.inf, 0.5]


def statistics(transformation_std: list[float], sample_std: list[float]) -> Statistics:
    stds = np.array(transformation_std), np.array(sample_std)
    return Statistics.of(Spread(*stds, *(std**2 for std in stds), stds[0] ** 2), images=10, rotations=4)


def test_the_average_over_classes_is_that_of_each_value_and_infinite_where_one_is():
    average = Statistics.average([statistics([1, 1], [1, 0]), statistics([3, 3], [1, 2])])
    expected = {
        "transformation_std": [2, 2],
        "sample_std": [1, 1],
        "normalized_variance": [2, np.inf],
        "normalized_distance": [2, np.inf],
        "f_statistic": [50, np.inf],
    }
    assert {name: getattr(average, name).tolist() for name in expected} == expected
    assert np.isnan(average.p_value).all()


def test_a_multiple_of_a_unit_has_other_stds_and_nothing_else():
    one = statistics([1.0, 2.0], [2.0, 3.0])
    for name in MEASURES:
        factor = 7 if name in ("transformation_std", "sample_std") else 1
        np.testing.assert_array_equal(getattr(one.scaled(7), name), factor * getattr(one, name))


def test_names_are_those_of_the_columns():
    assert Statistics._fields == MEASURES


def test_measured_is_the_same_in_all_tests_of_properties():
    """The tables of `test_properties` have the same values as those here."""
    table = measured({"map": maps()}, LABELS)
    pd.testing.assert_frame_equal(table, measured_with({"map": maps()})[list(table.columns)].sort_index())
