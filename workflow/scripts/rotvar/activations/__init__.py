"""Every activation of a network, handed over layer by layer while the network runs."""

import fnmatch
import itertools
import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, fx, jit, nn
from torch.nn.utils import parametrize

from rotvar.activations import fusions
from rotvar.activations.channels import Axes, own_axis
from rotvar.activations.fusions import Fusion
from rotvar.activations.kinds import kind_of, takes_a_shape
from rotvar.errors import InputError, out_of_memory, reason
from rotvar.modes import evaluating

log = logging.getLogger("rotvar")


@dataclass(frozen=True)
class Layer:
    """One operation of a network whose output is measured."""

    name: str  # the network's own dotted name, unique
    kind: str


Record = Callable[[Layer, Tensor], None]
Show = Callable[[Layer, object, int], None]
# Takes a layer and those to fuse with it, and the first one's output; returns what the last of them makes of it, or
# None where they have to go one by one
Fuse = Callable[[list[Layer], Fusion, Tensor], Tensor | None]


class Recorder:
    """Runs a network and shows the output of every layer to a callback, in execution order, as soon as it exists.

    The callback gets the output with the channels on the second axis, N x C or N x C x positions..., wherever the
    network keeps them, and must take what it needs at once: an in-place operation may overwrite the tensor
    afterwards, and nothing else keeps it alive.

    The network is traced with torch.fx, in evaluation mode, which sees functions and operators (residual sums) as well
    as modules, and makes two layers of a module that is called twice. Where it cannot be traced, hooks on its innermost
    modules see those alone (a warning says why).

    layers: patterns of the names to show, where "*" stands for any characters, dots too. channel_axes: for patterns of
    names, the axis of the channels, where the rules of `channels` err.

    Of a network that `torch.compile` or `nn.DataParallel` has wrapped, the one inside is run, under its own names.

    Raises InputError for a network that is or holds a TorchScript module, and for one that `torch.export` made.
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[str] = ("*",), channel_axes: Mapping[str, int] | None = None
    ) -> None:
        model = unwrapped(model)
        if any(isinstance(module, jit.ScriptModule) for module in model.modules()):
            raise InputError("a TorchScript module does not show its layers: give the network that it was made of")
        self.model = model
        self.layers = layers
        self.channel_axes = channel_axes or {}
        self.known: set[Layer] | None = None  # that have an output for each image, once `outputs` has found out
        self.graph: _Interpreter | None = None
        with evaluating(model):
            reasons = []
            for trace_buffers in (False, True):
                try:
                    with unaltered(model):
                        self.graph = _Interpreter(model, trace_buffers)
                    break
                except Exception as error:  # whatever a network does with what is no tensor
                    reasons.append(reason(error))
            else:
                self._give_up("; ".join(dict.fromkeys(reasons)))  # either may be the one to mend

    def run(self, batch: Tensor, record: Record, fuse: Fuse | None = None) -> Tensor:
        """Run the network on `batch` (N x C x H x W), calling `record(layer, output)` for every layer.

        fuse: computes the layers to fuse with another (`fusions`) and records all of them, where the network is traced
        and all are shown.
        """

        def show(layer: Layer, output: object, axis: int) -> None:
            if not matches(layer.name, self.layers) or not self._is_shown(output, layer, len(batch)):
                return
            for pattern, chosen in self.channel_axes.items():
                if matches(layer.name, [pattern]):
                    axis = chosen
            if not -output.dim() <= axis < output.dim() or axis % output.dim() == 0:
                shape = " x ".join(map(str, output.shape))
                raise InputError(f"channel_axes: layer {layer.name} gives {shape}, and no channels on axis {axis}")
            record(layer, output if axis == 1 else output.movedim(axis, 1))

        def fuse_if_shown(shown: list[Layer], fusion: Fusion, output: Tensor) -> Tensor | None:
            if fuse is None or not self._is_shown(output, shown[0], len(batch)):
                return None
            if any(not matches(one.name, self.layers) or matches(one.name, self.channel_axes) for one in shown):
                return None
            return fuse(shown, fusion, output)

        if self.graph is None:
            return self._run_hooked(batch, show)
        return self.graph.run_shown(batch, show, fuse_if_shown)

    def outputs(self, batch: Tensor) -> dict[Layer, Tensor]:
        """Every layer that is shown, in execution order, with its output for `batch`: a tensor on the device "meta", of
        which the shape matters.

        From then on these layers are shown and no others: something else could have by chance as many rows as there are
        images, so one image more is looked at, too.

        Raises InputError for images that the network does not take.
        """
        self.known = None
        found: dict[Layer, Tensor] = {}
        of_more: set[Layer] = set()
        try:
            if self.graph:
                self._try_trace(batch)
            self.run(batch, lambda layer, output: found.update({layer: output.to("meta")}))
            self.run(torch.cat([batch, batch[:1]]), lambda layer, output: of_more.add(layer))
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:  # those of modules for what they get
            if isinstance(error, InputError) or out_of_memory(error):
                raise
            shape = " x ".join(map(str, batch.shape[1:]))
            raise InputError(f"the network does not take images of {shape}, {batch.dtype} ({reason(error)})") from error
        found = {layer: output for layer, output in found.items() if layer in of_more}
        self.known = set(found)
        return found

    def measurable(self, batch: Tensor) -> dict[Layer, Tensor]:
        """As `outputs`, but a network without layers is an InputError, too."""
        found = self.outputs(batch)
        if not found:
            raise InputError("the network has no layer that can be measured")
        return found

    def _try_trace(self, batch: Tensor) -> None:
        """Go on without the trace where it does not compute what the network does: it knows nothing of an autocast in
        `forward`, nor that images are a Tensor, if the network asks."""
        own = self.model(batch)
        try:
            traced = self.run(batch, lambda layer, output: None)
        except Exception as error:
            if isinstance(error, InputError) or out_of_memory(error):
                raise
            self._give_up(reason(error))
            return
        if isinstance(own, Tensor) and form(own) != form(traced):
            self._give_up("its output is of another type or shape then")

    def _give_up(self, why: str) -> None:
        self.graph = None
        log.warning("the network cannot be traced (%s): its modules are measured, functions and operators not", why)

    def _is_shown(self, output: object, layer: Layer, n: int) -> TypeGuard[Tensor]:
        """Whether `output` is that of a layer which is shown, one for each of `n` images."""
        if self.known is None:
            return is_activation(output, n)
        if layer not in self.known:
            return False
        if not is_activation(output, n):
            shape = " x ".join(map(str, output.shape)) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(
                f"layer {layer.name} gives {shape} for {n} images, though it gave an output for each of fewer: "
                "leave it out, and measure the layers that do"
            )
        return True

    def _run_hooked(self, batch: Tensor, show: Show) -> Tensor:
        leaves = {name: module for name, module in self.model.named_modules() if is_innermost(name, module)}
        names = Names(leaves)
        last: tuple[weakref.ref[Tensor], int] | None = None  # the output shown last, and the axis of its channels

        def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def call(module: nn.Module, inputs: Any, output: Any) -> None:
                nonlocal last
                kind = kind_of(module)
                if not kind:
                    return
                output = output[0] if isinstance(output, tuple) else output
                axis = own_axis(module)
                if axis is None and last and inputs and inputs[0] is last[0]():
                    axis = last[1]
                if axis is None:
                    axis = 2 if isinstance(output, Tensor) and output.dim() == 3 else 1  # tokens
                if isinstance(output, Tensor):
                    last = weakref.ref(output), axis
                show(Layer(names.of(name, is_module=True), kind), output, axis)

            return call

        handles = [module.register_forward_hook(hook(name)) for name, module in leaves.items()]
        try:
            return self.model(batch)
        finally:
            for handle in handles:
                handle.remove()


def unwrapped(model: nn.Module) -> nn.Module:
    """The network in the wrappers of `torch.compile` and `nn.DataParallel`: a compiler would take in what records its
    layers, and other devices would have a part of the batch each."""
    parallel = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
    inner = model.module if parallel else getattr(model, "_orig_mod", None)
    return unwrapped(inner) if isinstance(inner, nn.Module) else model


@contextmanager
def unaltered(model: nn.Module) -> Iterator[None]:
    """The modules of a network hold afterwards what they held before, and so do their dictionaries, lists and sets.

    A trace calls the network with a placeholder, and what a network keeps of its first call (a mask, a table of places)
    would be one, too.
    """
    attributes = [vars(module) for module in model.modules()]
    held = [one for each in attributes for one in each.values() if type(one) in (dict, OrderedDict, list, set)]
    before = [(one, one.copy()) for one in [*attributes, *held]]
    try:
        yield
    finally:
        for one, former in before:
            one.clear()
            one.extend(former) if isinstance(one, list) else one.update(former)


def form(output: object) -> object:
    """The type and shape of what a network gives, if that is a tensor."""
    return (output.dtype, output.shape) if isinstance(output, Tensor) else None


def is_innermost(name: str, module: nn.Module) -> bool:
    """Whether a module holds no other, but for what its weights are computed by, which is none itself, and for the
    projection of an attention, whose weights that reads without calling it."""
    if isinstance(module, nn.MultiheadAttention):
        return True
    holds = [child for child, _ in module.named_children() if child != "parametrizations"]
    return not holds and "parametrizations" not in name.split(".")


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a layer's name fits one of the patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class Names:
    """Names of layers, each given once, with _1, _2, ... where it is taken. A module's own name is for its first call:
    a function that is called likewise gets another, even if it comes first."""

    def __init__(self, modules: Iterable[str]) -> None:
        self.taken = set(modules)
        self.waiting = self.taken.copy()

    def of(self, name: str, is_module: bool) -> str:
        if is_module and name in self.waiting:
            self.waiting.remove(name)
            return name
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
        free = next(candidate for candidate in names if candidate not in self.taken)
        self.taken.add(free)
        return free


def is_activation(output: object, n: int) -> TypeGuard[Tensor]:
    """Whether an output is a batch of activations, rather than a size, an index or a parameter."""
    return isinstance(output, Tensor) and output.is_floating_point() and output.dim() >= 2 and len(output) == n


class _Call(nn.Module):
    """A network that is called as its users call it: with its defaults, hooks and whatever else a call does."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        return self.network(images)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = parametrize.type_before_parametrizations(m)  # a parametrized module's class is one of torch.nn's
        is_torchs = own.__module__.startswith(("torch.nn", "torch.ao.nn"))
        return module_qualified_name != "network" and is_torchs and not issubclass(own, nn.Sequential)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        inner = unwrapped(m)  # wrappers are torch.nn's, too
        return super().call_module(m, forward, args, kwargs) if inner is m else inner(*args, **kwargs)


class _Interpreter(fx.Interpreter):
    """Runs the traced graph node by node, freeing every value after its last use."""

    def __init__(self, model: nn.Module, trace_buffers: bool) -> None:
        """trace_buffers: by name, so that they take sizes of what is traced (`places[:, : x.shape[1]]`); or by value,
        so that the network may ask what they are (`if self.ready`)."""
        call = _Call(model)
        tracer = _Tracer()
        tracer.proxy_buffer_attributes = trace_buffers
        graph = tracer.trace(call)
        super().__init__(fx.GraphModule(call, graph))
        self.extra_traceback = False  # it would lengthen the one sentence of an InputError
        modules = dict(call.named_modules())
        targets = {node: modules[node.target] if node.op == "call_module" else node.target for node in graph.nodes}
        self.layers: dict[fx.Node, Layer] = {}
        names = Names(dotted_name(node) for node in graph.nodes if node.op == "call_module")
        of_images: set[fx.Node] = set()  # rather than of weights alone, of which there may be as many as images
        for node in graph.nodes:
            if node.op == "placeholder" or not of_images.isdisjoint(node.all_input_nodes):
                of_images.add(node)
            kind = kind_of(targets[node]) if node.op in ("call_module", "call_function", "call_method") else None
            if kind:
                name = names.of(dotted_name(node), node.op == "call_module")
                if node in of_images and not takes_a_shape(targets[node]):
                    self.layers[node] = Layer(name, kind)
        self.axes = Axes(targets)
        self.fusions = {node: fusion for node, fusion in fusions.find(targets).items() if node in self.layers}
        self.computed: dict[fx.Node, Tensor] = {}  # ahead of its turn
        self.show: Show
        self.fuse: Fuse

    def run_shown(self, batch: Tensor, show: Show, fuse: Fuse) -> Tensor:
        self.show, self.fuse, self.computed = show, fuse, {}
        try:
            return self.run(batch)
        finally:
            del self.show, self.fuse  # which hold what they record into, and this, in a circle
            self.env, self.computed = {}, {}  # where a run has failed, they hold its activations

    def run_node(self, n: fx.Node) -> Any:
        fused = n in self.computed  # with one before it: it has been shown
        output = self.computed.pop(n) if fused else super().run_node(n)
        values = output[0] if isinstance(output, tuple) and n in self.layers else output  # attention's weights, too
        axis = self.axes.find(n, values, self.env)
        fusion = self.fusions.get(n)
        if fusion and axis in (1, None):
            shown = [self.layers[node] for node in (n, *fusion.nodes)]
            last = self.fuse(shown, fusion, output)
            if last is not None:
                self.axes.found |= dict.fromkeys(fusion.nodes, 1)
                self.computed |= dict.fromkeys(fusion.nodes, last)  # others may wait where branches take turns
                return output
        if n in self.layers and not fused:
            self.show(self.layers[n], values, 1 if axis is None else axis)
        return output


def dotted_name(node: fx.Node) -> str:
    """A module's own name; for a function, the name of the module that calls it, a dot, and the function's name."""
    if node.op == "call_module":
        return _own_name(str(node.target))
    function = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    stack: dict[str, Any] = node.meta.get("nn_module_stack", {})  # the modules that are running, outermost first
    caller = _own_name(list(stack)[-1]) if stack else ""
    return f"{caller}.{function}" if caller else function


def _own_name(name: str) -> str:
    """A module's name in the network, by its name in `_Call`."""
    return name.removeprefix("network").removeprefix(".")
