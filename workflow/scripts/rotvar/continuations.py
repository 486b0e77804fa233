"""Where a network goes on from a convolution with a batch normalization, a ReLU, or the one and then the other.

They are layers of their own, but a CPU computes them and the statistics of all in one pass over the convolution's
output (`kernels.go_on`), which one by one take five.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

RELUS = (torch.relu, torch.relu_, nn.functional.relu, "relu", "relu_")


@dataclass(frozen=True)
class Continuation:
    """What follows a convolution, and nothing else reads its output: `nodes`, a batch normalization, a ReLU or both."""

    nodes: tuple[fx.Node, ...]
    normalization: nn.BatchNorm2d | None
    rectified: bool

    def scale_and_shift(self) -> tuple[Tensor, Tensor] | None:
        """The normalization in evaluation mode as scale * x + shift, a number a channel (Ioffe and Szegedy 2015, arXiv
        1502.03167, algorithm 2, step 11); None where there is none."""
        norm = self.normalization
        if norm is None or norm.running_mean is None or norm.running_var is None:
            return None
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if norm.affine:
            scale = scale * norm.weight
        shift = -norm.running_mean * scale
        return scale, shift + norm.bias if norm.affine else shift


def find(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> dict[fx.Node, Continuation]:
    """The continuation of each convolution of a traced network that has one."""
    targets = {node: modules.get(str(node.target), node.target) for node in graph.nodes}
    found = {}
    for node in graph.nodes:
        if not isinstance(targets[node], nn.Conv2d):
            continue
        nodes = []
        normalization = None
        follower = only_reader(node)
        if follower and isinstance(norm := targets[follower], nn.BatchNorm2d) and norm.track_running_stats:
            normalization = norm
            nodes.append(follower)
            follower = only_reader(follower)
        rectified = follower is not None and (isinstance(targets[follower], nn.ReLU) or targets[follower] in RELUS)
        if follower and rectified:
            nodes.append(follower)
        if nodes:
            found[node] = Continuation(tuple(nodes), normalization, rectified)
    return found


def only_reader(node: fx.Node) -> fx.Node | None:
    """The one node that reads the output of `node`; None where there are several."""
    return next(iter(node.users)) if len(node.users) == 1 else None
