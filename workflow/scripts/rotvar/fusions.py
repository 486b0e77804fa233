"""The batch normalization and the ReLU after a convolution, which are computed in the pass that takes the statistics.

One by one, the three layers and their statistics take five passes over the convolution's output; fused, one
(`kernels.fuse`, `gpu_kernels.fuse`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

RELUS = (torch.relu, torch.relu_, nn.functional.relu, "relu", "relu_")


@dataclass(frozen=True)
class Fusion:
    """What is fused with a convolution, whose output nothing else reads: a batch normalization, a ReLU or both."""

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


def find(targets: Mapping[fx.Node, object]) -> dict[fx.Node, Fusion]:
    """What can be fused with each convolution of a traced network, if anything; targets: the module or function of each
    of its nodes."""
    found = {}
    for node, target in targets.items():
        if not isinstance(target, nn.Conv2d):
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
            found[node] = Fusion(tuple(nodes), normalization, rectified)
    return found


def only_reader(node: fx.Node) -> fx.Node | None:
    """The one node that reads the output of `node`; None where there are several."""
    return next(iter(node.users)) if len(node.users) == 1 else None
