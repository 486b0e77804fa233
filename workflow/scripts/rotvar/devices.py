"""The devices that compute, and in which precision."""

import logging
import os
import platform
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from rotvar.errors import InputError

log = logging.getLogger("rotvar")

CPU = torch.device("cpu")

PRECISIONS = ("auto", "float32", "bfloat16")  # of a training
MEASURED_PRECISIONS = ("float32", "tf32", "bfloat16")

# Machine code for a generation of GPUs, or PTX, as PyTorch names it: sm_86, compute_90
CODE = re.compile(r"(sm|compute)_(\d+)(\d)[af]?")
# What PyTorch says where there is no GPU, or none that this process may use
NO_GPU = ("Found no NVIDIA driver", "No CUDA GPUs are available")
NVIDIA_DRIVER = Path("/proc/driver/nvidia")  # of Linux, where it is loaded
GPU_BUILDS = "docs/running.md says which builds are for which GPUs."


def visible() -> list[torch.device]:
    """The GPUs that this process may use and PyTorch can compute on, or the CPU where there is none. The log says so,
    and why PyTorch cannot compute on one that is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of what is said here
        if torch.cuda.is_available():
            gpus = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
            if able := [gpu for gpu in gpus if _has_code_for(gpu)]:
                return able
        elif reason := _why_none():
            log.warning("PyTorch cannot compute on this machine's GPU: %s", reason)
    log.info("no GPU: computing on the CPU, %s", describe(CPU))
    return [CPU]


def _has_code_for(gpu: torch.device) -> bool:
    """Whether PyTorch was built for a GPU; the log says where it was not.

    Machine code runs on GPUs of its generation that are not older (sm_86 on 8.6 and 8.9); PTX (compute_86) is compiled
    by the driver for all that are not older (NVIDIA, "CUDA C++ Programming Guide", "Application Compatibility").
    """
    capability = torch.cuda.get_device_capability(gpu)
    built_for = [code for code in map(CODE.fullmatch, torch.cuda.get_arch_list()) if code]
    for code in built_for:
        kind, major, minor = code.groups()
        oldest = int(major), int(minor)
        if oldest <= capability and (oldest[0] == capability[0] or kind == "compute"):
            return True
    if not built_for:  # AMD's GPUs have other names, and a build of one's own may name none
        return True
    name, names = torch.cuda.get_device_name(gpu), ", ".join(code[0] for code in built_for)
    log.warning(
        "%s, of compute capability %d.%d, is not used: PyTorch %s was built for %s. %s",
        name, *capability, torch.__version__, names, GPU_BUILDS,
    )  # fmt: skip
    return False


def _why_none() -> str | None:
    """Why PyTorch finds no GPU on a machine that has one, as far as PyTorch and the system tell."""
    try:
        torch.cuda.init()
    except AssertionError:
        return f"it is a build for CPUs. {GPU_BUILDS}" if NVIDIA_DRIVER.is_dir() else None
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        return None if reason.startswith(NO_GPU) else f"{reason} {GPU_BUILDS}"
    return None


def describe(device: torch.device) -> str:
    """The name of the device, for logs and for the metadata of results."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{cpu()}, {threads} thread{'s' * (threads > 1)}"


def cpu() -> str:
    """The model of the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:  # not Linux
        models = []
    return models[0] if models else f"{platform.processor() or platform.machine()} CPU"


@contextmanager
def computing(device: torch.device, precision: str) -> Iterator[None]:
    """The precision of a network's convolutions and matrix products in the block: "float32"; "tf32", which GPUs since
    Ampere compute faster, with 10 bits of mantissa (on a CPU it is float32); or "bfloat16" (autocast).

    Raises InputError for another name.
    """
    if precision not in MEASURED_PRECISIONS:
        raise InputError(f"unknown precision '{precision}': choose one of {', '.join(MEASURED_PRECISIONS)}")
    on = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    with on, float32(tf32=precision == "tf32"):
        yield


@contextmanager
def float32(tf32: bool = False) -> Iterator[None]:
    """What is computed in float32 in the block is float32, or `tf32` on GPUs.

    PyTorch by itself computes the convolutions of GPUs in tf32.
    """
    cudnn, mkldnn = torch.backends.cudnn, torch.backends.mkldnn
    on_gpus: tuple[Any, ...] = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)  # type: ignore[attr-defined]
    operations = (*on_gpus, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)  # type: ignore[attr-defined]
    before = [operation.fp32_precision for operation in operations]
    for operation in operations:
        operation.fp32_precision = "tf32" if tf32 and operation in on_gpus else "ieee"
    try:
        yield
    finally:
        for operation, former in zip(operations, before, strict=True):
            operation.fp32_precision = former


@contextmanager
def reproducible(device: torch.device, deterministic: bool) -> Iterator[None]:
    """Whether a GPU computes the same bits in every run in the block, by slower algorithms, or as fast as it can, by
    whichever it finds fastest. A CPU with one number of threads always computes the same bits.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for it, before it is first used
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network computes: in a precision as `chosen` takes it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen(device, precision) == "bfloat16")


def chosen(device: torch.device, precision: str) -> str:
    """What a precision of `PRECISIONS` is on a device: "float32", "bfloat16", or, for "auto", bfloat16 where that is
    faster (GPUs since Ampere, CPUs with AMX, AMD's with AVX-512 BF16) and float32 elsewhere. Raises InputError for
    another name.
    """
    if precision not in PRECISIONS:
        raise InputError(f"unknown precision '{precision}': choose one of {', '.join(PRECISIONS)}")
    if precision == "auto":
        if device.type == "cuda":
            faster = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            has = torch.cpu.get_capabilities().get
            # Intel's CPUs with AVX-512 FP16 are made to compute bfloat16 in AMX. Where a virtual machine hides that,
            # what AVX-512 BF16 does instead is slower than float32 (benchmarks/README.md).
            faster = has("amx_bf16") or (has("avx512_bf16") and not has("avx512_fp16"))
        return "bfloat16" if faster else "float32"
    return precision
