"""A simple convolutional network: five convolutions, two poolings, two fully connected layers."""

from collections import OrderedDict

from torch import nn


def simple_conv(channels: int, image_size: int, classes: int, width: int = 32, hidden: int = 64) -> nn.Module:
    """conv3x3 f, f, pool, 2f, 2f, pool, 4f, fc, fc; ReLU after every one but the last. f is `width`."""
    flat = 4 * width * (image_size // 4) ** 2
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, width, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(width, width, 3, padding=1),
            relu2=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(width, 2 * width, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            relu4=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            conv5=nn.Conv2d(2 * width, 4 * width, 3, padding=1),
            relu5=nn.ReLU(),
            flatten=nn.Flatten(),
            fc1=nn.Linear(flat, hidden),
            relu6=nn.ReLU(),
            fc2=nn.Linear(hidden, classes),
            log_softmax=nn.LogSoftmax(dim=1),
        )
    )
