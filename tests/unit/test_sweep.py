"""A measurement cut into parts, saved, loaded and merged is the measurement of the whole; what does not fit is said."""

import pickle

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rotvar import models, variance
from rotvar.columns import MEASURES
from rotvar.errors import InputError
from rotvar.rotation import angles
from rotvar.statistics.sweep import KNOWN_AGGREGATIONS, Sweep
from rotvar.transformations import Transformation

pytestmark = pytest.mark.usefixtures("either_way")

CLASSES = ("a", "b", "c", "d", "e")
LABELS = torch.arange(17) % 5


def images(size: int = 8) -> torch.Tensor:
    return torch.rand(len(LABELS), 1, size, size, generator=torch.Generator().manual_seed(0))


def network(width: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return models.build("simple_conv", 1, 8, 5, width=width, hidden=3).eval()


def sweep(part: list[int] | None = None, model: nn.Module | None = None, rotations=None, **options) -> Sweep:
    rotations = angles(3) if rotations is None else rotations
    return variance.sweep(model or network(), images(), LABELS, CLASSES, rotations, part=part, **options)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(5)), st.integers(1, 4), st.data())
def test_however_the_classes_are_cut_into_parts_the_merged_table_is_that_of_the_whole(order, cut, data):
    parts = [sweep(part) for part in (order[:cut], order[cut:])]
    first = data.draw(st.sampled_from([0, 1]))
    merged = parts[first]
    merged.merge(parts[1 - first])
    pd.testing.assert_frame_equal(merged.table(), sweep().table(), rtol=1e-6)


def test_a_saved_part_is_read_back_and_merged_as_if_it_had_stayed(tmp_path):
    for name, part in (("one", [0, 3]), ("other", [1, 2, 4])):
        sweep(part).save(tmp_path / name, {"device": name, "N": len(part)})
    (one, facts), (other, more) = (Sweep.load(tmp_path / name) for name in ("one", "other"))
    assert (facts, more) == ({"device": "one", "N": 2}, {"device": "other", "N": 3})
    assert (one.images, other.images) == (7, 10)
    one.merge(other)
    assert one.images == 17
    pd.testing.assert_frame_equal(one.table(), sweep().table(), rtol=1e-6)


def test_a_part_goes_from_process_to_process():
    parts = [sweep(part, aggregations=KNOWN_AGGREGATIONS) for part in ([0, 3], [1, 2, 4])]
    one, other = pickle.loads(pickle.dumps(parts))
    one.merge(other)
    pd.testing.assert_frame_equal(one.table(), sweep(aggregations=KNOWN_AGGREGATIONS).table(), rtol=1e-6)


def test_a_class_that_is_missing_is_named():
    with pytest.raises(InputError, match="class 'c' has not been measured: merge the part"):
        sweep([0, 1, 3, 4]).table()


def test_a_class_in_two_parts_is_named():
    with pytest.raises(InputError, match="class 'b' is in two parts of a measurement: merge each once"):
        sweep([0, 1]).merge(sweep([1, 2]))


def other_weights() -> nn.Module:
    """A network as it is when its weights are drawn anew in every process."""
    model = network()
    nn.init.normal_(model.conv1.weight, generator=torch.Generator().manual_seed(1))
    return model


@pytest.mark.parametrize(
    ("other", "differ"),
    [
        (dict(model=network(3)), "layers, weights"),
        (dict(model=other_weights()), "weights"),
        (dict(aggregations=["mean"]), "aggregations, layers"),
        (dict(layers=["conv*"]), "layers"),
        (dict(firing_rate=0.1), "firing rate, images"),
        (dict(rotations=angles(3) / 2), "angles"),
        (dict(rotations=angles(4)), "angles"),
        (dict(transform=Transformation({"shear": 80})), "transformation"),
        (dict(mean=[0.5]), "mean"),
        (dict(std=[0.5]), "std"),
        (dict(precision="bfloat16"), "precision"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parts_of_different_measurements_are_refused_with_what_they_differ_in(other, differ, tmp_path):
    sweep([3, 4], **other).save(tmp_path / "part", {})
    part, _ = Sweep.load(tmp_path / "part")
    with pytest.raises(InputError, match=f"^the parts of a measurement differ in {differ}: measure them again, alike$"):
        sweep([0, 1, 2]).merge(part)


def test_running_statistics_are_weights_too():
    one, other = (nn.Sequential(nn.BatchNorm2d(1), network()).eval() for _ in range(2))
    other[0].running_mean += 1
    with pytest.raises(InputError, match="^the parts of a measurement differ in weights: measure them again, alike$"):
        sweep([0, 1, 2], one).merge(sweep([3, 4], other))


@pytest.mark.parametrize("how", ["missing", "cut off", "other"])
def test_a_damaged_part_is_named(how, tmp_path):
    path = tmp_path / "part.safetensors"
    sweep([0]).save(path, {})
    content = path.read_bytes()
    path.write_bytes({"missing": b"", "cut off": content[:-9], "other": b"no tensors"}[how])
    if how == "missing":
        path.unlink()
    with pytest.raises(
        InputError,
        match=r"part\.safetensors is not a part of a measurement \(.+\): make it again with ",
    ):
        Sweep.load(path)


def test_the_state_does_not_grow_with_the_images(tmp_path):
    """Its file holds two float64 a unit and rotation, one a unit, and the classes' measures: nothing an image."""
    sizes = []
    for copies in (1, 3):
        state = variance.sweep(
            network(), images().repeat(copies, 1, 1, 1), LABELS.repeat(copies), CLASSES, angles(3), layers=["conv*"]
        )
        state.save(tmp_path / "state", {})
        sizes.append((tmp_path / "state").stat().st_size)
    assert abs(sizes[1] - sizes[0]) < 100  # digits of the number of images


def test_the_table_has_a_row_for_each_layer_aggregation_stratum_and_unit():
    table = sweep().table()
    assert not table.duplicated(["layer", "aggregation", "stratum", "unit"]).any()
    defined = table[[name for name in MEASURES if name in table and name != "p_value"]]
    assert defined.notna().all().all()
    assert (table.p_value.notna() == ((table.stratum != "stratified") & (table.aggregation != "spatial"))).all()
    assert list(table.stratum.unique()) == ["all", "stratified", *CLASSES]


def test_weights_that_are_elsewhere_keep_no_network_from_being_measured():
    """A network that puts its weights in place only where it needs them has them on the meta device until then."""
    model = network()
    model.conv1.register_parameter("elsewhere", nn.Parameter(torch.empty(2, device="meta")))
    pd.testing.assert_frame_equal(sweep(model=model).table(), sweep().table())
