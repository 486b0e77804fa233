"""A GPU for machines without one: tensors that say they are on "cuda:0", and that the CPU computes.

It refuses what a GPU refuses, operations on tensors of both devices, and counts what makes a program wait for a GPU.
Speed, memory and rounding are the CPU's. Gradients are made up: PyTorch leaves real ones to a thread of a real GPU.

Importing it changes PyTorch for good, so it needs a process of its own; and it has to come before rotvar.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
COPIES = ("_to_copy", "copy_")
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")  # a GPU takes indices from a CPU, too
NEED_VALUES = ("_local_scalar_dense", "nonzero", "equal")  # of the CPU, before it can go on
FREE = 10**10  # bytes
STANDING_IN = {
    "torch.cuda._lazy_init": lambda: None,
    "torch.cuda.is_available": lambda: True,
    "torch.cuda.is_bf16_supported": lambda **_: True,
    "torch.cuda.mem_get_info": lambda _: (FREE, FREE),
    "torch.cuda.memory_reserved": lambda _: 0,
    "torch.cuda.memory_allocated": lambda _: 0,
    "torch.cuda.get_rng_state": lambda _: torch.get_rng_state(),
    "torch.cuda.set_rng_state": lambda state, _: torch.set_rng_state(state),
    "torch.cuda.is_current_stream_capturing": lambda: False,
}

waits: list[str] = []  # the operations that made the program wait

torch._C._ensureCUDADeviceGuardSet()  # to change the current GPU is no error
torch.__future__.set_swap_module_params_on_conversion(True)  # a module's `to` does not only exchange the values
torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=GPU) copies, as everything else does


class OnGPU(Tensor):
    """A tensor on the GPU."""

    @staticmethod
    def __new__(cls, computed: Tensor) -> "OnGPU":
        return Tensor._make_wrapper_subclass(
            cls, computed.shape, computed.stride(), computed.storage_offset(), dtype=computed.dtype, device=GPU
        )

    def __init__(self, computed: Tensor) -> None:
        self.computed = computed

    def tolist(self):
        waits.append("tolist")
        return self.computed.tolist()

    def __repr__(self):
        return f"OnGPU({self.computed})"

    def __reduce_ex__(self, protocol):
        return self.computed.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), options=None):
        return compute(function, arguments, options or {})


class Computing(TorchDispatchMode):
    """Sees the operations that make new tensors on the GPU, too."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        with self:
            parts = function.decompose(*arguments, **(options or {}))
        return compute(function, arguments, options or {}) if parts is NotImplemented else parts


def compute(function, arguments, options):
    """Do an operation on the CPU, and give a result that says it is where a GPU would have it."""
    name = function.overloadpacket.__name__
    tensors = [one for one in tree_leaves((arguments, options)) if isinstance(one, Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, OnGPU)]
    device = torch.device(options.get("device") or (GPU if ours else CPU))
    if name == "copy_":
        device = arguments[0].device
    elif name == "_local_scalar_dense":
        device = CPU
    if ours and name not in COPIES:
        refuse_both(name, arguments, tensors)
    if (ours or device.type == "cuda") and waits_for_it(name, arguments, options, device):
        waits.append(name)
    computed = function(*tree_map(on_cpu, arguments), **tree_map(on_cpu, options))
    if device.type == "cpu":
        return computed
    result = tree_map(lambda one: OnGPU(one) if isinstance(one, Tensor) else one, computed)
    return return_and_correct_aliasing(function, arguments, options, result)


def refuse_both(name, arguments, tensors):
    """Raise what PyTorch raises for tensors of both devices; a CPU's single numbers are taken, but not changed."""
    changed = tensors[0] if name.endswith("_") else None
    strangers = [one for one in tensors if not isinstance(one, OnGPU) and (one.dim() or one is changed)]
    if name in INDEXING and isinstance(tensors[0], OnGPU):
        indices = tree_leaves(arguments[1])
        strangers = [one for one in strangers if not any(one is index for index in indices)]
    if strangers:
        shapes = [tuple(stranger.shape) for stranger in strangers]
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but {shapes} are on the CPU")


def waits_for_it(name, arguments, options, device):
    """Whether the CPU goes on only when the GPU has done the operation, or all before it."""
    if name in COPIES:
        between = {one.device for one in tree_leaves(arguments) if isinstance(one, Tensor)} != {device}
        return between and not options.get("non_blocking") and True not in arguments[2:]
    if name in INDEXING:
        indices = [one for one in tree_leaves(arguments[1]) if isinstance(one, Tensor)]
        return any(one.is_cpu or one.dtype == torch.bool for one in indices)
    return name in NEED_VALUES


def on_cpu(argument):
    if isinstance(argument, OnGPU):
        return argument.computed
    return CPU if isinstance(argument, torch.device) else argument


@contextmanager
def pretended() -> Iterator[torch.device]:
    """The GPU, for the block."""
    with ExitStack() as stack:
        for name, standing_in in STANDING_IN.items():
            stack.enter_context(mock.patch(name, standing_in))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))  # PyTorch's own operations, which a CPU has, too
        stack.enter_context(Computing())
        yield GPU


@contextmanager
def made_up_gradients() -> Iterator[None]:
    """A gradient for every parameter that is trained, on any device, instead of the real one."""

    def give(optimizer, arguments, options):
        for parameter in (one for group in optimizer.param_groups for one in group["params"]):
            parameter.grad = 0.01 * parameter.detach()

    hook = register_optimizer_step_pre_hook(give)
    try:
        with mock.patch("torch.Tensor.backward", lambda _: None):
            yield
    finally:
        hook.remove()
