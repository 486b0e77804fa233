"""The data sets and models that the project knows: what can be said of them without loading them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Info:
    """A data set: its title, the shape of its images, its class names (which the labels index), its split sizes."""

    title: str
    channels: int
    image_size: int  # pixels, height and width
    classes: tuple[str, ...]
    train: int  # images
    test: int  # images


# Class names are torchvision's own, in its order (`torchvision.datasets.MNIST.classes`, ...). CIFAR10's are in the
# order of its `batches.meta`.
DATASETS: dict[str, Info] = {
    "digits": Info("Digits", 1, 32, tuple(str(digit) for digit in range(10)), train=1437, test=360),
    "mnist": Info(
        "MNIST",
        1,
        28,
        (
            "0 - zero",
            "1 - one",
            "2 - two",
            "3 - three",
            "4 - four",
            "5 - five",
            "6 - six",
            "7 - seven",
            "8 - eight",
            "9 - nine",
        ),
        train=60_000,
        test=10_000,
    ),
    "fashion_mnist": Info(
        "Fashion-MNIST",
        1,
        28,
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        train=60_000,
        test=10_000,
    ),
    "cifar10": Info(
        "CIFAR10",
        3,
        32,
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        train=50_000,
        test=10_000,
    ),
}

# Name in configuration, paths and columns -> title in figures and tables.
MODELS: dict[str, str] = {
    "simple_conv": "SimpleConv",
    "all_convolutional": "AllConvolutional",
    "vgg16": "VGG16",
    "vgg_like": "VGG-like",
    "resnet": "ResNet",
}

# The fewest pixels, height and width, of the images of a model whose poolings would leave none of fewer; else 1.
SMALLEST: dict[str, int] = {"simple_conv": 4, "vgg_like": 16}
