"""What images are put through: families of changes, drawn at random to train with, on a regular grid to measure with.

A `Transformation` does one family or several together. A new family is an entry of `FAMILIES` and of `CHANGES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor
from torch.nn import functional

from rotvar.affine import affine, places_read
from rotvar.errors import InputError
from rotvar.rotation import angles, rotate


@dataclass(frozen=True)
class Family:
    """Changes of one kind: what their parameters are, and what a limit on them is.

    `place` makes parameters of numbers in [-1, 1], given the limit, which is at most `most`.
    """

    parameters: tuple[str, ...]
    limit: str
    place: Callable[[Tensor, float], Tensor]
    most: float


def _to_either_side(numbers: Tensor, limit: float) -> Tensor:
    return limit * numbers


def _around_one(numbers: Tensor, limit: float) -> Tensor:
    return 1 + limit * numbers


def _times_or_divided(numbers: Tensor, limit: float) -> Tensor:
    return (1 + limit) ** numbers


def _from_zero(numbers: Tensor, limit: float) -> Tensor:
    return limit * (numbers + 1) / 2


def _that_share(numbers: Tensor, limit: float) -> Tensor:
    return (numbers >= 1 - 2 * limit).double()


FAMILIES = {
    "rotation": Family(("angle in degrees, counter-clockwise",), "degrees to either side", _to_either_side, 180),
    "translation": Family(
        ("share of the width, to the right", "share of the height, down"), "shares to either side", _to_either_side, 1
    ),
    "scale": Family(("factor",), "l, for factors from 1 / (1 + l) to 1 + l", _times_or_divided, 100),
    "shear": Family(("angle in degrees, along x",), "degrees to either side", _to_either_side, 89),
    "horizontal_flip": Family(("1: left and right are swapped",), "the share of images", _that_share, 1),
    "vertical_flip": Family(("1: top and bottom are swapped",), "the share of images", _that_share, 1),
    "blur": Family(("sigma in pixels",), "the largest sigma", _from_zero, 100),
    "brightness": Family(("factor",), "l, for factors from 1 - l to 1 + l", _around_one, 1),
    "contrast": Family(("factor",), "l, for factors from 1 - l to 1 + l", _around_one, 1),
}


class Transformation:
    """Some of `FAMILIES` together, each up to a limit.

    Rotation, translation, scale and shear are done in one interpolation (as `affine` does them), then the others in
    the order of `CHANGES`. Calling it transforms images (float in [0, 1], N x C x H x W), each by its own parameters
    (N x P, on the CPU; N alone where P is 1): `parameters` names these.
    """

    def __init__(self, limits: Mapping[str, float]) -> None:
        """`limits`: the limit of each family, in any order; one of 0 is as none.

        Raises InputError for an unknown family, and for a limit that is no number, negative or too large.
        """
        for name, limit in limits.items():
            if name not in FAMILIES:
                raise InputError(f"unknown transformation '{name}': choose among {', '.join(FAMILIES)}")
            if not isinstance(limit, Real) or not 0 <= limit <= FAMILIES[name].most:
                raise InputError(f"{name}: {limit!r} given, but it is a number from 0 to {FAMILIES[name].most:g}")
        self.limits = {name: float(limits[name]) for name in FAMILIES if limits.get(name)}

    @property
    def parameters(self) -> list[str]:
        """The names of the P parameters, in order."""
        return [f"{name}: {words}" for name in self.limits for words in FAMILIES[name].parameters]

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Parameters for n images, independent of each other, uniform within the limits (scale: their logarithms); N x
        P, float64, on the CPU."""
        drawn = torch.rand(n, len(self.parameters), dtype=torch.float64, device="cpu", generator=generator)
        return self._place(2 * drawn - 1)

    def grid(self, samples: int) -> Tensor:
        """Every combination of `samples` values of each parameter, from one limit to the other in equal steps (scale:
        of the logarithm), R x P, float64, on the CPU.

        A full turn's two ends are the same, and one is left out (`rotation.angles`). A flip has two values: as it is,
        and mirrored. Raises InputError for samples < 2, and where nothing is to change.
        """
        if not self.limits:
            raise InputError("a transformation to measure under needs a limit that is not 0")
        if samples < 2:
            raise InputError(f"samples: {samples} given, but a standard deviation needs at least 2")
        columns = []
        for name, limit in self.limits.items():
            family = FAMILIES[name]
            values = family.place(torch.linspace(-1, 1, samples, dtype=torch.float64, device="cpu"), limit)
            if name.endswith("_flip"):
                values = torch.tensor([0.0, 1.0], dtype=torch.float64, device="cpu")
            elif name == "rotation" and limit == family.most:
                values = angles(samples)
            columns += [values] * len(family.parameters)
        return torch.cartesian_prod(*columns).view(-1, len(columns))

    def __call__(self, images: Tensor, parameters: Tensor) -> Tensor:
        parameters = parameters.detach().to("cpu", torch.float64).view(len(parameters), -1)
        if parameters.shape != (len(images), len(self.parameters)):
            raise InputError(
                f"parameters: {tuple(parameters.shape)} given for {len(images)} images, {len(self.parameters)} per "
                f"image needed ({'; '.join(self.parameters)})"
            )
        given = self._by_family(parameters)
        moves = _moves(given, *images.shape[-2:])
        if list(moves) == ["rotation"]:
            images = rotate(images, moves["rotation"])  # which is exact at quarter turns
        elif moves:
            images = affine(images, **moves)
        for name, change in CHANGES.items():
            if name in given:
                images = change(images, *(column.to(images.dtype) for column in given[name]))
        return images

    def places_read(self, parameters: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Where each pixel of images of this size comes from: `back`, 2 x 2 x N, and `moved`, 2 x N, as
        `affine.interpolate` takes them. What is no movement (blur, brightness, contrast) leaves them where they are.

        parameters: N x P, on the CPU; N alone where P is 1.
        """
        given = self._by_family(parameters.detach().to("cpu", torch.float64).view(len(parameters), -1))
        back, moved = places_read(len(parameters), **_moves(given, height, width))
        for axis, name in enumerate(("horizontal_flip", "vertical_flip")):
            if name in given:  # which is done last, so it is the first to be undone: p is mirrored before it is read
                back[:, axis] *= 1 - 2 * given[name][0]
        return back, moved

    def _place(self, numbers: Tensor) -> Tensor:
        placed = []
        for name, columns in self._by_family(numbers).items():
            placed += [FAMILIES[name].place(column, self.limits[name]) for column in columns]
        return torch.stack(placed, dim=1)

    def _by_family(self, table: Tensor) -> dict[str, list[Tensor]]:
        """The columns of each family."""
        columns = iter(table.unbind(1))
        return {name: [next(columns) for _ in FAMILIES[name].parameters] for name in self.limits}


def _moves(given: Mapping[str, list[Tensor]], height: int, width: int) -> dict[str, Tensor]:
    """What of the parameters by family is a movement of images of this size, as `affine` takes it."""
    moves = {name: given[name][0] for name in ("rotation", "scale", "shear") if name in given}
    if "translation" in given:
        right, down = given["translation"]
        moves |= {"right": right * width, "down": down * height}
    return moves


def _to(images: Tensor, parameters: Tensor) -> Tensor:
    """Parameters of the CPU, where the images are; a GPU need not be waited for."""
    return parameters.to(images.device, non_blocking=True).view(-1, 1, 1, 1)


def _mirror(axis: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda images, mirrored: torch.where(_to(images, mirrored) == 1, images.flip(axis), images)


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, cut off after 3 sigma; beyond the border the image is reflected, as by torchvision."""
    n, channels, height, width = images.shape
    radius = min(int((3 * sigma).ceil().max()), min(height, width) - 1)
    sigma = _to(images, sigma).view(-1, 1)
    away = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-0.5 * (away / sigma.clamp(min=1e-6)) ** 2) * (away.abs() <= (3 * sigma).ceil())
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)  # N * C x 2 radius + 1
    flat = functional.pad(images, (radius,) * 4, mode="reflect").view(1, n * channels, height + 2 * radius, -1)
    flat = functional.conv2d(flat, weights[:, None, :, None], groups=n * channels)
    return functional.conv2d(flat, weights[:, None, None, :], groups=n * channels).view_as(images)


def _brighten(images: Tensor, factor: Tensor) -> Tensor:
    return (images * _to(images, factor)).clamp(0, 1)


def _contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Away from, or towards, the mean grey of the image (of three channels: their luminance as of torchvision)."""
    if images.shape[1] == 3:
        red, green, blue = images.split(1, dim=1)
        grey = 0.2989 * red + 0.587 * green + 0.114 * blue
    else:
        grey = images.mean(1, keepdim=True)
    mean, factor = grey.mean((1, 2, 3), keepdim=True), _to(images, factor)
    return (factor * images + (1 - factor) * mean).clamp(0, 1)


# What each family does that is not a movement: images (N x C x H x W) and its parameters (N each) to images.
CHANGES: dict[str, Callable[..., Tensor]] = {
    "horizontal_flip": _mirror(-1),
    "vertical_flip": _mirror(-2),
    "blur": _blur,
    "brightness": _brighten,
    "contrast": _contrast,
}

ROTATION = Transformation({"rotation": 180})
