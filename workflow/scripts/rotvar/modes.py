"""A network in evaluation mode, and afterwards as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from rotvar.errors import InputError


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode for the block, and then each of its modules back, by its own `train`: that may
    do more, such as to take out of a weight what its `eval` has merged into it.

    Raises InputError for what `torch.export` made, which has one mode.
    """
    before = {module: module.training for module in model.modules()}
    try:
        model.eval()
    except NotImplementedError as error:
        remedy = "give the network that it was made of"
        raise InputError(f"an exported network cannot be put in evaluation mode: {remedy}") from error
    try:
        yield
    finally:
        for module, training in before.items():  # outermost first: what it does to others is put right after it
            if module.training != training:
                module.train(training)
