"""What memory there is and what a sweep takes."""

import pytest
import torch

from rotvar.errors import out_of_memory
from rotvar.system import memory


def test_the_free_memory_is_that_of_the_machine_or_less():
    assert 1e8 < memory.free(torch.device("cpu")) <= memory.psutil.virtual_memory().total


def test_the_free_memory_of_a_gpu_counts_what_pytorch_has_cached(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 80))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 10)
    assert memory.free(torch.device("cuda")) == 25


def test_the_state_takes_a_mean_and_an_m2_a_rotation_and_two_sums_twice():
    """For the class that goes by and for all before it, in float64."""
    assert memory.of_state(units=1000, rotations=16) == 2 * 1000 * (16 + 16 + 1 + 1) * 8


def test_the_largest_activations_take_a_float_and_a_number_each_and_wait_for_as_many_others():
    """Of the class that goes by and of all before it."""
    assert memory.of_largest(units=1000, keep=161) == 2 * 1000 * 2 * 161 * (4 + 4)
    assert memory.of_largest(units=1000, keep=0) == 0


@pytest.mark.parametrize(("dtype", "size"), [(torch.bfloat16, 4), (torch.float32, 4), (torch.float64, 8)])
def test_an_image_takes_what_its_largest_layer_does_in_the_type_of_its_statistics(dtype, size):
    outputs = [torch.empty(2, channels, 5, 5, dtype=dtype, device="meta") for channels in (3, 7, 4)]
    assert memory.of_image(outputs) == 6 * 7 * 25 * size
    assert memory.of_image(outputs, turned=True) == 8 * 7 * 25 * size


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` ..."), True),
        (RuntimeError("Triton Error [CUDA]: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_what_says_that_memory_ran_out(error, says):
    assert out_of_memory(error) is says
