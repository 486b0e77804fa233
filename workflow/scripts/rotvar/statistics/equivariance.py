"""Maps turned back: what a map of a transformed image is once the transformation is undone on the map itself.

A layer is same-equivariant where transforming its input transforms its maps just so. Then a map that is turned back by
the inverse of the transformation is the map of the image as it was, and its normalized variance, position by position,
is 0 (Quiroga 2021, "Invariance and same-equivariance measures for convolutional neural networks", doi
10.19153/cleiej.24.1.8: normalized same-equivariance variance). An invariant layer is not equivariant, and the other way
round, unless its maps are flat.

Maps are turned back by bilinear interpolation, normalized by its coverage: what lies outside of a map counts for
nothing, rather than for 0, and a position counts only if at least half of what it is read from lies inside, in every
version. So no black corners come in. Where the inverse takes positions to positions, as at quarter turns, it is exact.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rotvar.errors import InputError
from rotvar.rotation import rotate
from rotvar.statistics.moments import at_least_float32
from rotvar.transformations import ROTATION, Transformation

COVERAGE = 0.5  # how much of what a position is read from must lie inside the map
_EXACT = 1e-6  # pixels; a place so near to a position is that position, and sines and cosines are rounded


class Inverse:
    """Undoes R versions of a transformation on the maps of a layer."""

    def __init__(
        self, transform: Callable[[Tensor, Tensor], Tensor], parameters: Tensor, height: int, width: int
    ) -> None:
        """transform: `rotate` or a `Transformation`, of images of height x width, with `parameters` (R x P, or R).

        What is no movement (blur, brightness, contrast) is not undone. Raises InputError for another transformation,
        whose inverse is not known.
        """
        transform = ROTATION if transform is rotate else transform
        if not isinstance(transform, Transformation):
            raise InputError(
                "the aggregation 'same_equivariance' needs the inverse of the transformation, which is known of "
                "rotation and of a transformations.Transformation: use one, or leave the aggregation out"
            )
        self.back, self.moved = transform.places_read(parameters, height, width)
        self.size = torch.tensor([width, height], dtype=torch.float64, device="cpu")
        self.taps: dict[tuple[int, int, torch.device], tuple[Tensor, Tensor]] = {}

    def positions(self, height: int, width: int) -> int:
        """How many positions of a map of this size count."""
        return self._taps(height, width, torch.device("cpu"))[0].shape[2]

    def __call__(self, maps: Tensor) -> Tensor:
        """images x R x channels x H x W, each version turned back: images x R x channels x positions that count."""
        index, weight = self._taps(maps.shape[3], maps.shape[4], maps.device)
        flat = at_least_float32(maps.flatten(3))
        last = flat.stride(2) < flat.stride(3)  # the channels of a position lie side by side: they are read together
        flat = flat.transpose(2, 3) if last else flat
        axis, weight = (1, weight.unsqueeze(3)) if last else (2, weight)
        versions = []
        for version, taps in enumerate(zip(index, weight.to(flat.dtype), strict=True)):
            (places, _), *others = zip(*taps, strict=True)
            first = flat[:, version].index_select(axis, places)
            read = first.clone()
            # The others as differences: the weights add up to 1, and what is the same everywhere stays so, unrounded
            for places, shares in others:
                read.addcmul_(flat[:, version].index_select(axis, places).sub_(first), shares)
            versions.append(read)
        turned = torch.stack(versions, 1)
        return turned.transpose(2, 3) if last else turned

    def _taps(self, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """The four positions from which each position that counts is read in each version, and their weights: R x 4 x
        positions each. The weights are float64 and add up to 1."""
        if (height, width, device) not in self.taps:
            index, weight, coverage = self._read(height, width)
            counts = (coverage >= COVERAGE - _EXACT).all(0)
            taps = index[..., counts], (weight / coverage.unsqueeze(1))[..., counts]
            self.taps[height, width, device] = taps[0].to(device), taps[1].to(device)
        return self.taps[height, width, device]

    def _read(self, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """For every position the four that it is read from and their weights, R x 4 x (H * W), and how much of these
        lies inside, R x (H * W)."""
        shape = torch.tensor([width, height], dtype=torch.float64, device="cpu")
        share = shape / self.size  # a pixel of the map is several of the image
        # The image was read at `back p + moved`, so the map is read at the inverse, in its own pixels
        inverse = torch.linalg.inv(self.back.movedim(2, 0)) * share.view(2, 1) / share  # R x 2 x 2
        moved = inverse @ (self.moved * share.view(2, 1)).T.unsqueeze(2)  # R x 2 x 1
        numbers = (torch.arange(length, dtype=torch.float64, device="cpu") for length in (height, width))
        y, x = (each - (len(each) - 1) / 2 for each in numbers)
        places = torch.stack([x.repeat(height), y.repeat_interleave(width)])  # 2 x positions, from the centre
        places = inverse @ places - moved + (shape.view(2, 1) - 1) / 2  # R x 2 x positions, from the first pixel
        places = torch.where((places - places.round()).abs() < _EXACT, places.round(), places)
        first = places.floor()
        past = places - first
        index, weight = [], []
        for down in (0, 1):
            for right in (0, 1):
                column, row = first[:, 0] + right, first[:, 1] + down
                share_x = past[:, 0] if right else 1 - past[:, 0]
                share_y = past[:, 1] if down else 1 - past[:, 1]
                inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
                index.append((row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long())
                weight.append(torch.where(inside, share_x * share_y, 0))
        weights = torch.stack(weight, 1)
        return torch.stack(index, 1), weights, weights.sum(1)
