"""The all-convolutional network (Springenberg et al. 2014, arXiv 1412.6806), with batch normalization."""

from collections import OrderedDict

from torch import nn


def all_convolutional(channels: int, image_size: int, classes: int, width: int = 16) -> nn.Module:
    """Three convolutions of f, four of 2f, a 1x1 of 2f, a 1x1 to the classes, global average pooling; the third and
    the sixth have stride 2. ReLU after each convolution, batch normalization in all but the last. f is `width`."""
    f = width
    plan = [(f, 3, 1), (f, 3, 1), (f, 3, 2), (2 * f, 3, 1), (2 * f, 3, 1), (2 * f, 3, 2), (2 * f, 3, 1), (2 * f, 1, 1)]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (filters, kernel, stride) in enumerate(plan, start=1):
        layers[f"conv{i}"] = nn.Conv2d(channels, filters, kernel, stride=stride, padding=kernel // 2, bias=False)
        layers[f"bn{i}"] = nn.BatchNorm2d(filters)
        layers[f"relu{i}"] = nn.ReLU()
        channels = filters
    layers["conv9"] = nn.Conv2d(channels, classes, 1)
    layers["relu9"] = nn.ReLU()
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["log_softmax"] = nn.LogSoftmax(dim=1)
    return nn.Sequential(layers)
