"""How much memory there is, and how much a sweep takes."""

from collections.abc import Iterable

import psutil
import torch
from torch import Tensor

from rotvar.system import limits


def free(device: torch.device) -> int:
    """The bytes that this process can still take on a device: of a GPU, or of the machine as far as its
    limits allow (a cluster's job, a container, `ulimit`)."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    return min([psutil.virtual_memory().available, *limits.left()])


def of_state(units: int, rotations: int) -> int:
    """The bytes of a sweep's state: for each unit a mean and an M2 for each rotation and the sums of stds and of
    variances, in float64, of the class that goes by and of all before it. `units`: of all layers and aggregations,
    positions counted for "spatial" and "same_equivariance".
    """
    return 2 * units * (2 * rotations + 2) * 8


def of_largest(units: int, keep: int) -> int:
    """The bytes of the largest activations of each unit (`firing.Largest`), of the class that goes by and of all before
    it: up to twice as many as are kept, a float32 and the number of an image each."""
    return 2 * units * 2 * keep * (4 + 4)


def of_table(rows: int) -> int:
    """The bytes that a table of so many rows takes while it is put together: of each row eight measures, class by
    class, in an array, in a column and in the table, and what it is a row of."""
    return rows * (3 * 8 * 8 + 2 * 32)


def of_image(outputs: Iterable[Tensor], turned: bool = False) -> int:
    """The bytes that one rotated image takes while it goes through a network, at most: of the largest layer its input,
    its output and the temporaries of its statistics, of its maps turned back, too, if they are.

    outputs: those of the layers for some images, of which the shapes and types matter. Statistics are float32 at least.
    """
    largest = max(output[0].numel() * max(4, output.itemsize) for output in outputs)
    return (8 if turned else 6) * largest
