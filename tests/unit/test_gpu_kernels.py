"""The kernels for a GPU compile for real ones, keep to their tensors, and are used only where they work.

What they compute is tested with what the CPU's kernels compute (test_moments.py, test_fusions.py), by Triton's own
stand-in for a GPU.
"""

import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import module

from rotvar import variance
from rotvar.activations import Layer
from rotvar.statistics import moments, operations

HERE = Path(__file__).parent
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(scope="module", autouse=True)
def gpu_kernels():
    return module("gpu_kernels")


@pytest.mark.parametrize("capability", [75, 90, 120], ids=["Turing", "Hopper", "Blackwell"])
def test_every_kernel_compiles_for(capability, tmp_path):
    """To machine code that keeps what it works on in registers, for float32 and float64, both layouts and all that is
    fused; no GPU takes part."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "compiled_for_a_gpu.py", str(capability)]
    run = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    compiled = [line.split() for line in run.stdout.splitlines()]
    assert {name for name, *_ in compiled} == {"_add_images", "_take_in", "_merge", "_over_rotations", "_reduce"}
    assert all(int(size) > 1000 for _, size, _ in compiled)
    assert max(int(outside) for *_, outside in compiled) <= 8  # a single number


def test_more_rotations_than_registers_hold_are_added_up_by_pytorch(gpu_kernels, monkeypatch):
    monkeypatch.setattr(gpu_kernels, "_add_images", None)
    values = torch.linspace(-1, 2, 3 * (rotations := gpu_kernels.ROTATIONS + 1) * 5).square().view(3, rotations, 5)
    sums = [torch.zeros(shape, dtype=torch.float64) for shape in [(rotations, 5), (rotations, 5), (5,), (5,)]]
    expected = [each.clone() for each in sums]
    gpu_kernels.accumulate(values, 0, *sums)
    operations.accumulate(values, 0, *expected)
    assert all(map(torch.equal, sums, expected))


def test_they_do_what_pytorchs_operations_do(gpu_kernels):
    assert gpu_kernels.usable(CPU)


@pytest.mark.parametrize("reason", [RuntimeError("Failed to find C compiler\nat all"), AssertionError("")], ids=repr)
def test_where_triton_does_not_work_pytorch_computes_and_the_log_says_why(gpu_kernels, reason, monkeypatch, caplog):
    def broken(*_):
        raise reason

    monkeypatch.setattr(gpu_kernels, "merge", broken)
    gpu_kernels.usable.cache_clear()
    with caplog.at_level(logging.WARNING, "rotvar"):
        assert not gpu_kernels.usable(CPU)
    gpu_kernels.usable.cache_clear()
    why = str(reason).partition("\n")[0] or "AssertionError"
    assert caplog.messages == [
        f"statistics are computed by PyTorch's operations, because Triton does not work here ({why})"
    ]


@pytest.mark.parametrize(("name", "wrong"), [
    ("merge", lambda *_: None), ("fuse", lambda *_: [(torch.zeros(40, 20).double(), torch.zeros(40, 20))] * 3),
])  # fmt: skip
def test_wrong_numbers_are_not_used(gpu_kernels, name, wrong, monkeypatch):
    monkeypatch.setattr(gpu_kernels, name, wrong)
    gpu_kernels.usable.cache_clear()
    assert not gpu_kernels.usable(CPU)
    gpu_kernels.usable.cache_clear()


@pytest.mark.parametrize(("worth", "usable", "used"), [
    (True, True, "gpu_kernels"), (True, False, "operations"), (False, True, "operations"),
])  # fmt: skip
def test_a_gpu_computes_by_them_where_it_is_worth_it_and_they_work(gpu_kernels, worth, usable, used, monkeypatch):
    monkeypatch.setattr(gpu_kernels, "usable", lambda device: usable)
    assert moments.arithmetic(worth, GPU).__name__ == f"rotvar.statistics.{used}"


def test_without_triton_pytorch_computes(monkeypatch):
    monkeypatch.setattr(moments, "find_spec", lambda _: None)
    assert moments.arithmetic(True, GPU) is operations


def test_a_gpu_which_reads_faster_needs_more_to_read_before_compiling_pays():
    outputs = {Layer("conv", "Conv2d"): torch.empty(2, 1000, 10, 10, device="meta")}  # read twice: 200,000 an image
    fewest = [math.ceil(variance.WORTH_COMPILING[device.type] / 200_000) for device in (CPU, GPU)]
    assert fewest[0] < fewest[1]
    for device, images in zip((CPU, GPU), fewest, strict=True):
        assert variance.worth_compiling(outputs, ["mean", "spatial"], images, device)
        assert not variance.worth_compiling(outputs, ["mean", "spatial"], images - 1, device)


def inside(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A copy of a tensor in the middle of a longer one, which is NaN elsewhere; and the longer one."""
    around = torch.full((values.numel() + 2000,), torch.nan, dtype=values.dtype)
    copy = around[1000:-1000].as_strided(values.shape, values.stride())
    return copy.copy_(values), around


@pytest.mark.parametrize("units", [1, 70, 513])
@pytest.mark.parametrize("rotations", [2, 5])
def test_nothing_is_read_or_written_beside_the_moments(gpu_kernels, units, rotations):
    values, _ = inside(torch.randn(35, rotations, units, generator=torch.Generator().manual_seed(0)))
    sizes = [(rotations, units), (rotations, units), (units,), (units,)]
    expected = [torch.zeros(size, dtype=torch.float64) for size in sizes]
    found, around = zip(*(inside(each) for each in expected), strict=True)
    for by, tensors in ((operations, expected), (gpu_kernels, found)):
        by.accumulate(values, 0, *tensors)
        by.merge(35, *tensors[:2], 35, *(inside(each)[0] for each in tensors[:2]))
    torch.testing.assert_close([*found], expected, rtol=1e-5, atol=1e-6)
    summed = [by.over_rotations(70, *tensors[:2]) for by, tensors in ((operations, expected), (gpu_kernels, found))]
    torch.testing.assert_close(*summed, rtol=1e-5, atol=1e-6)
    assert [each.isfinite().sum().item() for each in around] == [each.numel() for each in expected]


@pytest.mark.parametrize("channels", [1, 20, 70])
@pytest.mark.parametrize("channels_last", [False, True])
def test_nothing_is_read_or_written_beside_the_maps(gpu_kernels, channels, channels_last):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.randn(2, channels, 9, 11, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)
    factors = torch.linspace(-1, 1, channels), torch.linspace(1, 2, channels)
    (maps, around), (kept, around_kept) = inside(x), inside(torch.zeros_like(x))
    pooled = gpu_kernels.fuse(maps, tuple(inside(each)[0] for each in factors), 0.0, kept)
    y = x * factors[0][:, None, None] + factors[1][:, None, None]
    torch.testing.assert_close([maps, kept], [y.relu(), y])
    for (means, maxima), expected in zip(pooled, (x, y, y.relu()), strict=True):
        torch.testing.assert_close(means, expected.double().mean((2, 3)), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(maxima, expected.amax((2, 3)))
    assert around.isfinite().sum() == around_kept.isfinite().sum() == x.numel()
