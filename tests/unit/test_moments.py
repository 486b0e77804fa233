"""Statistics accumulated batch by batch are those of all values at once in float64, cancellation or not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import literal

from rotvar.statistics import kernels, operations
from rotvar.statistics.measures import Statistics
from rotvar.statistics.moments import ROUNDING, Arithmetic, Moments, Series


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def split(values: torch.Tensor, sizes: list[int]) -> tuple[torch.Tensor, ...]:
    return torch.split(values, sizes)


def accumulated(by: Arithmetic, values: torch.Tensor, sizes: list[int]) -> Statistics:
    """The statistics of one class, images x R x units, that comes in batches of these sizes."""
    series = Series(by)
    for batch in split(values, sizes):
        series.update(batch.unsqueeze(3))
    series.finish_class(0)
    return series.by_class[0]


def moments_of(by: Arithmetic, *batches: torch.Tensor) -> Moments:
    moments = Moments(*batches[0].shape[1:], batches[0].device, by)
    for batch in batches:
        moments.add(batch)
    return moments


def as_array(statistics: Statistics) -> np.ndarray:
    return np.stack([statistics.transformation_std, statistics.sample_std, statistics.normalized_variance])


def definition(values: torch.Tensor) -> np.ndarray:
    """Section 2 of the design, on the same floats."""
    return literal(values.double().numpy())


# the merge of Chan, Golub and LeVeque


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from([0.0, 1.0, 1e3, 1e6]))
def test_batches_added_or_merged_are_one_shot_in_float64(by, sizes, offset):
    values = noise(sum(sizes), 3, 2, seed=sum(sizes)).double() + offset
    batches = split(values, sizes)
    merged = moments_of(by, batches[0])
    for batch in batches[1:]:
        merged.merge(moments_of(by, batch))
    for moments in (merged, moments_of(by, *batches)):
        assert moments.n == sum(sizes)
        np.testing.assert_allclose(moments.mean, values.mean(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(moments.m2, ((values - values.mean(0)) ** 2).sum(0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(moments.std_sum, values.std(1).sum(0), rtol=1e-9)
        np.testing.assert_allclose(moments.variance_sum, values.var(1).sum(0), rtol=1e-9)


def test_two_images_of_known_moments(by):
    """Values 1, 3 of the first image under two rotations; 5, 11 of the second."""
    first, second = torch.tensor([[[1.0], [3.0]]]), torch.tensor([[[5.0], [11.0]]])
    merged = moments_of(by, first)
    merged.merge(moments_of(by, second))
    for moments in (moments_of(by, first, second), moments_of(by, torch.cat([first, second])), merged):
        assert moments.n == 2
        assert moments.mean.flatten().tolist() == [3, 7]
        assert moments.m2.flatten().tolist() == [8, 32]  # twice 2 squared, twice 4 squared
        assert moments.std_sum.item() == pytest.approx((2 + 6) / 2**0.5)
        assert moments.variance_sum.item() == pytest.approx((4 + 36) / 2)


def test_moments_are_kept_in_float64_and_their_size_does_not_grow_with_the_images(by):
    for n in (1, 50):
        moments = moments_of(by, noise(n, 4, 3))
        tensors = {name: getattr(moments, name) for name in Moments.TENSORS}
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        assert shapes == {"mean": (4, 3), "m2": (4, 3), "std_sum": (3,), "variance_sum": (3,)}
        assert {tensor.dtype for tensor in tensors.values()} == {torch.float64}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rotations", [2, 3])
def test_what_is_compiled_does_what_pytorchs_operations_do(compiled, rotations, dtype, threads, monkeypatch):
    """More units than one block holds, two classes in batches of 4 and 3 images, threads that share the units."""
    monkeypatch.setattr(kernels, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    values = (noise(14, rotations, 2 * kernels.BLOCK + 5) + 2).to(dtype)
    results = []
    for by in (compiled, operations):
        merged, other = (moments_of(by, *one.split(4)) for one in values.split(7))
        merged.merge(other)
        results.append([*(getattr(merged, name) for name in Moments.TENSORS), *merged.spread()])
    *pairs, of_means = zip(*results, strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(*of_means, rtol=1e-5, atol=1e-7)  # where means hardly differ, rounding is what is left


def test_what_is_taken_in_is_left_as_it_was(by):
    values = noise(10, 4, 3)
    before = values.clone()
    accumulated(by, values, [5, 5])
    assert torch.equal(values, before)


# precision


@pytest.mark.parametrize("offset", [0, 1, 1e3, 1e6])
@pytest.mark.parametrize(
    "sizes", [[256], [16] * 16, [1] * 64 + [192], [100, 1, 155]], ids=["one", "sixteen", "single", "odd"]
)
def test_float32_activations_agree_with_the_definition_to_1e_5(by, offset, sizes):
    """At 1e6 floats are 1/16 apart: the noise is coarse then, but the same on both sides."""
    values = noise(256, 16, 5) + offset
    np.testing.assert_allclose(as_array(accumulated(by, values, sizes)), definition(values), rtol=1e-5)


def test_one_far_image_costs_no_precision(by):
    """It is the first of its batch, from which differences are taken."""
    values = noise(128, 16, 4)
    values[0] += 1e4
    np.testing.assert_allclose(as_array(accumulated(by, values, [128])), definition(values), rtol=1e-5)


def test_rotations_that_move_a_unit_little_are_not_lost_beside_images_that_move_it_much(by):
    values = 1000 * noise(64, 1, 3) + 1e-2 * noise(64, 16, 3, seed=1)
    statistics = accumulated(by, values, [16] * 4)
    np.testing.assert_allclose(as_array(statistics), definition(values), rtol=1e-5)
    assert (statistics.normalized_variance < 1e-4).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_activations_are_taken_as_the_numbers_they_are(by, dtype):
    values = (noise(40, 8, 3) + 10).to(dtype)
    np.testing.assert_allclose(as_array(accumulated(by, values, [20, 20])), definition(values), rtol=1e-5)


# constant units


def test_a_unit_that_is_always_the_same_has_no_variance_whatever_its_value(by):
    for value in (0.0, 3.0, 0.1, -1e6):
        statistics = accumulated(by, torch.full((20, 4, 1), value), [7, 13])
        assert as_array(statistics).tolist() == [[0], [0], [1]]


def test_the_rounding_of_a_constant_unit_is_no_variance(by):
    """The last bit of 0.1 flickers, as it does where the order of additions varies."""
    values = torch.full((50, 8, 1), 0.1)
    values[noise(50, 8, 1) > 0] = torch.nextafter(torch.tensor(0.1), torch.tensor(1.0))
    assert definition(values)[0] > 0
    assert as_array(accumulated(by, values, [25, 25])).tolist() == [[0], [0], [1]]


def test_rounding_is_one_float32_epsilon_of_the_root_mean_square():
    assert ROUNDING == 2**-23


@pytest.mark.parametrize("magnitude", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize(("share", "kept"), [(0.9, False), (1.1, True)])
def test_a_std_up_to_rounding_is_zero_and_one_above_it_is_kept(by, magnitude, share, kept):
    """Two values d apart have a std of d / sqrt 2."""
    step = share * ROUNDING * magnitude
    values = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64).unsqueeze(2) * (step * 2**0.5) + magnitude
    moved_by_image = accumulated(by, values, [2])
    moved_by_rotation = accumulated(by, values.transpose(0, 1), [2])
    expected = pytest.approx(step, rel=1e-3) if kept else 0
    assert moved_by_image.sample_std.item() == expected
    assert moved_by_image.transformation_std.item() == 0
    assert moved_by_rotation.transformation_std.item() == expected
    assert moved_by_rotation.sample_std.item() == 0
    assert moved_by_image.normalized_variance.item() == (0 if kept else 1)
    assert moved_by_rotation.normalized_variance.item() == (np.inf if kept else 1)


# classes, positions and strata


def test_a_class_is_closed_and_all_of_them_are_together(by):
    values = noise(30, 4, 2)
    series = Series(by)
    for label, one in enumerate(split(values, [10, 13, 7])):
        for batch in split(one, [4, len(one) - 4]):
            series.update(batch.unsqueeze(3))
        series.finish_class(label)
    for statistics, one in zip(series.by_class.values(), split(values, [10, 13, 7]), strict=True):
        np.testing.assert_allclose(as_array(statistics), definition(one), rtol=1e-5)
    np.testing.assert_allclose(as_array(series.finish()), definition(values), rtol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_stds_of_a_channels_positions_are_averaged_before_the_ratio(by, channels_last):
    values = noise(20, 4, 2, 3) * torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])  # two channels, three positions
    if channels_last:
        values = values.transpose(2, 3).contiguous().transpose(2, 3)
    series = Series(by)
    for batch in values.split(10):
        series.update(batch)
    series.finish_class(0)
    statistics = series.by_class[0]
    transformation_std, sample_std, _ = definition(values.flatten(2)).reshape(3, 2, 3).mean(axis=2)
    np.testing.assert_allclose(statistics.transformation_std, transformation_std, rtol=1e-5)
    np.testing.assert_allclose(statistics.sample_std, sample_std, rtol=1e-5)
    np.testing.assert_allclose(statistics.normalized_variance, transformation_std / sample_std, rtol=1e-5)


@pytest.mark.parametrize("channels_last", [(False, True), (True, False), (True, True)])
def test_series_merge_whatever_the_layout_of_the_activations_they_have_seen(by, channels_last):
    values = noise(20, 4, 2, 3).double()
    one, other = Series(by), Series(by)
    for label, (series, last) in enumerate(zip((one, other), channels_last, strict=True)):
        batch = values[10 * label : 10 * label + 10]
        series.update(batch.transpose(2, 3).contiguous().transpose(2, 3) if last else batch)
        series.finish_class(label)
    one.merge(other)
    transformation_std, sample_std, _ = definition(values.flatten(2)).reshape(3, 2, 3).mean(axis=2)
    np.testing.assert_allclose(one.finish().transformation_std, transformation_std, rtol=1e-5)
    np.testing.assert_allclose(one.finish().sample_std, sample_std, rtol=1e-5)
    torch.testing.assert_close(one.laid_out(False).mean, values.mean(0).flatten(1))


def test_the_mean_over_positions_is_that_of_float64(by):
    """A map of 1e4 and its negative, and 1e-4: in float32 the small one would drown."""
    maps = torch.tensor([1e4, 1e-4, -1e4, 0]).expand(10, 3, 4)
    means, maxima = by.mean_and_max(maps)
    assert means.dtype == torch.float64
    torch.testing.assert_close(means, torch.full((10, 3), 0.25e-4, dtype=torch.float64), rtol=1e-6, atol=0)
    assert torch.equal(maxima, torch.full((10, 3), 1e4))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("positions", [2, kernels.LANES, 3 * kernels.LANES + 5, 2 * kernels.WORTH_TWO + 5])
@pytest.mark.parametrize("channels", [3, operations.VECTOR, 3 * operations.VECTOR // 2])
def test_mean_and_maximum_over_positions_in_either_layout(by, channels, positions, channels_last, threads, monkeypatch):
    monkeypatch.setattr(operations, "PIECE", 2 * channels * positions)
    monkeypatch.setattr(kernels, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    maps = noise(5, channels, positions) - 4  # all negative: a maximum is not 0
    maps = maps.transpose(1, 2).contiguous().transpose(1, 2) if channels_last else maps
    means, maxima = by.mean_and_max(maps)
    torch.testing.assert_close(means, maps.double().mean(2), rtol=1e-14, atol=0)
    assert torch.equal(maxima, maps.amax(2))


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("positions", [40, 2 * kernels.WORTH_TWO + 5])
def test_a_value_that_is_not_finite_shows_in_mean_and_maximum(by, positions, broken, channels_last):
    maps = noise(2, 3, positions)
    maps[1, 2, positions // 5] = broken
    maps = maps.transpose(1, 2).contiguous().transpose(1, 2) if channels_last else maps
    for values in by.mean_and_max(maps):
        finite = torch.isfinite(values)
        assert not finite[1, 2] and finite.sum() == 5


def test_moments_are_scaled_and_shifted_unit_by_unit(by):
    values, scale, shift = noise(20, 4, 3).double(), torch.tensor([2.0, -0.5, 0.0]), torch.tensor([0.0, 7.0, 1.0])
    scaled, expected = moments_of(by, values).scaled(scale, shift), moments_of(by, values * scale + shift)
    for name in Moments.TENSORS:
        torch.testing.assert_close(getattr(scaled, name), getattr(expected, name), rtol=1e-9, atol=1e-12)
    assert scaled.n == 20


def test_a_multiple_of_a_unit_has_multiples_of_its_stds_and_the_same_ratio(by):
    values = noise(20, 4, 3)
    scaled = as_array(accumulated(by, values, [20]).scaled(49))
    np.testing.assert_allclose(scaled, definition(49 * values), rtol=1e-5)
