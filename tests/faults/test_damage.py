"""Files that were changed afterwards are refused by name, whatever changed; nothing makes a reader crash or hang."""

import json
import random
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from amounts import times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rotvar import models, results, rotation, tables, variance
from rotvar.data import packed
from rotvar.errors import InputError
from rotvar.figures import theme
from rotvar.report import pictures
from rotvar.statistics.sweep import Sweep
from rotvar.system import checksum
from rotvar.training.checkpoint import Checkpoint

FLIPS = times(short=150, long=2000)


@dataclass
class Kind:
    """A kind of file, the name of one, and what reads it."""

    name: str
    read: Callable[[Path], object]


KINDS = [
    Kind("data.safetensors", lambda path: (packed.read(path, "train"), packed.read(path, "test"))),
    Kind("weights.safetensors", models.load),
    Kind("shard.safetensors", Sweep.load),
    Kind("variance.parquet", results.read),
    Kind("history.parquet", results.metadata),
    Kind("accuracy.csv", tables.read),
    Kind("layers.png", lambda path: pictures.embed.__wrapped__(path)),
]
SAFETENSORS = [kind for kind in KINDS if kind.name.endswith(".safetensors")]
BINARY = [kind for kind in KINDS if kind.name.endswith((".safetensors", ".parquet"))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small file of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    train = packed.Dataset(images, torch.arange(20) % 2, ("cat", "dog"))
    test = packed.Dataset(images.flip(0), torch.arange(20) % 2, ("cat", "dog"))
    packed.pack("digits", {"train": train, "test": test}, folder / "data.safetensors")
    shape = {"name": "simple_conv", "channels": 1, "image_size": 8, "classes": 2, "options": {"width": 2, "hidden": 2}}
    model = models.build("simple_conv", 1, 8, 2, width=2, hidden=2)
    models.save(model, folder / "weights.safetensors", shape | {"mean": [0.5], "std": [0.2], "seed": 3})
    sweep = variance.sweep(model, images, train.labels, train.classes, rotation.angles(2))
    sweep.save(folder / "shard.safetensors", {"seed": 3})
    results.write(sweep.table(), folder / "variance.parquet", {"seed": 3})
    results.write(pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.25]}), folder / "history.parquet", {"seed": 3})
    table = pd.DataFrame({"model": ["vgg16"], "accuracy": [0.9375]})
    tables.write(table, folder / "accuracy.csv", folder / "accuracy.md", folder / "accuracy.sha256")
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    theme.save(figure, folder / "layers.png")
    Checkpoint(folder, {}).save({"weights": torch.rand(50), "step": 3})
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Callable[[Kind, bytes], Path]:
    """Write a file of a kind with other content, with what belongs to it beside it."""

    def write(kind: Kind, content: bytes) -> Path:
        (tmp_path / "accuracy.sha256").write_bytes((whole / "accuracy.sha256").read_bytes())
        path = tmp_path / kind.name
        path.write_bytes(content)
        return path

    return write


def refused(kind: Kind, path: Path) -> bool:
    """Whether the reader refuses the file in one sentence that names it and says how to make it again."""
    try:
        kind.read(path)
    except InputError as error:
        sentence = str(error)
        assert "\n" not in sentence
        assert sentence.startswith(str(path))
        assert f"make it again with `snakemake --cores 1 --force {path}`" in sentence
        return True
    return False


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_as_it_was_written_it_is_read(kind, whole):
    kind.read(whole / kind.name)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_flipped_bit_is_noticed_wherever_it_is(kind, whole, copy):
    content = (whole / kind.name).read_bytes()
    chance = random.Random(0)
    bits = range(8 * len(content))
    for bit in chance.sample(bits, min(FLIPS, len(bits))):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refused(kind, copy(kind, bytes(flipped))), f"bit {bit % 8} of byte {bit // 8}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_file_cut_short_or_emptied_is_refused(kind, whole, copy):
    content = (whole / kind.name).read_bytes()
    for length in {0, 1, 7, 8, 9, len(content) // 2, len(content) - 8, len(content) - 1}:
        assert refused(kind, copy(kind, content[:length])), f"{length} bytes"
    assert refused(kind, copy(kind, content + b"\0"))
    path = copy(kind, content)
    path.unlink()
    if kind.name != "variance.parquet":  # of which a folder may hold several
        assert refused(kind, path)


def test_a_damaged_checkpoint_is_not_gone_on_from(whole, tmp_path):
    place = Checkpoint(tmp_path, {})
    content = (whole / place.path.name).read_bytes()
    bits = range(8 * len(content))
    for bit in random.Random(0).sample(bits, min(FLIPS, len(bits))):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        place.path.write_bytes(flipped)
        assert place.load() is None
    place.path.write_bytes(content)
    assert place.load()["step"] == 3


# whatever stands in them


def parts() -> st.SearchStrategy:
    """Changes of a file: at a place (a share of its length), bytes that replace so many others."""
    return st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=4)


def changed(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for place, count, put in changes:
        start = int(place * len(content))
        content = content[:start] + put + content[start + count :]
    return content


MUCH = settings(
    max_examples=times(short=60, long=1000),
    deadline=5000,  # milliseconds: nothing hangs
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", BINARY, ids=lambda kind: kind.name)
@MUCH
@given(changes=parts())
def test_a_changed_file_is_refused(kind, whole, copy, changes):
    content = (whole / kind.name).read_bytes()
    other = changed(content, changes)
    assert refused(kind, copy(kind, other)) or other == content


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", BINARY, ids=lambda kind: kind.name)
@MUCH
@given(changes=parts())
def test_a_changed_file_with_a_true_checksum_is_read_or_refused(kind, whole, copy, changes):
    """Somebody made it so, or another program: there is a table, or a sentence."""
    content = (whole / kind.name).read_bytes()
    start = content.index(b"sha256:")
    blank = content[:start] + checksum.BLANK.encode() + content[start + len(checksum.BLANK) :]
    path = copy(kind, changed(blank, changes))
    try:
        checksum.stamp(path)
    except (AssertionError, ValueError):  # the place of the checksum is gone
        assert refused(kind, path)
        return
    refused(kind, path)


@pytest.mark.parametrize("kind", BINARY, ids=lambda kind: kind.name)
@MUCH
@given(content=st.binary(max_size=300))
def test_any_bytes_are_refused(kind, copy, content):
    assert refused(kind, copy(kind, content))


HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", SAFETENSORS, ids=lambda kind: kind.name)
@MUCH
@given(description=HEADERS, tensors=HEADERS | st.just({"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}))
def test_any_description_is_refused(kind, copy, description, tensors):
    """A safetensors header with a true checksum and any JSON in it."""
    metadata = {"description": json.dumps(description), "sweep": json.dumps(description), "checksum": checksum.BLANK}
    header = json.dumps({"__metadata__": metadata, "tensor": tensors}).encode()
    path = copy(kind, struct.pack("<Q", len(header)) + header)
    checksum.stamp(path)
    assert refused(kind, path)


def test_parquet_of_another_program_is_refused(tmp_path):
    pq.write_table(pa.table({"loss": np.arange(3)}), tmp_path / "history.parquet")
    with pytest.raises(InputError, match="it has no checksum"):
        results.read(tmp_path / "history.parquet")


def test_verifying_holds_no_copy_of_the_file(tmp_path):
    path = tmp_path / "data.safetensors"
    labels = torch.arange(2000) % 2
    dataset = packed.Dataset(torch.zeros(2000, 2, 32, 32, dtype=torch.uint8), labels, ("cat", "dog"))
    packed.pack("large", {"train": dataset, "test": packed.first(dataset, 2)}, path)
    tracemalloc.start()
    checksum.verify(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < path.stat().st_size / 10
