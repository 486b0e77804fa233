"""What a job asks of a cluster: time and memory, from the images it sees and the size of its network.

Snakemake asks while it plans, where there may be no PyTorch, so the sizes are formulas; tests hold them against the
networks. They are meant to be generous: a job that asks for too little is killed, and tried again with more.
"""

import math
from dataclasses import dataclass
from typing import Any

OPERATIONS_PER_SECOND = 1e12  # a GPU of ten years ago computes as many in float32 with a network that fills it
IMAGES_PER_SECOND = 2000  # and as many images with one that does not
START_MINUTES = 30  # imports, reading and writing, on a slow file system
PROCESS_MB = 6000  # PyTorch with CUDA, and a data set in a few copies


@dataclass(frozen=True)
class Size:
    """Of a network, for one image: the floating-point operations of a forward pass, and all layers' activations and
    channels."""

    operations: float
    activations: float
    channels: float


# Of networks of width 1 on one pixel. Operations grow with the square of the width, activations and channels with the
# width.
SIZES = {
    "simple_conv": Size(57, 7.2, 28),
    "all_convolutional": Size(62, 11, 40),
    "vgg16": Size(145, 13, 226),
    "vgg_like": Size(100, 12, 113),
}
RESNETS = {
    18: Size(280, 28, 249),
    34: Size(580, 47, 452),
    50: Size(650, 152, 1453),
    101: Size(1230, 228, 2949),
    152: Size(1800, 323, 4269),
}


# Convolutions and fully connected layers
LAYERS = {"simple_conv": 7, "all_convolutional": 9, "vgg16": 15, "vgg_like": 10}
RESNET_LAYERS = {18: 21, 34: 37, 50: 54, 101: 105, 152: 156}


def layers(model: str, /, *, depth: int = 18, **_: Any) -> int:
    """How many convolutions and fully connected layers a network with these options has; one that is not known, as many
    as a ResNet-50."""
    return RESNET_LAYERS[depth] if model == "resnet" else LAYERS.get(model, RESNET_LAYERS[50])


def size(model: str, image_size: int, *, width: int, depth: int = 18, **_: int) -> Size:
    """The size of a network with these options, about, on images of image_size x image_size pixels."""
    unit = RESNETS[depth] if model == "resnet" else SIZES[model]
    operations, activations = unit.operations * width**2 * image_size**2, unit.activations * width * image_size**2
    return Size(operations, activations, unit.channels * width)


def unknown(image_size: int) -> Size:
    """The size of a network of which nothing is known: that of a ResNet-50 as wide as ImageNet's."""
    return size("resnet", image_size, width=64, depth=50)


def combinations(samples: int, **limits: float) -> int:
    """How often a measurement sees each image: R of `transformations.Transformation(limits).grid(samples)`."""
    of_each = {"translation": samples**2, "horizontal_flip": 2, "vertical_flip": 2}  # two parameters; two values
    return math.prod(of_each.get(name, samples) for name, limit in limits.items() if limit)


def minutes(images: float, network: Size) -> int:
    """The time in which a GPU puts so many images through a network, once each."""
    seconds = images * (network.operations / OPERATIONS_PER_SECOND + 1 / IMAGES_PER_SECOND)
    return START_MINUTES + math.ceil(seconds / 60)


def training_mb(batch_size: int, network: Size) -> int:
    """The memory of a training, in megabytes, also where it computes on a CPU: a batch's activations and gradients."""
    return PROCESS_MB + math.ceil(2 * 4 * batch_size * network.activations / 1e6)


def sweep_mb(rotations: int, network: Size, turned: bool = False, firing: float = 0) -> int:
    """The memory of a measurement of variance, in megabytes: the state of all positions (`memory.of_state`), twice if
    maps are also turned back, the `firing` largest activations of each channel, for its mean and its maximum
    (`memory.of_largest`), and half of it all again while it is written or merged."""
    state = (2 if turned else 1) * 32 * (rotations + 1) * network.activations + 2 * 32 * firing * network.channels
    return PROCESS_MB + math.ceil(1.5 * state / 1e6)
