"""How well a network classifies: on the test set as it is, at every angle, and randomly rotated."""

import logging
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn

from rotvar import devices
from rotvar.data.packed import Dataset
from rotvar.errors import out_of_memory
from rotvar.modes import evaluating
from rotvar.rotation import present, rotate
from rotvar.transformations import ROTATION

log = logging.getLogger("rotvar")

BATCH = 256  # larger batches fall out of the caches: a batch of 1,024 runs 1.7 times slower on a CPU


def accuracy(
    model: nn.Module, dataset: Dataset, angles: Tensor, *, mean: Tensor, std: Tensor, seed: int = 0
) -> pd.DataFrame:
    """Classify a whole data set at each angle and with one random angle per image.

    `angles`: degrees; 0, the unrotated test set, is added where it is missing. `mean` and `std`: C, of the training
    set. The model's device computes. Returns a row for each angle and class: angle (text: degrees, or "random"),
    class, n, correct (the images classified correctly), loss (mean negative log-likelihood).
    """
    tests = {f"{angle:g}": torch.full((len(dataset),), angle) for angle in sorted({0.0, *angles.tolist()})}
    tests["random"] = ROTATION.draw(len(dataset), torch.Generator().manual_seed(seed)).flatten()
    rows = []
    for angle, degrees in tests.items():
        loss, correct = classify(model, dataset, degrees, mean, std)
        for label, name in enumerate(dataset.classes):
            chosen = dataset.labels == label
            rows.append((angle, name, int(chosen.sum()), int(correct[chosen].sum()), loss[chosen].mean().item()))
    return pd.DataFrame(rows, columns=["angle", "class", "n", "correct", "loss"])


@torch.no_grad()
def classify(
    model: nn.Module,
    dataset: Dataset,
    parameters: Tensor | None,
    mean: Tensor,
    std: Tensor,
    transform: Callable[[Tensor, Tensor], Tensor] = rotate,
    before_batch: Callable[[], None] = lambda: None,
) -> tuple[Tensor, Tensor]:
    """The loss (float, N) and the correctness (bool, N) of each image, transformed by its own parameters (for
    `rotate`, angles in degrees); on the CPU.

    `before_batch` is called before each batch, and may raise. A batch for which memory runs out is halved, and so are
    those after it.
    """
    device = next(model.parameters()).device
    mean, std = mean.to(device), std.to(device)
    losses: list[Tensor] = []
    corrects: list[Tensor] = []
    done, size = 0, BATCH
    with evaluating(model), devices.float32():
        while done < len(dataset):
            before_batch()
            batch = slice(done, done + size)
            labels = dataset.labels[batch].to(device)
            chosen = None if parameters is None else parameters[batch]
            try:
                output = model(present(dataset.images[batch].to(device), chosen, mean, std, transform)).float()
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not out_of_memory(error):
                    raise
                size //= 2
                log.info("memory ran out for a test batch: going on with %d images at a time", size)
                continue
            losses.append(nn.functional.cross_entropy(output, labels, reduction="none"))
            corrects.append(output.argmax(1) == labels)
            done += size
    return torch.cat(losses).cpu(), torch.cat(corrects).cpu()
