"""A small sweep does not wait for a compiler, and one that is long enough to gain from it does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread
from unittest.mock import Mock

import numpy as np
import pytest
from filelock import FileLock

from rotvar.statistics import kernels

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"

# A network whose layers have 108, 12 and 5 activations of an image, and 6 images at 2 angles
SWEEP = """
import json, sys, torch
from torch import nn
from rotvar import variance
variance.WORTH_COMPILING["cpu"] = int(sys.argv[1]) or variance.WORTH_COMPILING["cpu"]
torch.manual_seed(0)
model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(12, 5))
table = variance.measure(model, torch.rand(6, 1, 8, 8), torch.arange(6) % 2, ["a", "b"], torch.tensor([0.0, 30.0]))
json.dump(["numba" in sys.modules, table.select_dtypes("number").to_numpy().tolist()], sys.stdout)
"""
# How often the compiled statistics of two maps use a vector of 512 bits, and whether the processor has them
VECTORS = """
import torch
from llvmlite import binding
from rotvar.statistics import kernels
kernels.mean_and_max(torch.rand(2, 3, 16))
print(sum(code.count("zmm") for code in kernels._reduce.inspect_asm().values()))
print(binding.get_host_cpu_features().get("avx512f", False))
"""
# What has positions is read twice: for mean and maximum over them, and for each
ACTIVATIONS = 6 * 2 * (2 * 108 + 2 * 12 + 5)


def printed(program: str, *arguments: str, cache: Path, **environment: str) -> str:
    """What a fresh process prints, with what was compiled before in `cache`."""
    places = {"PYTHONPATH": str(SCRIPTS), "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", program, *arguments]
    environment = os.environ | places | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def swept(worth_compiling: int, cache: Path) -> tuple[bool, np.ndarray]:
    """Whether a fresh process imported numba, and the numbers of its table."""
    imported, numbers = json.loads(printed(SWEEP, str(worth_compiling), cache=cache))
    return imported, np.array(numbers)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool, np.ndarray]:
    """A sweep that found nothing compiled: the folder with what it has compiled, whether it did, and its numbers."""
    cache = tmp_path_factory.mktemp("compiled")
    return cache, *swept(ACTIVATIONS, cache)


@pytest.fixture
def kept(first: tuple[Path, bool, np.ndarray], tmp_path: Path) -> Path:
    """A copy of what the first sweep has compiled, with the dates that its files have."""
    return Path(shutil.copytree(first[0], tmp_path / "kept"))


@pytest.mark.parametrize("threshold", [0, ACTIVATIONS + 1], ids=["its own", "one activation more"])
def test_a_sweep_below_the_threshold_does_not_even_import_the_compiler(threshold, tmp_path):
    imported, _ = swept(threshold, tmp_path)
    assert not imported and not list(tmp_path.iterdir())


def test_a_sweep_at_the_threshold_compiles_and_agrees_with_one_below_it(first, tmp_path):
    cache, imported, numbers = first
    assert imported and list(cache.rglob("*.nbc"))
    _, expected = swept(ACTIVATIONS + 1, tmp_path)
    np.testing.assert_allclose(numbers, expected, rtol=1e-5, atol=1e-7)


def test_what_is_on_disk_changes_nothing(first, kept, tmp_path):
    """Neither which way is chosen nor a single bit."""
    (tmp_path / "empty").mkdir()
    np.testing.assert_array_equal(swept(ACTIVATIONS, kept)[1], first[2])
    np.testing.assert_array_equal(swept(0, kept)[1], swept(0, tmp_path / "empty")[1])


def test_a_file_that_a_crash_cut_off_is_compiled_again(first, kept):
    (index,) = kept.rglob("*._merge-*.nbi")
    index.write_bytes(b"")
    np.testing.assert_array_equal(swept(ACTIVATIONS, kept)[1], first[2])
    assert index.stat().st_size


def test_processes_use_the_cache_one_after_the_other(tmp_path):
    """By itself numba would give what two of them keep at the same moment one name."""
    cache = Mock(cache_path=str(tmp_path))
    keeps = Thread(target=kernels._or_not(cache, cache.save_overload))
    with FileLock(tmp_path / "rotvar.lock"):
        keeps.start()
        keeps.join(0.3)
        assert not cache.save_overload.called
    keeps.join()
    assert cache.save_overload.called and not cache.flush.called


def test_a_file_system_without_locks_is_no_reason_to_compile_again(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "FileLock", Mock(**{"return_value.acquire.side_effect": NotImplementedError}))
    cache = Mock(cache_path=str(tmp_path))
    assert kernels._or_not(cache, cache.load_overload)() is cache.load_overload.return_value


def test_a_disk_that_is_full_is_no_reason_to_fail(first, kept):
    missing = list(kept.rglob("*._merge-*.nb*"))
    assert missing
    for file in missing:
        file.unlink()
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))"
    imported, numbers = json.loads(printed(f"{full}\n{SWEEP}", str(ACTIVATIONS), cache=kept))
    assert imported and not any(file.stat().st_size for file in kept.rglob("*._merge-*.nb*"))
    np.testing.assert_array_equal(np.array(numbers), first[2])


def test_vectors_have_the_whole_length_that_the_processor_has(tmp_path):
    used, there = printed(VECTORS, cache=tmp_path).split()
    assert (int(used) > 0) == (there == "True")


def test_what_a_user_says_of_the_processor_stays(tmp_path):
    used, _ = printed(VECTORS, cache=tmp_path, NUMBA_CPU_FEATURES="-avx512f").split()
    assert int(used) == 0
