"""A network of one's own: what any function or class gives that makes a `torch.nn.Module` which classifies images."""

import copy
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rotvar import generators
from rotvar.errors import InputError, reason
from rotvar.modes import evaluating

_FAILURES = (Exception, SystemExit)  # sys.exit in somebody's code would end the run without a word


class FactoryError(InputError):
    """The fault is a factory's, or that of its options, and no file's."""


def build(factory: str, channels: int, image_size: int, classes: int, **options: Any) -> nn.Module:
    """The network that `factory`, "package.module:function", gives: from images (float, N x channels x image_size x
    image_size) to a score for each class, logits or log-probabilities (N x classes or more).

    It is called with `options`, and with those of `channels`, `image_size`, `classes` and `num_classes` that it names
    and `options` does not; with `num_classes` also where it takes any (**kwargs) and names no `classes`.

    Raises FactoryError where `function` says so, where the call fails, and where it does not give a network that takes
    such images and gives such scores, in evaluation and in training.
    """
    make = function(factory)
    shape = {"channels": channels, "image_size": image_size, "classes": classes, "num_classes": classes}
    arguments = {name: value for name, value in shape.items() if name in _accepted(make)} | options
    try:
        network = make(**arguments)
    except _FAILURES as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise FactoryError(f"{factory}({given}) fails ({_why(error)}): correct the factory or its options") from error
    if not isinstance(network, nn.Module) or not any(True for _ in network.parameters()):
        raise FactoryError(f"{factory} gives a {type(network).__name__}: a torch.nn.Module with weights is needed")
    _check(factory, network, channels, image_size, classes)
    return network


def function(factory: str) -> Callable[..., Any]:
    """What "package.module:function" names, imported as Python imports it or from the folder the program runs in.

    Raises FactoryError where it cannot be imported and where it cannot be called.
    """
    module, _, name = factory.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that no file there takes the place of another module
    try:
        found = getattr(importlib.import_module(module), name)
    except _FAILURES as error:  # whatever the module does when it is imported
        raise FactoryError(
            f"{factory} cannot be imported ({_why(error)}): install its package, or run in the folder it lies in"
        ) from error
    if not callable(found):
        raise FactoryError(
            f"{factory} is a {type(found).__name__}: a function or a class that gives a network is needed"
        )
    return found


def source(factory: str) -> str | None:
    """The file that the function stands in, where Python knows one that can be edited."""
    try:
        return inspect.getsourcefile(inspect.unwrap(function(factory)))
    except TypeError:  # it is written in another language
        return None


def _why(error: BaseException) -> str:
    """What a failure says; what sys.exit was given may be a mere number."""
    return repr(error) if isinstance(error, SystemExit) else reason(error)


def _accepted(make: Callable[..., Any]) -> set[str]:
    """Which of the shape's names a function takes."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except ValueError:  # nothing is known of it
        return set()
    names = {
        one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL, one.POSITIONAL_ONLY)
    }
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    return names | ({"num_classes"} if takes_any and "classes" not in names else set())


def _check(factory: str, network: nn.Module, channels: int, image_size: int, classes: int) -> None:
    """Put two images through the network as it is measured, and as it is trained.

    Raises FactoryError where that fails or does not give their scores.
    """
    images, cpu = torch.zeros(2, channels, image_size, image_size), torch.device("cpu")
    taken = f"2 x {channels} x {image_size} x {image_size}"
    remedy = ": where it has auxiliary outputs, leave them out by its options, such as aux_logits: false"
    before = generators.state(cpu)  # dropout draws, and a training is to begin with what its seed gives
    for forward, when, then in ((_measured, "", ""), (_trained, " in training", remedy)):
        try:
            with torch.no_grad():
                scores = forward(network, images)
        except _FAILURES as error:
            raise FactoryError(
                f"the network of {factory} does not take images of {taken}{when} ({_why(error)}){then}"
            ) from error
        if not isinstance(scores, torch.Tensor) or scores.dim() != 2 or len(scores) != 2 or scores.shape[1] < classes:
            given = " x ".join(map(str, scores.shape)) if isinstance(scores, torch.Tensor) else type(scores).__name__
            raise FactoryError(
                f"the network of {factory} makes {given} of images of {taken}{when}: one score for each of {classes} "
                f"classes is needed, 2 x {classes}{then}"
            )
    generators.restore(before, cpu)


def _measured(network: nn.Module, images: torch.Tensor) -> Any:
    with evaluating(network):
        return network(images)


def _trained(network: nn.Module, images: torch.Tensor) -> Any:
    before = copy.deepcopy(network.state_dict())  # running statistics follow the images; not every module can be copied
    try:
        with evaluating(network):  # which puts each module back in its mode
            return network.train()(images)
    finally:
        network.load_state_dict(before)
