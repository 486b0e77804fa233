"""The random numbers that a network may draw while it trains: PyTorch's, as dropout does, NumPy's and Python's own."""

import random
from typing import Any

import numpy as np
import torch


def seed(number: int) -> None:
    """Begin all of them anew. A GPU's are among PyTorch's."""
    torch.manual_seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)


def state(device: torch.device) -> dict[str, Any]:
    """Where they are, in tensors, numbers and text; of a GPU's, those of `device`."""
    name, keys, *place = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": (name, torch.from_numpy(keys), *place),
        "python": random.getstate(),
    }


def restore(state: dict[str, Any], device: torch.device) -> None:
    """Put them back to where they were."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    name, keys, *place = state["numpy"]
    np.random.set_state((name, keys.numpy(), *place))
    random.setstate(state["python"])
