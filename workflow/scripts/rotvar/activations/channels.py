"""On which axis of an activation its channels lie: where an operation puts them, or where its input had them."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate, map_arg
from torch.nn import functional

from rotvar.activations.kinds import kind_of, name_of

# Parts of the names of what has its channels on the last axis
LAST = ("linear", "layernorm", "layer_norm", "rmsnorm", "rms_norm", "attention", "affine_grid")


def own_axis(target: object) -> int | None:
    """The axis of the channels in the output of an operation that decides it by itself; None where its input does.

    Convolutions, batch and group normalizations, poolings and upsamplings keep the channels on axis 1; fully
    connected layers, layer and root mean square normalizations (but of whole maps), attention, recurrent layers and
    grids of places on the last.
    """
    if isinstance(target, nn.RNNBase):
        return -1
    if isinstance(target, nn.LayerNorm | nn.RMSNorm) and len(target.normalized_shape) > 1:
        return None
    name = name_of(target)
    if name.removeprefix("linalg_").removeprefix("vector_") in ("norm", "normalize"):  # of vectors, on any axis
        return None
    if name.endswith("2d") or "upsampl" in name:  # torchvision's LayerNorm2d, too
        return 1
    if kind_of(target) == "non-linearity":  # also of a class NonLinear
        return None
    if any(part in name for part in LAST):
        return -1
    if any(part in name for part in ("conv", "norm", "pool")):
        return 1
    return None


class Axes:
    """The axis of the channels in each value of a traced network, found when it runs for the first time."""

    def __init__(self, targets: Mapping[fx.Node, object]) -> None:
        """`targets`: the module, function or method's name of each node."""
        self.targets = targets
        self.found: dict[fx.Node, int | None] = {}  # None for what has no channels: parameters, sizes
        self.marks: dict[fx.Node, Any] = {}  # of values that were only laid out anew

    def find(self, node: fx.Node, output: object, values: Mapping[fx.Node, Any]) -> int | None:
        """The axis in `output`, what `node` gives; `values`: those of the nodes that it reads."""
        if node not in self.found:
            self.found[node] = self._find(node, output, values)
        return self.found[node]

    def _find(self, node: fx.Node, output: object, values: Mapping[fx.Node, Any]) -> int | None:
        if node.op == "placeholder":
            return 1
        if node.op == "get_attr":  # a parameter, whose path may name any layer
            return None
        own = None if normalizes_maps(node, values) else own_axis(self.targets[node])
        read = set(node.all_input_nodes)  # where they disagree, what was computed first decides: a sum's shortcut
        inputs = [axis for source, axis in self.found.items() if source in read and axis is not None]
        if own is not None or not inputs:
            return own
        laid_out = kind_of(self.targets[node]) is None and "pad" not in name_of(self.targets[node])
        dropped = drops_an_axis(output, map(values.get, node.all_input_nodes))
        if laid_out or dropped:
            with suppress(Exception):  # not everything can be done with places: a table is looked up by whole numbers
                self.marks[node] = self._laid_out(node, values)
        if not isinstance(output, Tensor):
            return inputs[0]
        if output.dim() < 2:
            return None  # one number an image: a sum over all positions, a slice
        if node.target is torch.einsum and (axis := self._by_equation(node)) is not None:
            return axis
        marked = self.marks.get(node)
        marked = marked[0] if isinstance(marked, tuple) else marked  # maxima, and where they are
        if isinstance(marked, Tensor):
            if axes := varying(marked):
                return axes[0]  # the first where a layout splits the channels: the heads of an attention
            del self.marks[node]  # they tell nothing, here and from here on
            if dropped:
                return 1  # the channels were pooled, or versions by a std, of which marks are all 0
            if 1 in output.shape[1:]:
                return output.shape.index(1, 1)  # there is one channel alone
        return inputs[0] % output.dim() or 1  # axis 0 is the batch's

    def _by_equation(self, node: fx.Node) -> int | None:
        """Where an einsum puts the channels of the first operand of which it keeps them; else, where it adds them up,
        the first axis that it has from weights. None where its equation does not tell."""
        equation, *operands = node.args
        terms, _, result = str(equation).replace(" ", "").partition("->")
        if "." in terms or isinstance(operands[0], list):
            return None
        new = [*result]
        for term, operand in zip(terms.split(","), operands, strict=True):
            axis = self.found.get(operand)  # type: ignore[arg-type]
            if axis is not None:
                if term[axis] in result:
                    return result.index(term[axis])
                new = [letter for letter in new if letter not in term]
        return result.index(new[0]) if new else None

    def _laid_out(self, node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
        """What `node` gives where every activation is the number of its channel."""

        def mark(source: fx.Node) -> Any:
            if source in self.marks:
                return self.marks[source]
            axis = self.found.get(source)
            return values[source] if axis is None else map_aggregate(values[source], lambda one: numbered(one, axis))

        args, kwargs = map_arg(node.args, mark), map_arg(node.kwargs, mark)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        target = self.targets[node]
        return target(*args, **kwargs)  # type: ignore[operator]


def normalizes_maps(node: fx.Node, values: Mapping[fx.Node, Any]) -> bool:
    """Whether a node calls the function of a layer or root mean square normalization, over more than the last axis."""
    if node.target not in (functional.layer_norm, functional.rms_norm):
        return False
    given = node.kwargs["normalized_shape"] if "normalized_shape" in node.kwargs else node.args[1]
    shape: Any = map_arg(given, values.get)
    return len(shape) > 1


def drops_an_axis(output: object, inputs: Iterable[Any]) -> bool:
    """Whether an operation's output has fewer axes than one of its inputs, as a mean over versions has."""
    return isinstance(output, Tensor) and any(isinstance(one, Tensor) and one.dim() > output.dim() for one in inputs)


def numbered(value: Any, axis: int) -> Any:
    """A tensor of the shape of `value` that holds places along `axis`; what is no tensor of a batch, as it is."""
    if not isinstance(value, Tensor) or not axis % max(value.dim(), 1) >= 1:
        return value
    device = "cpu" if value.is_meta else value.device
    places = torch.arange(value.shape[axis], dtype=torch.float32, device=device)
    return (
        places.view([-1 if each == axis % value.dim() else 1 for each in range(value.dim())]).expand_as(value).clone()
    )


def varying(marked: Tensor) -> list[int]:
    """The axes along which a tensor changes, but for that of the batch."""
    return [axis for axis in range(1, marked.dim()) if (marked != marked.narrow(axis, 0, 1)).any()]
