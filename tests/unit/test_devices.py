"""A GPU where there is one, and bfloat16 where it is native."""

import logging
import os
from pathlib import Path

import pytest
import torch

from rotvar import devices


def test_the_gpus_are_found_where_there_are_some(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.visible() == [torch.device("cuda", 0), torch.device("cuda", 1)]


def test_without_a_gpu_there_is_the_cpu_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.INFO, logger="rotvar"):
        assert devices.visible() == [torch.device("cpu")]
    assert caplog.messages == [f"no GPU: computing on the CPU, {devices.describe(torch.device('cpu'))}"]


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
