"""VGG16 (Simonyan and Zisserman 2014, arXiv 1409.1556) and the smaller VGG of the 2019 paper."""

from collections import OrderedDict

from torch import nn


def vgg16(channels: int, image_size: int, classes: int, width: int = 16, hidden: int = 64) -> nn.Module:
    """Configuration D with batch normalization: groups of 2, 2, 3, 3, 3 convolutions of f, 2f, 4f, 8f, 8f filters,
    a max pool after each group as long as the map is larger than 1x1, one hidden fully connected layer. f is `width`.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    size = image_size
    for group, (convolutions, factor) in enumerate([(2, 1), (2, 2), (3, 4), (3, 8), (3, 8)], start=1):
        for i in range(1, convolutions + 1):
            layers[f"conv{group}_{i}"] = nn.Conv2d(channels, factor * width, 3, padding=1, bias=False)
            layers[f"bn{group}_{i}"] = nn.BatchNorm2d(factor * width)
            layers[f"relu{group}_{i}"] = nn.ReLU()
            channels = factor * width
        if size > 1:
            layers[f"pool{group}"] = nn.MaxPool2d(2)
            size //= 2
    layers["flatten"] = nn.Flatten()
    layers["fc1"] = nn.Linear(channels * size**2, hidden)
    layers["relu_fc1"] = nn.ReLU()
    layers["fc2"] = nn.Linear(hidden, classes)
    layers["log_softmax"] = nn.LogSoftmax(dim=1)
    return nn.Sequential(layers)


def vgg_like(channels: int, image_size: int, classes: int, width: int = 16, hidden: int = 64) -> nn.Module:
    """The VGG of the 2019 paper: four groups of two convolutions of f, 2f, 4f, 8f filters, each convolution followed by
    ELU and then batch normalization, each group by a max pool; fully connected, batch normalization, ReLU, fully
    connected. f is `width`."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    size = image_size
    for group, factor in enumerate([1, 2, 4, 8], start=1):
        for i in (1, 2):
            layers[f"conv{group}_{i}"] = nn.Conv2d(channels, factor * width, 3, padding=1)
            layers[f"elu{group}_{i}"] = nn.ELU()
            layers[f"bn{group}_{i}"] = nn.BatchNorm2d(factor * width)
            channels = factor * width
        layers[f"pool{group}"] = nn.MaxPool2d(2)
        size //= 2
    layers["flatten"] = nn.Flatten()
    layers["fc1"] = nn.Linear(channels * size**2, hidden)
    layers["bn_fc1"] = nn.BatchNorm1d(hidden)
    layers["relu_fc1"] = nn.ReLU()
    layers["fc2"] = nn.Linear(hidden, classes)
    layers["log_softmax"] = nn.LogSoftmax(dim=1)
    return nn.Sequential(layers)
