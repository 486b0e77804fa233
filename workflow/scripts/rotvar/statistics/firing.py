"""Local against global firing rate: whether a unit that fires for an image still fires when the image is transformed.

Goodfellow, Le, Saxe, Lee and Ng 2009, "Measuring invariances in deep networks", NIPS 22, say that a unit fires where
its activation is above a threshold, which is chosen for each unit so that it fires for a given share of all inputs.
With n images at R rotations (or other transformations) and f(i, j) = 1 where the unit fires for image i at rotation j:

    global_firing_rate G = mean over i and j of f(i, j)
    local_firing_rate L = mean over all i, j with f(i, j) = 1 of (mean over k = 1..R of f(i, k))
    score = L / G

L is how much of an image's trajectory, all its R versions, makes the unit fire, on average over the versions that do.
As in the paper a trajectory has the version itself in it, so L goes from 1/R (it fires for single versions) to 1. The
paper lets units fire low or high, whichever gives the higher score; here a unit fires high.

The threshold is the largest activation after the floor(rate n R) largest ones, and what is equal to it does not fire.
So a unit never fires for more than the share `rate`, and which images make it fire depends neither on their order
nor on batches. Where more than that share have the largest value (a dead unit), or rate n R is below 1, it never fires
and both rates are missing. Activations are compared as float32 numbers.
"""

import math

import torch
from torch import Tensor

RATES = ("local_firing_rate", "global_firing_rate")


def firing(rate: float, versions: int) -> int:
    """How many of so many versions of images fire at most."""
    return math.floor(rate * versions + 1e-9)  # 0.29 * 100 is a little below 29


class Largest:
    """The largest activations of each unit, `keep` of them at least, and the numbers of their images. It never changes:
    `add` and `merge` give another."""

    TENSORS = ("values", "images")

    def __init__(self, keep: int, images_seen: int, values: Tensor, images: Tensor) -> None:
        """values, images: units x as many as there are, in no order; the images are numbered below `images_seen`."""
        # Now and then, because it takes about as long for one value more as for many
        if values.shape[1] > 2 * keep:
            values, index = values.topk(keep, dim=1, sorted=False)
            images = images.gather(1, index)
        self.keep, self.n, self.values, self.images = keep, images_seen, values, images

    @staticmethod
    def none(keep: int, units: int, device: torch.device) -> "Largest":
        """Of no images."""
        return Largest(
            keep, 0, torch.empty(units, 0, device=device), torch.empty(units, 0, dtype=torch.int32, device=device)
        )

    def add(self, values: Tensor) -> "Largest":
        """These and the activations of further images, images x R x units."""
        n, rotations, units = values.shape
        images = torch.arange(n, dtype=torch.int32, device=values.device).repeat_interleave(rotations)
        flat = values.float().flatten(0, 1).T  # units x images * R
        return self.merge(Largest(n * rotations, n, flat, images.expand(units, -1)))

    def merge(self, other: "Largest") -> "Largest":
        """These and those of other images of the same units."""
        values = torch.cat([self.values, other.values], dim=1)
        images = torch.cat([self.images, other.images + self.n], dim=1)
        return Largest(self.keep, self.n + other.n, values, images)

    def rates(self, rate: float, rotations: int) -> tuple[Tensor, Tensor]:
        """The local and the global firing rate of each unit, at a threshold that lets it fire for this share."""
        largest, index = self.values.topk(firing(rate, self.n * rotations) + 1, dim=1)
        fires = largest > largest[:, -1:]
        # An image that fires in c versions adds c / R for each of these
        images = torch.where(fires, self.images.gather(1, index), -1).sort(dim=1).values
        versions = torch.searchsorted(images, images, right=True) - torch.searchsorted(images, images)
        count = fires.sum(1).double()  # 0 / 0 is missing
        local = torch.where(images >= 0, versions, 0).sum(1) / (rotations * count)
        return local, torch.where(count > 0, count / (self.n * rotations), torch.nan)
