"""What an operation of a network is called in results and figures."""

from torch import nn

NON_LINEAR = (
    "relu", "elu", "silu", "glu", "swish", "tanh", "sigmoid", "softplus", "softsign", "shrink", "threshold", "mish",
)  # fmt: skip
# By a part of the name of its class or function (first match)
KINDS = (
    ("operation", ("upsampl", "scatter")),  # not fully connected (UpsamplingBilinear2d), no concatenation
    ("convolution", ("conv",)),
    ("normalization", ("norm",)),
    ("pooling", ("pool",)),
    ("log-softmax", ("logsoftmax", "log_softmax")),
    ("softmax", ("softmax", "softmin")),
    ("non-linearity", ("nonlinear", "non_linear")),
    ("fully connected", ("linear",)),
    ("attention", ("attention",)),
    ("product", ("mul", "bmm", "addmm", "einsum")),
    ("sum", ("add", "sub")),
    ("concatenation", ("cat",)),
    ("non-linearity", NON_LINEAR),
)
# Operations that only lay out, choose or pass on what an earlier layer computed: not layers of their own
PASSIVE = (
    "flatten", "unflatten", "view", "reshape", "permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis",
    "contiguous", "getitem", "getattr", "size", "squeeze", "unsqueeze", "expand", "chunk", "split", "unbind", "narrow",
    "identity", "stochasticdepth", "stochastic_depth", "stack", "clone", "detach", "to", "float", "type_as", "type",
    "roll", "flip", "fliplr", "flipud", "rot90", "repeat", "repeat_interleave", "tile", "select", "index_select",
    "tensor_split", "broadcast_to", "expand_as", "view_as", "reshape_as", "half", "double", "bfloat16",
    "parametrizationlist",
)  # fmt: skip
# The same by a part of the name
PASSIVE_PARTS = ("dropout", "pad", "shuffle")


def name_of(target: object) -> str:
    """The name of a module's class, of a function or of a method, in lower case."""
    name = type(target).__name__ if isinstance(target, nn.Module) else getattr(target, "__name__", str(target))
    return name.lower().strip("_")


def kind_of(target: object) -> str | None:
    """The kind of an operation (a module, a function or a method's name); None for one that computes nothing new.

    A class that a network calls only keeps what it has computed, as named tuples do.
    """
    name = name_of(target)
    if isinstance(target, type) or name in PASSIVE or any(part in name for part in PASSIVE_PARTS):
        return None
    for kind, parts in KINDS:
        if any(part in name for part in parts):
            return kind
    return "operation"


def takes_a_shape(target: object) -> bool:
    """Whether an operation fills a tensor of the shape of another, whose values it does not read."""
    name = name_of(target)
    return name.startswith("new_") or name.endswith("_like")
