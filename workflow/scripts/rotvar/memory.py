"""How much memory there is, how much a sweep takes, and how to tell that there was not enough."""

from pathlib import Path

import psutil
import torch


def free(device: torch.device) -> int:
    """The bytes that this process can still take on a device: of a GPU, of the machine, or of its cgroup (a cluster's
    job, a container)."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min([psutil.virtual_memory().available, *_cgroup_limits()])


def of_state(units: int, rotations: int) -> int:
    """The bytes of a sweep's state: for each unit a mean and an M2 for each rotation and a sum of stds, in float64, of
    the class that goes by and of all before it. `units`: of all layers and aggregations, positions counted for
    "spatial".
    """
    return 2 * units * (2 * rotations + 1) * 8


def of_image(largest_output: int) -> int:
    """The bytes that one rotated image takes while it goes through a network, at most, where `largest_output` is the
    number of activations of the largest layer: its input, its output and the temporaries of its statistics (float32).
    """
    return 6 * largest_output * 4


def exhausted(error: Exception) -> bool:
    """Whether an exception says that memory ran out: PyTorch's for a GPU and for the CPU, and NumPy's."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def _cgroup_limits(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """What the control group of this process and each group around it leaves, where one sets a limit (version 2)."""
    try:
        path = own.read_text().rpartition("::")[2].strip()
    except OSError:  # not Linux
        return []
    left = []
    group = root / path.lstrip("/")
    for folder in [group, *group.parents]:
        try:
            left.append(int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text()))
        except (OSError, ValueError):  # the root has no limit; "max" is none
            continue
    return left
