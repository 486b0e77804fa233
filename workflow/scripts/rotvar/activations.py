"""Every activation of a network, handed over layer by layer while the network runs."""

import fnmatch
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from torch import Tensor, fx, nn

from rotvar import fusions
from rotvar.fusions import Fusion

# What an operation is called in results and figures, by a part of its class's or function's name (first match)
KINDS = (
    ("convolution", ("conv",)),
    ("normalization", ("norm",)),
    ("pooling", ("pool",)),
    ("log-softmax", ("logsoftmax", "log_softmax")),
    ("softmax", ("softmax",)),
    ("fully connected", ("linear",)),
    ("attention", ("attention",)),
    ("sum", ("add", "sub")),
    ("product", ("mul", "matmul")),
    ("concatenation", ("cat",)),
    ("non-linearity", ("relu", "elu", "silu", "swish", "tanh", "sigmoid", "softplus", "mish")),
)
# Operations that only lay out, choose or pass on what an earlier layer computed: not layers of their own
PASSIVE = (
    "flatten", "view", "reshape", "permute", "transpose", "contiguous", "getitem", "getattr", "size", "squeeze",
    "unsqueeze", "expand", "chunk", "split", "unbind", "dropout", "identity", "stochasticdepth", "stochastic_depth",
    "pad", "patch_merging_pad", "stack", "clone", "detach", "to", "float", "type_as", "type", "roll",
)  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One operation of a network whose output is measured."""

    name: str  # the network's own dotted name, unique
    kind: str


Record = Callable[[Layer, Tensor], None]
Show = Callable[[Layer, object, int], None]
# Takes a convolution and the layers to fuse with it, and the convolution's output; returns what the last of them makes
# of it, or None where they have to go one by one
Fuse = Callable[[list[Layer], Fusion, Tensor], Tensor | None]


class Recorder:
    """Runs a network and shows the output of every layer to a callback, in execution order, as soon as it exists.

    The callback gets the output with the channels on the second axis, N x C or N x C x positions..., wherever the
    network keeps them, and must take what it needs at once: an in-place operation may overwrite the tensor
    afterwards, and nothing else keeps it alive.

    The network is traced with torch.fx, which sees functions and operators (residual sums) as well as modules, and
    makes two layers of a module that is called twice. Where it cannot be traced, hooks on its innermost modules see
    those alone.

    layers: patterns of the names to show, where "*" stands for any characters, dots too. channel_axes: for patterns of
    names, the axis of the channels, where the rules of `channel_axis` err.
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[str] = ("*",), channel_axes: Mapping[str, int] | None = None
    ) -> None:
        self.model = model
        self.layers = layers
        self.channel_axes = channel_axes or {}
        self.graph: _Interpreter | None
        try:
            self.graph = _Interpreter(model)
        except (fx.proxy.TraceError, TypeError, AttributeError, RuntimeError, ValueError, NotImplementedError):
            self.graph = None

    def run(self, batch: Tensor, record: Record, fuse: Fuse | None = None) -> Tensor:
        """Run the network on `batch` (N x C x H x W), calling `record(layer, output)` for every layer.

        fuse: computes the layers to fuse with a convolution (`fusions`) and records all of them, where the network is
        traced and all are shown.
        """

        def show(layer: Layer, output: object, axis: int) -> None:
            if not is_activation(output, len(batch)) or not matches(layer.name, self.layers):
                return
            for pattern, chosen in self.channel_axes.items():
                if matches(layer.name, [pattern]):
                    axis = chosen
            record(layer, output if axis == 1 else output.movedim(axis, 1))

        def fuse_if_shown(shown: list[Layer], fusion: Fusion, output: Tensor) -> Tensor | None:
            if fuse is None or not is_activation(output, len(batch)):
                return None
            if any(not matches(one.name, self.layers) or matches(one.name, self.channel_axes) for one in shown):
                return None
            return fuse(shown, fusion, output)

        if self.graph is None:
            return self._run_hooked(batch, show)
        return self.graph.run_shown(batch, show, fuse_if_shown)

    def outputs(self, batch: Tensor) -> dict[Layer, Tensor]:
        """Every layer that is shown, in execution order, with its output for `batch`: a tensor on the device "meta", of
        which the shape matters."""
        found: dict[Layer, Tensor] = {}
        self.run(batch, lambda layer, output: found.update({layer: output.to("meta")}))
        return found

    def _run_hooked(self, batch: Tensor, show: Show) -> Tensor:
        taken: set[str] = set()

        def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def call(module: nn.Module, inputs: Any, output: Any) -> None:
                kind = kind_of(module)
                if kind:
                    output = output[0] if isinstance(output, tuple) else output
                    dims = output.dim() if isinstance(output, Tensor) else 0
                    axis = own_channel_axis(module)
                    show(Layer(unique(name, taken), kind), output, (2 if dims == 3 else 1) if axis is None else axis)

            return call

        leaves = [(name, m) for name, m in self.model.named_modules() if not any(m.children())]
        handles = [module.register_forward_hook(hook(name)) for name, module in leaves]
        try:
            return self.model(batch)
        finally:
            for handle in handles:
                handle.remove()


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a layer's name fits one of the patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def unique(name: str, taken: set[str]) -> str:
    """`name`, or with _1, _2, ... where it is taken: a module that is called again is another layer."""
    names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
    free = next(candidate for candidate in names if candidate not in taken)
    taken.add(free)
    return free


def name_of(target: object) -> str:
    """The name of a module's class, of a function or of a method, in lower case."""
    name = type(target).__name__ if isinstance(target, nn.Module) else getattr(target, "__name__", str(target))
    return name.lower().strip("_")


def kind_of(target: object) -> str | None:
    """The kind of an operation (a module, a function or a method's name); None for one that computes nothing new."""
    name = name_of(target)
    if name in PASSIVE or name.rstrip("123d") in PASSIVE:
        return None
    for kind, parts in KINDS:
        if any(part in name for part in parts):
            return kind
    return "operation"


def is_activation(output: object, n: int) -> TypeGuard[Tensor]:
    """Whether an output is a batch of activations, rather than a size, an index or a parameter."""
    return isinstance(output, Tensor) and output.is_floating_point() and output.dim() >= 2 and len(output) == n


def own_channel_axis(target: object) -> int | None:
    """The axis of the channels in the output of an operation that decides it by itself; None where its input does.

    Convolutions, batch and group normalizations and poolings keep the channels on axis 1; fully connected layers,
    layer normalizations and attention on the last.
    """
    name = name_of(target)
    if any(part in name for part in ("linear", "layernorm", "layer_norm", "attention")):
        return -1
    if any(part in name for part in ("conv", "norm", "pool", "flatten")):
        return 1
    return None


class _Interpreter(fx.Interpreter):
    """Runs the traced graph node by node, freeing every value after its last use."""

    def __init__(self, model: nn.Module) -> None:
        graph = fx.Tracer().trace(model)
        super().__init__(fx.GraphModule(model, graph))
        modules = dict(model.named_modules())
        self.layers: dict[fx.Node, Layer] = {}
        taken: set[str] = set()
        for node in graph.nodes:
            if node.op not in ("call_module", "call_function", "call_method"):
                continue
            kind = kind_of(modules[node.target] if node.op == "call_module" else node.target)
            if kind:
                self.layers[node] = Layer(unique(dotted_name(node), taken), kind)
        self.targets = {node: modules.get(str(node.target), node.target) for node in graph.nodes}
        self.axes: dict[fx.Node, int | None] = {}  # the axis of the channels in each value; None for parameters
        self.fusions = fusions.find(self.targets)
        self.computed: dict[fx.Node, Tensor] = {}  # ahead of its turn
        self.show: Show
        self.fuse: Fuse

    def run_shown(self, batch: Tensor, show: Show, fuse: Fuse) -> Tensor:
        self.show, self.fuse, self.computed = show, fuse, {}
        return self.run(batch)

    def run_node(self, n: fx.Node) -> Any:
        if n in self.computed:
            return self.computed.pop(n)
        output = super().run_node(n)
        values = output[0] if isinstance(output, tuple) else output  # attention gives its weights as well
        if n not in self.axes:
            self.axes[n] = self.channel_axis(n, values)
        fusion = self.fusions.get(n)
        if fusion:
            shown = [self.layers[node] for node in (n, *fusion.nodes)]
            last = self.fuse(shown, fusion, output)
            if last is not None:
                self.axes |= dict.fromkeys(fusion.nodes, 1)
                self.computed = dict.fromkeys(fusion.nodes, last)
                return output
        layer = self.layers.get(n)
        if layer is not None:
            axis = self.axes[n]
            self.show(layer, values, 1 if axis is None else axis)
        return output

    def channel_axis(self, node: fx.Node, output: object) -> int | None:
        """The axis of the channels: where the operation puts them, or where its first input had them.

        A permutation takes the axis along. Anything else that changes the layout (a reshape) is taken to keep the
        channels where they were.
        """
        own = 1 if node.op == "placeholder" else own_channel_axis(self.targets[node])
        inputs = [axis for axis in map(self.axes.get, node.all_input_nodes) if axis is not None]
        if not isinstance(output, Tensor) or output.dim() < 2:
            return None  # one number an image: a sum over all positions, a slice
        if own is not None or not inputs:
            return own
        before = inputs[0] % output.dim() or 1  # axis 0 is the batch's
        name = name_of(self.targets[node])
        if name == "permute":
            dims = node.args[1] if isinstance(node.args[1], tuple | list) else node.args[1:]
            return [int(dim) % output.dim() for dim in dims].index(before)  # type: ignore[arg-type]
        if name == "transpose":
            one, other = (int(dim) % output.dim() for dim in node.args[1:3])  # type: ignore[arg-type]
            return {one: other, other: one}.get(before, before)
        return before


def dotted_name(node: fx.Node) -> str:
    """A module's own name; for a function, the name of the module that calls it, a dot, and the function's name."""
    if node.op == "call_module":
        return str(node.target)
    function = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    stack: dict[str, Any] = node.meta.get("nn_module_stack", {})  # the modules that are running, outermost first
    caller = list(stack)[-1] if stack else ""
    return f"{caller}.{function}" if caller else function
