"""A GPU where there is one, and bfloat16 where it is native."""

import logging
import os
import warnings
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from rotvar import devices, evaluation, training
from rotvar.data.packed import Dataset
from rotvar.rotation import angles
from rotvar.training import untrained


@pytest.fixture
def gpus(monkeypatch):
    """A machine with GPUs of these compute capabilities, and a PyTorch that is built for those."""

    def have(*capabilities, built_for="sm_75 sm_80 sm_86 sm_90 sm_120 compute_120"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda gpu: capabilities[gpu.index])
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda gpu: f"Accelerator {gpu.index}")
        monkeypatch.setattr(torch.cuda, "get_arch_list", built_for.split)

    return have


@pytest.fixture
def no_gpus(monkeypatch):
    """A machine on which PyTorch finds no GPU, and says this if it is asked why."""

    def have(error):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.cuda, "init", Mock(side_effect=error))

    return have


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="rotvar")
    return caplog


COMPUTING = f"no GPU: computing on the CPU, {devices.describe(devices.CPU)}"


def test_the_gpus_are_found_where_there_are_some(gpus, log):
    gpus((7, 5), (8, 0), (8, 9), (9, 0), (12, 0), (12, 1), (13, 0))
    assert devices.visible() == [torch.device("cuda", number) for number in range(7)]
    assert not log.messages


def test_a_gpu_that_pytorch_was_not_built_for_is_left_out_and_the_log_says_why(gpus, log):
    gpus((7, 0), (8, 0))
    assert devices.visible() == [torch.device("cuda", 1)]
    (why,) = log.messages
    assert why.startswith(
        f"Accelerator 0, of compute capability 7.0, is not used: PyTorch {torch.__version__} was built"
    )
    assert why.endswith(
        "for sm_75, sm_80, sm_86, sm_90, sm_120, compute_120. docs/running.md says which builds are for which GPUs."
    )


@pytest.mark.parametrize(
    ("capability", "built_for"),
    [
        ((7, 0), "sm_75 sm_80"),  # older
        ((8, 0), "sm_75 sm_86"),  # older, of a generation that there is code for
        ((12, 0), "sm_80 sm_90 compute_121"),  # newer than all code, and older than the PTX
        ((10, 0), "sm_90 sm_90a"),  # newer
    ],
)
def test_where_pytorch_was_built_for_none_of_the_gpus_the_cpu_computes(capability, built_for, gpus, log):
    gpus(capability, built_for=built_for)
    assert devices.visible() == [devices.CPU]
    assert len(log.messages) == 2
    assert log.messages[1] == COMPUTING


@pytest.mark.parametrize("built_for", ["gfx90a gfx942", ""])
def test_where_pytorch_names_nothing_that_it_was_built_for_every_gpu_is_used(built_for, gpus, log):
    """AMD's GPUs have other names; a build of one's own may have none."""
    gpus((9, 4), built_for=built_for)
    assert devices.visible() == [torch.device("cuda", 0)]
    assert not log.messages


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU"),
        RuntimeError("No CUDA GPUs are available"),
        AssertionError("Torch not compiled with CUDA enabled"),
    ],
)
def test_without_a_gpu_there_is_the_cpu_and_the_log_says_so(error, no_gpus, log, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path / "none")
    no_gpus(error)
    assert devices.visible() == [devices.CPU]
    assert log.messages == [COMPUTING]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (
            RuntimeError("The NVIDIA driver is too old\n(found version 12040)."),
            "driver is too old (found version 12040). ",
        ),
        (AssertionError("Torch not compiled with CUDA enabled"), "it is a build for CPUs. "),
    ],
)
def test_why_pytorch_does_not_compute_on_a_gpu_that_is_there_is_said(error, why, no_gpus, log, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", tmp_path)
    no_gpus(error)
    assert devices.visible() == [devices.CPU]
    assert log.messages[0].startswith("PyTorch cannot compute on this machine's GPU: ")
    assert log.messages[0].endswith(f"{why}docs/running.md says which builds are for which GPUs.")
    assert log.messages[1:] == [COMPUTING]


def test_what_pytorch_would_warn_of_is_said_once(gpus, log, monkeypatch, recwarn):
    gpus((7, 0))
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda gpu: warnings.warn("too old", stacklevel=1) or (7, 0)
    )
    assert devices.visible() == [devices.CPU]
    assert not recwarn
    assert len(log.messages) == 2


def test_a_gpu_is_described_by_its_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Accelerator {device.index}")
    assert devices.describe(torch.device("cuda", 1)) == "Accelerator 1"


@pytest.mark.parametrize(("threads", "described"), [(1, "Zen 9 8-Core, 1 thread"), (2, "Zen 9 8-Core, 2 threads")])
def test_a_cpu_is_described_by_its_model_and_the_threads_in_use(threads, described, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self: "processor : 0\nmodel name\t: Zen 9 8-Core\nmodel name\t: no")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert devices.describe(torch.device("cpu")) == described


@pytest.mark.parametrize(("processor", "described"), [("Zen 9", "Zen 9 CPU"), ("", "riscv CPU")])
def test_where_the_system_tells_less_a_cpu_is_described_by_its_kind(processor, described, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self: "processor : 0")
    monkeypatch.setattr(devices.platform, "processor", lambda: processor)
    monkeypatch.setattr(devices.platform, "machine", lambda: "riscv")
    assert devices.cpu() == described


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_precision_that_is_named_is_used(precision, dtype):
    context = devices.autocast(torch.device("cpu"), precision)
    for _ in range(2):  # one context serves a whole training
        with context:
            assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ([], torch.float32),
        (["avx512_bf16"], torch.bfloat16),  # AMD since Zen 4, Intel's Cooper Lake
        (["avx512_bf16", "avx512_fp16"], torch.float32),  # Intel since Sapphire Rapids, its AMX hidden
        (["avx512_bf16", "avx512_fp16", "amx_bf16"], torch.bfloat16),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_that_is_faster(capabilities, dtype, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(capabilities, True))
    with devices.autocast(torch.device("cpu"), "auto"):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


@pytest.mark.parametrize("native", [False, True])
def test_a_gpu_computes_in_bfloat16_where_that_is_not_emulated(native, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    monkeypatch.setattr(torch, "autocast", lambda *given, enabled: (*given, enabled))
    assert devices.autocast(torch.device("cuda"), "auto") == ("cuda", torch.bfloat16, native)


@pytest.mark.parametrize("wished", ["highest", "high", "medium"])
def test_a_measurement_in_float32_is_one_whatever_else_asks_for_less(wished):
    cuda, cudnn, mkldnn = torch.backends.cuda, torch.backends.cudnn, torch.backends.mkldnn
    operations = [cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(wished)
    try:
        with devices.computing(torch.device("cpu"), "float32"):
            assert [operation.fp32_precision for operation in operations] == ["ieee"] * 6
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("doing", ["training", "testing", "settling"])
def test_what_is_not_measured_is_float32_too(doing):
    """By itself PyTorch computes the convolutions of GPUs in tf32."""
    data = Dataset(torch.randint(256, (8, 1, 4, 4)).to(torch.uint8), torch.arange(8) % 2, ("one", "other"))
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    seen: dict[bool, set[str]] = {True: set(), False: set()}  # in training mode and in evaluation mode
    precision = torch.backends.cudnn.conv
    model[0].register_forward_hook(lambda module, *_: seen[module.training].add(precision.fp32_precision))
    model[0].weight.register_hook(lambda _: seen[True].add(precision.fp32_precision))
    before = precision.fp32_precision
    assert before != "ieee"
    if doing == "training":
        training.train(model, data, data, epochs=1, precision="float32")
    elif doing == "testing":
        evaluation.accuracy(model, data, angles(2), mean=torch.tensor([0.5]), std=torch.tensor([0.5]))
    else:
        untrained.untrained(model, data, data)
    assert seen == {True: set() if doing == "testing" else {"ieee"}, False: {"ieee"}}
    assert precision.fp32_precision == before


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_gpu_computes_the_same_bits_every_time_where_that_is_asked(deterministic, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    with devices.reproducible(torch.device("cuda"), deterministic):
        assert torch.are_deterministic_algorithms_enabled() == deterministic
        assert torch.backends.cudnn.benchmark != deterministic  # which of several algorithms is fastest may vary
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark


def test_a_cpu_needs_no_settings_for_it():
    with devices.reproducible(torch.device("cpu"), True):
        assert not torch.are_deterministic_algorithms_enabled()
