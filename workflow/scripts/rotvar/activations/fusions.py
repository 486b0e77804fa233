"""The batch normalization and the activation after a layer of maps, computed in the pass that takes its statistics.

One by one, the three layers and their statistics take five passes over the first one's output; fused, one
(`kernels.fuse`, `gpu_kernels.fuse`).
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, fx, nn

RELUS = (torch.relu, torch.relu_, nn.functional.relu, "relu", "relu_")


@dataclass(frozen=True)
class Fusion:
    """What is fused with a layer whose output nothing else reads: a batch normalization, an ELU or ReLU, or both."""

    nodes: tuple[fx.Node, ...]
    normalization: nn.BatchNorm2d | None
    alpha: float | None  # of the ELU; a ReLU is one of alpha 0

    def scale_and_shift(self) -> tuple[Tensor, Tensor] | None:
        """The normalization in evaluation mode as scale * x + shift, a number a channel (Ioffe and Szegedy 2015, arXiv
        1502.03167, algorithm 2, step 11); None where there is none."""
        norm = self.normalization
        if norm is None:
            return None
        assert norm.running_mean is not None and norm.running_var is not None
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight
        shift = -norm.running_mean * scale
        return scale, shift if norm.bias is None else shift + norm.bias


def find(targets: Mapping[fx.Node, object]) -> dict[fx.Node, Fusion]:
    """What can be fused with each layer of a traced network, if anything; targets: the module or function of each of
    its nodes."""
    found = {}
    for node, target in targets.items():
        if not makes_a_tensor(target):
            continue
        nodes = []
        normalization = None
        follower = only_reader(node)
        if follower and normalizes(norm := targets[follower]):
            normalization = norm
            nodes.append(follower)
            follower = only_reader(follower)
        alpha = alpha_of(targets[follower]) if follower else None
        if follower and alpha is not None:
            nodes.append(follower)
        if nodes:
            found[node] = Fusion(tuple(nodes), normalization, alpha)
    return found


def makes_a_tensor(target: object) -> bool:
    """Whether an operation's output is memory of its own, in which fused layers may write."""
    if isinstance(target, nn.Conv2d | nn.ELU):
        return not hooked(target) and not getattr(target, "inplace", False)
    return target is operator.add


def normalizes(target: object) -> TypeGuard[nn.BatchNorm2d]:
    """Whether this is a batch normalization with statistics of its own, for evaluation."""
    return isinstance(target, nn.BatchNorm2d) and target.running_mean is not None and not hooked(target)


def alpha_of(target: object) -> float | None:
    """That of an ELU, 0 for a ReLU, None for anything else."""
    if isinstance(target, nn.ReLU | nn.ELU) and not hooked(target):
        return float(target.alpha) if isinstance(target, nn.ELU) else 0.0
    return 0.0 if target in RELUS else None


def hooked(module: nn.Module) -> bool:
    """Whether a call of the module also calls hooks, which may look at its output or replace it."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def only_reader(node: fx.Node) -> fx.Node | None:
    """The one node that reads the output of `node`; None where there are several."""
    return next(iter(node.users)) if len(node.users) == 1 else None
