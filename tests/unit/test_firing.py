"""Local and global firing rates: against all activations at once, whatever the order, batches and classes."""

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rotvar.errors import InputError
from rotvar.rotation import angles
from rotvar.statistics.firing import Largest, firing
from rotvar.statistics.moments import Series
from rotvar.variance import measure

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rates(values: torch.Tensor, rate: float, batches: int = 4, keep: int | None = None) -> np.ndarray:
    """2 x units, of activations images x R x units."""
    versions = values.shape[0] * values.shape[1]
    largest = Largest.none(keep or firing(rate, versions) + 1, values.shape[2], CPU)
    for batch in values.split(batches):
        largest = largest.add(batch)
    return np.stack([each.numpy() for each in largest.rates(rate, values.shape[1])])


def expected(values: torch.Tensor, rate: float) -> np.ndarray:
    units = [oracle.firing(values[:, :, unit].numpy(), rate) for unit in range(values.shape[2])]
    return np.array(units).T


def test_known_rates():
    """Of 4 images at 2 rotations, 3 of 8 may fire: 9 and 8, which are one image's, and 7."""
    values = torch.tensor([[9.0, 8.0], [1.0, 7.0], [0.0, 2.0], [3.0, 6.0]]).unsqueeze(2)
    local, share = rates(values, 0.4)
    assert local == pytest.approx([(1 + 1 + 1 / 2) / 3])
    assert share == pytest.approx([3 / 8])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 30), st.integers(2, 5), st.floats(0.01, 0.9), st.integers(1, 30), st.integers(0, 2**31),
    st.sampled_from([1.0, 3.0, 1e3]),
)  # fmt: skip
def test_whatever_the_batches_the_rates_are_those_of_all_activations(n, rotations, rate, batches, seed, steps):
    """Rounded to few values, many are equal."""
    values = (steps * noise(n, rotations, 3, seed=seed)).round() / steps
    np.testing.assert_allclose(rates(values, rate, batches), expected(values, rate), rtol=1e-6)


def test_the_order_of_the_images_does_not_matter():
    values = (2 * noise(40, 4, 5)).round()
    shuffled = values[torch.randperm(40)]
    np.testing.assert_array_equal(rates(values, 0.1), rates(shuffled, 0.1))


def test_one_rotation_more_or_less_goes_from_1_over_r_to_1():
    """A unit that fires for whole images, and one that fires for one version of each."""
    whole = torch.zeros(20, 4, 1)
    whole[:5] = torch.arange(1, 6).view(5, 1, 1).float()
    single = torch.zeros(20, 4, 1)
    single[:, 0] = torch.arange(1, 21).view(20, 1).float()
    local, _ = rates(torch.cat([whole, single], dim=2), 0.2)
    assert local == pytest.approx([1, 1 / 4])


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_unit_that_is_always_the_same_never_fires(value):
    assert np.isnan(rates(torch.full((10, 4, 2), value), 0.1)).all()


def test_a_share_below_one_version_never_fires():
    assert np.isnan(rates(noise(10, 4, 2), 0.02)).all()


def test_a_rectified_unit_that_is_mostly_0_fires_less_than_the_share():
    values = torch.zeros(50, 4, 1)
    values[3, 1], values[4, :2] = 1, 2
    local, share = rates(values, 0.1)
    assert local == pytest.approx([(1 / 4 + 2 / 4 + 2 / 4) / 3]) and share == pytest.approx([3 / 200])


def test_a_share_of_a_number_of_versions_is_not_lost_to_rounding():
    assert [firing(0.29, 100), firing(0.01, 100), firing(0.3, 10), firing(0.015, 100)] == [29, 1, 3, 1]


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.4])
def test_no_more_is_kept_than_twice_what_is_needed_and_nothing_is_lost(rate):
    values = noise(300, 4, 3)
    keep = firing(rate, 1200) + 1
    largest = Largest.none(keep, 3, CPU)
    for batch in values.split(5):
        largest = largest.add(batch)
        assert largest.values.shape == largest.images.shape
        assert largest.values.shape[1] <= 2 * keep
    np.testing.assert_allclose(np.stack(largest.rates(rate, 4)), expected(values, rate), rtol=1e-6)


def test_what_is_kept_is_not_a_view_of_an_activation_that_a_network_may_overwrite():
    values = noise(1, 4, 1)
    series = Series(firing_rate=0.5, keep=3)
    series.update(values.unsqueeze(3))
    values.fill_(100)
    series.finish_class(0)
    assert series.by_class[0].global_firing_rate == 0.5


def test_classes_have_thresholds_of_their_own_and_all_images_one_together():
    values = noise(30, 4, 2) + torch.arange(3).repeat_interleave(10).view(30, 1, 1)
    series = Series(firing_rate=0.1, keep=firing(0.1, 120) + 1)
    for label, one in enumerate(values.split(10)):
        for batch in one.split(4):
            series.update(batch.unsqueeze(3))
        series.finish_class(label)
        found = series.by_class[label]
        np.testing.assert_allclose([found.local_firing_rate, found.global_firing_rate], expected(one, 0.1), rtol=1e-6)
    together = series.finish()
    np.testing.assert_allclose(
        [together.local_firing_rate, together.global_firing_rate], expected(values, 0.1), rtol=1e-6
    )


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_that_is_no_share_is_one_sentence(rate):
    given = torch.rand(4, 1, 5, 5), torch.tensor([0, 0, 1, 1]), ["a", "b"], angles(2)
    with pytest.raises(InputError, match=r"firing_rate is .+: a share of the images, more than 0 and less than 1"):
        measure(torch.nn.Conv2d(1, 2, 3), *given, firing_rate=rate)
