"""What is said of differences between layer means holds in simulations of studies."""

import math

import numpy as np
import pandas as pd
import pytest

from rotvar.questions import differences

WANTED = {"confidence": 0.95, "power": 0.8, "difference": 0.05}


def found(
    apart: float, between: float, by_images: float, seeds: int, confidence: float, studies: int = 40_000
) -> float:
    """The share of simulated studies that find two trainings `apart`: of each the mean over `seeds`, on images that all
    seeds share, and a two-sided test of the difference, whose variance is known."""
    generator = np.random.default_rng(0)
    means = [
        generator.normal(0, between, (studies, seeds)).mean(1) + generator.normal(0, by_images, studies) for _ in "ab"
    ]
    variance = 2 * (between**2 / seeds + by_images**2)
    z = (means[0] - means[1] + apart) / math.sqrt(variance)
    p = np.array([math.erfc(abs(value) / math.sqrt(2)) for value in z])
    return float((p < 1 - confidence).mean())


@pytest.mark.parametrize(("confidence", "power"), [(0.95, 0.8), (0.99, 0.9), (0.9, 0.5)])
@pytest.mark.parametrize(("between", "by_images", "seeds"), [(0.03, 0.01, 3), (0.0, 0.02, 1), (0.05, 0.0, 10)])
def test_the_smallest_visible_difference_is_found_with_that_power(confidence, power, between, by_images, seeds):
    visible = differences.smallest(between**2 / seeds + by_images**2, confidence, power)
    assert found(visible, between, by_images, seeds, confidence) == pytest.approx(power, abs=0.01)
    assert found(0, between, by_images, seeds, confidence) == pytest.approx(1 - confidence, abs=0.01)


def test_the_textbooks_number_of_samples():
    """Two groups half a standard deviation apart, 5 % two-sided, 80 % power: 63 in each (64 with t's distribution)."""
    assert differences.needed(0.5, 1.0, 0.0, 1000, 0.95, 0.8) == (63, 2)
    assert differences.needed(0.5, math.nan, 0.1, 100, 0.95, 0.8) == (None, 63)


@pytest.mark.parametrize("difference", [0.01, 0.05, 0.2])
@pytest.mark.parametrize(
    ("between", "by_images"), [(0.03, 0.004), (0.004, 0.03), (0.03, 0.0), (0.0, 0.03), (0.03, 1e-12)]
)
def test_as_many_seeds_and_images_as_are_needed_make_the_difference_visible(difference, between, by_images):
    seeds, images = differences.needed(difference, between, by_images, 1000, 0.95, 0.8)

    def visible(seeds: int, images: int) -> float:
        return differences.smallest(between**2 / seeds + by_images**2 * 1000 / images, 0.95, 0.8)

    assert visible(seeds, images) <= difference * (1 + 1e-9)
    assert images == 2 or visible(seeds, images - 1) > difference
    if images <= 1000:  # then as few seeds as can be, with the images that there are
        assert seeds == 1 or visible(seeds - 1, 1000) > difference


def test_images_that_there_are_too_few_of_are_not_made_up_for_by_seeds_alone():
    """Nor by seeds beyond counting, where they are only just enough: images then give way."""
    few = differences.needed(0.1, 0.05, 0.0252, 1000, 0.95, 0.8)
    assert differences.smallest(0.05**2 / 1e6 + 0.0252**2, 0.95, 0.8) == pytest.approx(0.1, rel=0.01)
    assert few[0] < 10
    assert 1000 < few[1] < 3000


def table(*seeds: list[float], layer: str = "conv1", images: int = 1000, **places: object) -> pd.DataFrame:
    """What `stability.measure` gives for one layer: of each seed the value of the images as they are, then of draws."""
    parts = []
    for seed, values in enumerate(seeds):
        part = pd.DataFrame({"replicate": range(len(values)), "normalized_variance": values, "seed": seed})
        parts.append(part)
    described = {"layer": layer, "layer_index": 0, "kind": "convolution", "aggregation": "mean", "images": images}
    return pd.concat(parts, ignore_index=True).assign(**(described | places))


def draws(mean: float, std: float, seed: int) -> list[float]:
    return [mean, *np.random.default_rng(seed).normal(mean, std, 2000)]


def test_a_layer_of_several_seeds():
    values = table(draws(0.5, 0.01, 0), draws(0.54, 0.01, 1), draws(0.46, 0.01, 2), dataset="mnist", training="rotated")
    (row,) = differences.summarize(values, **WANTED).to_dict("records")
    assert (row["dataset"], row["training"], row["layer"]) == ("mnist", "rotated", "conv1")
    assert (row["seeds"], row["images"]) == (3, 1000)
    assert row["normalized_variance"] == pytest.approx(0.5)
    assert row["std"] == pytest.approx(0.04)
    by_images = 0.01 / math.sqrt(3)  # these seeds' draws are independent
    assert row["image_std"] == pytest.approx(by_images, rel=0.05)
    assert (row["low"], row["high"]) == pytest.approx((0.5 - 1.96 * by_images, 0.5 + 1.96 * by_images), abs=0.001)
    visible = (1.960 + 0.8416) * math.sqrt(2 * (0.04**2 / 3 + by_images**2))
    assert row["smallest_difference"] == pytest.approx(visible, rel=0.01)
    most = 0.05**2 / (2 * (1.960 + 0.8416) ** 2)
    assert row["seeds_needed"] == pytest.approx(0.04**2 / (most - by_images**2), abs=1)
    assert row["images_needed"] <= 1000


def test_what_the_draws_have_in_common_does_not_average_out_over_the_seeds():
    """All networks see the same draws."""
    common = np.random.default_rng(0).normal(0, 0.01, 2000)
    (row,) = differences.summarize(table([0.4, *(0.4 + common)], [0.6, *(0.6 + common)]), **WANTED).to_dict("records")
    assert row["image_std"] == pytest.approx(0.01, rel=0.05)
    assert row["normalized_variance"] == pytest.approx(0.5)


def test_of_one_seed_the_images_alone_are_known():
    (row,) = differences.summarize(table(draws(0.5, 0.01, 0)), **WANTED).to_dict("records")
    assert row["seeds"] == 1
    assert np.isnan(row["std"])
    assert pd.isna(row["seeds_needed"])
    assert row["smallest_difference"] == pytest.approx((1.960 + 0.8416) * math.sqrt(2) * 0.01, rel=0.05)
    assert row["images_needed"] == pytest.approx(1000 * (row["smallest_difference"] / 0.05) ** 2, abs=1)


def test_layers_keep_their_order_and_their_networks_apart():
    values = pd.concat(
        table([0.5, 0.5, 0.6], layer=name, layer_index=index, training=training)
        for training in ("unrotated", "rotated")
        for index, name in enumerate(["conv2", "conv1", "fc"])
    )
    summary = differences.summarize(values, **WANTED)
    assert list(summary["layer"]) == ["conv2", "conv1", "fc"] * 2
    assert list(summary["training"]) == ["unrotated"] * 3 + ["rotated"] * 3


def test_a_layer_without_a_finite_unit_has_no_value():
    (row,) = differences.summarize(table([math.nan] * 4, [math.nan] * 4), **WANTED).to_dict("records")
    assert row["seeds"] == 0
    assert all(np.isnan(row[name]) for name in ("normalized_variance", "low", "high", "std", "smallest_difference"))
    assert pd.isna(row["seeds_needed"]) and pd.isna(row["images_needed"])


def test_a_layer_that_nothing_moves_needs_the_least_of_all():
    (row,) = differences.summarize(table([1.0] * 4, [1.0] * 4), **WANTED).to_dict("records")
    assert row["smallest_difference"] == 0
    assert (row["seeds_needed"], row["images_needed"]) == (1, 2)
