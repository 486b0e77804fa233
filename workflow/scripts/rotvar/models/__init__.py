"""The networks of the study: one module a family, one builder a network, and their weights on disk."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from rotvar import factory, generators
from rotvar.catalogue import SMALLEST
from rotvar.errors import InputError, damaged, reason
from rotvar.models.all_convolutional import all_convolutional
from rotvar.models.resnet import resnet
from rotvar.models.simple_conv import simple_conv
from rotvar.models.vgg import vgg16, vgg_like
from rotvar.system import checksum
from rotvar.system.files import atomic

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "simple_conv": simple_conv,
    "all_convolutional": all_convolutional,
    "vgg16": vgg16,
    "vgg_like": vgg_like,
    "resnet": resnet,
}


def build(name: str, /, channels: int, image_size: int, classes: int, **options: Any) -> nn.Module:
    """Build a network that maps images (float, N x channels x image_size x image_size) to log-probabilities
    (N x classes).

    `options` are the widths and depths that the network's builder takes; or, for a network of one's own, `factory` and
    what `factory.build` makes of the others. Raises InputError for an unknown network or option, for a value that is
    not a positive integer, for images too small for the network, and as `factory.build` does.
    """
    if "factory" in options:
        return factory.build(channels=channels, image_size=image_size, classes=classes, **options)
    if name not in BUILDERS:
        raise InputError(f"unknown model '{name}': choose one of {', '.join(BUILDERS)}")
    for option, value in options.items():
        if not isinstance(value, int) or value < 1:
            raise InputError(f"model {name}: {option} is {value!r}, but must be a positive integer")
    if image_size < (smallest := SMALLEST.get(name, 1)):
        raise InputError(f"model {name}: image_size is {image_size}, but must be at least {smallest}")
    builder = BUILDERS[name]
    allowed = builder.__annotations__.keys() - {"channels", "image_size", "classes", "return"}
    if unknown := options.keys() - allowed:
        raise InputError(f"model {name} has no option '{min(unknown)}': it takes {', '.join(sorted(allowed))}")
    return builder(channels=channels, image_size=image_size, classes=classes, **options)


def begin(
    name: str, shape: dict[str, int], options: dict[str, Any], seed: int, begin_with: Iterable[str | Path] = ()
) -> nn.Module:
    """A network as a training begins with it: random weights from `seed`, or those of the one file in `begin_with`.

    shape: channels, image_size and classes. Raises InputError as `build` and `start_from` do.
    """
    generators.seed(seed)
    model = build(name, **shape, **options)
    for file in begin_with:
        start_from(model, file)
    return model


def sketch(
    name: str, /, channels: int, image_size: int, classes: int, **options: Any
) -> tuple[nn.Module, torch.Tensor]:
    """A network as `build` makes it, in evaluation mode, and an image, to see what shapes its layers have.

    On the meta device, which takes no time and no memory; but a network of one's own may look at what it computes.
    """
    with torch.device(_device(options)):
        model = build(name, channels, image_size, classes, **options).eval()
        return model, torch.zeros(1, channels, image_size, image_size)


def _device(options: dict[str, Any]) -> str:
    return "cpu" if "factory" in options else "meta"


def save(model: nn.Module, path: str | Path, description: dict[str, Any]) -> None:
    """Write the weights as safetensors, together with the description that `load` needs to build the network again:
    name, channels, image_size, classes (their number), options, and whatever else there is to know of it (JSON)."""
    with atomic(path) as part:
        # Copies, because safetensors refuses tensors that share memory, as those of tied layers do
        weights = {
            name: tensor.cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in model.state_dict().items()
        }
        described = description | {"checksum": checksum.BLANK}
        save_file(weights, part, metadata={"description": json.dumps(described)})
        checksum.stamp(part)


def load(path: str | Path, **expected: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Read a network that `save` wrote: in evaluation mode, on the CPU, channels last; and its description.

    expected: what must stand in the description, such as `name`, `options` and `channels`. Raises InputError where
    something else does, where the file is damaged, and where its weights do not fit the network it describes.
    """
    try:
        checksum.verify(path)
        with safe_open(path, framework="pt") as file:
            description = json.loads(file.metadata()["description"])
            del description["checksum"]
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        shape = {key: description[key] for key in ("channels", "image_size", "classes")}
        options = description["options"]
        with torch.device(_device(options)):  # meta takes no memory, whatever sizes the description names
            model = build(description["name"], **shape, **options)
        _check_shapes(model, weights)
        # Values are copied where there is memory for them: assigned, tied weights would become two
        model.load_state_dict(weights, assign=_device(options) == "meta")
    except factory.FactoryError:
        raise
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise damaged(path, "does not hold the weights of a network", error) from error
    for key, value in expected.items():
        if (found := description.get(key)) != value:
            remedy = "delete it, and the workflow trains that one"
            raise InputError(f"{path} holds a network with {key} {found}, but {value} is asked for: {remedy}")
    # Convolutions then compute, and hand on, channels-last maps: 1.6 times faster on a CPU
    return model.eval().to(memory_format=torch.channels_last), description  # type: ignore[call-overload]


def start_from(model: nn.Module, path: str | Path) -> None:
    """Give `model` the weights in the safetensors file `path`: a state dict, as `save_model` writes it, which leaves
    out all but one name of tied weights.

    Raises InputError where there is none, and where its tensors are not those of the network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        state = model.state_dict()
        given = {_memory(state[name]) for name in weights if name in state}
        # A name left out stands for memory that another name fills: it is given what it is
        weights |= {name: one for name, one in state.items() if name not in weights and _memory(one) in given}
        _check_shapes(model, weights)
        model.load_state_dict(weights)
    except SafetensorError as error:
        raise InputError(
            f"{path} is no safetensors file ({reason(error)}): write one with safetensors.torch.save_model"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path} does not hold weights for this network ({reason(error)}): name another file"
        ) from error


def _memory(tensor: torch.Tensor) -> tuple[int, int]:
    """Where the values of a tensor lie, and how many they are: the same for tied weights."""
    return tensor.data_ptr(), tensor.numel()


def _check_shapes(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Raise ValueError, with the first tensor that differs, unless the weights are those of the network."""
    needed = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: list(tensor.shape) for name, tensor in weights.items()}
    for name in [*needed, *found]:
        if needed.get(name) != found.get(name):
            raise ValueError(f"{name} is {found.get(name, 'missing')}, but must be {needed.get(name, 'left out')}")
