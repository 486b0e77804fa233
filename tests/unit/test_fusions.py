"""Layers that are fused with the one before them compute and measure the same as one by one."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import torch
from oracle import activations, measures
from torch import nn
from torch.nn import functional

from rotvar import variance
from rotvar.activations import Layer, Recorder, fusions
from rotvar.columns import MEASURES
from rotvar.errors import InputError
from rotvar.rotation import angles
from rotvar.statistics import kernels, operations
from rotvar.statistics.sweep import KNOWN_AGGREGATIONS

CLASSES = ("a", "b")
LABELS = torch.arange(10) % 2


def convolution(channels: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels, 3, 3, padding=1)


def normalization() -> nn.BatchNorm2d:
    """As training could leave it: one scale is negative, and one so small that its channel hardly varies."""
    norm = nn.BatchNorm2d(3)
    norm.running_mean = torch.tensor([0.2, -0.1, 0.0])
    norm.running_var = torch.tensor([0.5, 2.0, 1.0])
    norm.weight = nn.Parameter(torch.tensor([1.5, -0.7, 0.01]))
    norm.bias = nn.Parameter(torch.tensor([0.1, 0.3, -0.002]))
    return norm


def without_bias() -> nn.BatchNorm2d:
    """As `bias=False` makes it since PyTorch 2.12."""
    norm = nn.BatchNorm2d(3)
    norm.register_parameter("bias", None)
    return norm


NETWORKS = {
    "normalization and ReLU": lambda: [normalization(), nn.ReLU()],
    "normalization alone": lambda: [normalization()],
    "normalization without weights": lambda: [nn.BatchNorm2d(3, affine=False), nn.ReLU()],
    "normalization without bias": lambda: [without_bias(), nn.ReLU()],
    "ReLU alone": lambda: [nn.ReLU()],
    "ReLU in place": lambda: [normalization(), nn.ReLU(inplace=True)],
    "ReLU, then normalization": lambda: [nn.ReLU(), normalization()],
    "another non-linearity": lambda: [normalization(), nn.ELU()],
    "ELU alone": lambda: [nn.ELU(alpha=0.3)],
    "ELU, then normalization": lambda: [nn.ELU(), normalization()],
    "ELU, then both": lambda: [nn.ELU(), normalization(), nn.ReLU()],
    "ELU in place": lambda: [nn.ELU(inplace=True), normalization()],
    "an ELU that others read": lambda: [nn.ELU(), Sum(), nn.ReLU()],
    "a residual sum, then ReLU": lambda: [Sum(), nn.ReLU()],
    "a single position": lambda: [nn.AdaptiveAvgPool2d(1), convolution(), normalization(), nn.ReLU()],
    "more of the same": lambda: [normalization(), nn.ReLU(), convolution(), normalization(), nn.ReLU()],
}


class Branches(nn.Module):
    """Two branches that take turns: fused, each is computed in whole before the other goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = convolution(1), convolution(1)
        self.norm, self.other_norm = normalization(), normalization()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, other = self.one(x), self.other(x)
        return self.norm(one).relu() + self.other_norm(other).relu()


class Sum(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + functional.max_pool2d(x, 3, stride=1, padding=1)


def network(following: list[nn.Module], channels: int = 1) -> nn.Sequential:
    torch.manual_seed(1)
    model = nn.Sequential(convolution(channels), *following, nn.Flatten(), nn.LazyLinear(2)).eval()
    model(images(channels))
    return model.to(memory_format=torch.channels_last)


def images(channels: int = 1) -> torch.Tensor:
    return torch.rand(len(LABELS), channels, 9, 9, generator=torch.Generator().manual_seed(0))


def measure(model: nn.Module, **options) -> pd.DataFrame:
    return variance.measure(model, images(), LABELS, CLASSES, angles(4), **options)


@pytest.fixture(autouse=True)
def fused(compiled, monkeypatch) -> Iterator[list[int]]:
    """Sweeps are compiled, whatever their size; how many stages each call of `fuse` computed."""
    calls: list[int] = []
    fuse = compiled.fuse

    def counted(*arguments):
        pooled = fuse(*arguments)
        calls.append(len(pooled))
        return pooled

    monkeypatch.setattr(variance, "arithmetic", lambda *_: compiled)
    monkeypatch.setattr(compiled, "fuse", counted)
    yield calls


# the same as one by one


@pytest.mark.parametrize("name", NETWORKS)
def test_everything_agrees_with_the_literal_evaluation(name, fused):
    model = network(NETWORKS[name]())
    table = measure(model, batch_size=12)
    assert fused
    layers = activations(model, images(), angles(4))
    for layer, values in layers.items():
        rows = table[(table["layer"] == layer) & (table["stratum"] == "all")]
        if not len(rows):  # flatten
            continue
        a = values.flatten(3).numpy() if values.dim() > 3 else values.unsqueeze(3).numpy()
        for aggregation, each in {
            "mean": a.mean(3, keepdims=True),
            "max": a.max(3, keepdims=True),
            "spatial": a,
        }.items():
            found = rows[rows["aggregation"] == aggregation][list(MEASURES[:5])].to_numpy().T
            np.testing.assert_allclose(found, measures(each)[:5], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_measure_and_stratum_is_that_of_layers_one_by_one(name, monkeypatch, fused):
    model = network(NETWORKS[name]())
    options = dict(aggregations=KNOWN_AGGREGATIONS, firing_rate=0.2)
    together = measure(model, **options)
    taken = len(fused)
    monkeypatch.setattr(fusions, "find", lambda *_: {})
    one_by_one = measure(model, **options)
    assert taken and len(fused) == taken
    pd.testing.assert_frame_equal(together, one_by_one, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_computes_what_it_computes_alone(name, compiled):
    model, batch = network(NETWORKS[name]()), images().contiguous(memory_format=torch.channels_last)

    def fuse(layers, fusion, output):
        compiled.fuse(output, fusion.scale_and_shift(), fusion.alpha, None)
        return output

    with torch.no_grad():
        found = Recorder(model).run(batch, lambda *_: None, fuse)
        torch.testing.assert_close(found, model(batch), rtol=1e-6, atol=1e-7)


def test_branches_that_take_turns_compute_what_they_compute_alone(compiled):
    model = Branches().eval().to(memory_format=torch.channels_last)
    batch = images().contiguous(memory_format=torch.channels_last)
    shown: list[str] = []

    def fuse(layers, fusion, output):
        compiled.fuse(output, fusion.scale_and_shift(), fusion.alpha, None)
        return output

    with torch.no_grad():
        found = Recorder(model).run(batch, lambda layer, _: shown.append(layer.name), fuse)
        torch.testing.assert_close(found, model(batch), rtol=1e-6, atol=1e-7)
    assert shown == ["add"]


def test_where_memory_runs_out_nothing_is_counted_twice():
    class Full(nn.Tanh):
        most = len(LABELS)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > self.most:
                raise torch.OutOfMemoryError("memory is full")
            return super().forward(x)

    model = network([normalization(), nn.ReLU(), Full()])
    halved = measure(model, batch_size=20)
    Full.most = 20
    pd.testing.assert_frame_equal(halved, measure(model, batch_size=20), rtol=1e-5)


def test_parts_of_a_measurement_may_be_taken_in_either_way(compiled, monkeypatch):
    model = network(NETWORKS["normalization and ReLU"]())
    parts = []
    for label, by in enumerate((operations, compiled)):
        monkeypatch.setattr(variance, "arithmetic", lambda *_, by=by: by)
        parts.append(variance.sweep(model, images(), LABELS, CLASSES, angles(4), part=[label]))
    parts[0].merge(parts[1])
    pd.testing.assert_frame_equal(parts[0].table(), measure(model), rtol=1e-5)


def test_layers_stand_in_execution_order_where_branches_take_turns(compiled, monkeypatch):
    model = Branches().eval().to(memory_format=torch.channels_last)
    parts = []
    for label, by in enumerate((operations, compiled)):
        monkeypatch.setattr(variance, "arithmetic", lambda *_, by=by: by)
        parts.append(variance.sweep(model, images(), LABELS, CLASSES, angles(4), part=[label]))
    parts[0].merge(parts[1])
    assert list(parts[0].table()["layer"].unique()) == ["one", "other", "norm", "relu", "other_norm", "relu_1", "add"]
    pd.testing.assert_frame_equal(parts[0].table(), measure(model), rtol=1e-5)


def test_weights_that_are_not_finite_are_told_with_their_layer():
    model = network([normalization(), nn.ReLU()])
    model[1].bias.data[1] = torch.nan
    with pytest.raises(InputError, match="layer 1, unit 1: its activations are NaN"):
        measure(model)


# where it is done


class Residual(nn.Module):
    """A convolution that is added to its own normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = convolution(1), normalization()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return x + functional.relu(self.norm(x))


class Functional(nn.Module):
    def __init__(self, relu: object) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = convolution(1), normalization(), relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x))
        return x.relu() if self.relu is None else self.relu(x)  # type: ignore[operator]


def found(model: nn.Module) -> dict[str, list[str]]:
    graph = Recorder(model.eval()).graph
    assert graph is not None
    name = {node: layer.name for node, layer in graph.layers.items()}
    return {name[node]: [name[each] for each in fusion.nodes] for node, fusion in graph.fusions.items()}


@pytest.mark.parametrize("relu", [functional.relu, torch.relu, None], ids=["functional", "torch", "method"])
def test_a_relu_may_be_a_function(relu):
    assert found(Functional(relu)) == {"conv": ["norm", "relu"]}


def test_what_calls_hooks_is_not_fused():
    """They may look at an output, which fusing overwrites, or replace it."""
    for number in (0, 2):
        model = nn.Sequential(convolution(1), normalization(), nn.ReLU())
        model[number].register_forward_hook(lambda module, given, output: output * 2)
        assert found(model) == ({} if number == 0 else {"0": ["1"]})


def test_a_normalization_without_statistics_is_not_fused():
    model = nn.Sequential(convolution(1), normalization(), nn.ReLU())
    model[1].running_mean = model[1].running_var = None
    assert found(model) == {}


def test_what_writes_where_others_may_read_is_not_fused_with_what_follows():
    assert found(nn.Sequential(convolution(1), nn.ELU(inplace=True), normalization())) == {"0": ["1"]}


def test_what_was_fused_with_one_layer_is_not_shown_again():
    fused_with: list[list[str]] = []
    shown: list[str] = []

    def fuse(layers, fusion, output):
        fused_with.append([layer.name for layer in layers])
        return output

    model = network([nn.ELU(), normalization(), nn.ReLU()])
    Recorder(model).run(images(), lambda layer, _: shown.append(layer.name), fuse)
    assert (fused_with, shown) == ([["0", "1"], ["1", "2", "3"]], ["5"])


def test_a_sum_whose_channels_are_last_is_not_fused(fused):
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.fc = convolution(1), nn.LayerNorm(3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x).permute(0, 2, 3, 1)
            return self.fc(functional.relu(self.norm(x) + x)).mean((1, 2))

    table = measure(ChannelsLast())
    assert not fused and len(table.query("layer == 'relu' and stratum == 'all' and aggregation == 'mean'")) == 3


def test_what_another_layer_reads_is_not_fused():
    assert found(Residual()) == {}


@pytest.mark.parametrize("others", [[], [nn.MaxPool2d(2)], [nn.BatchNorm2d(3, track_running_stats=False)]])
def test_other_layers_are_not_fused(others):
    assert found(nn.Sequential(convolution(1), *others)) == {}


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({}, [3, 3]),
        ({"layers": ["0", "2"]}, []),  # one of the three is not shown
        ({"channel_axes": {"1": 2}}, []),  # one of the three is to be taken otherwise
        ({"precision": "bfloat16"}, []),
    ],
)
def test_layers_are_fused_only_where_they_are_measured_alike(options, calls, fused):
    measure(network([normalization(), nn.ReLU()]), batch_size=100, **options)
    assert fused == calls  # a batch for each class


def test_what_is_not_one_map_an_image_is_no_activation_here_either(fused):
    """Two halves of each image go through the convolution as images of their own."""

    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu, self.fc = convolution(1), nn.ReLU(), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            halves = torch.cat([x[:, :, :4], x[:, :, 4:8]])
            first, second = self.relu(self.conv(halves)).mean((2, 3)).chunk(2)
            return self.fc(first + second)

    table = measure(Halves().to(memory_format=torch.channels_last))
    assert not fused and {"conv", "relu"}.isdisjoint(table["layer"]) and "fc" in set(table["layer"])


def test_other_layouts_are_not_fused(fused):
    model = network([normalization(), nn.ReLU()]).to(memory_format=torch.contiguous_format)
    measure(model)
    assert not fused


def test_a_recorder_shows_every_layer_where_nothing_is_fused():
    shown: list[Layer] = []
    model = network([normalization(), nn.ReLU()])
    Recorder(model).run(images(), lambda layer, _: shown.append(layer), lambda *_: None)
    assert [layer.name for layer in shown] == ["0", "1", "2", "4"]


# the kernel


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("side", [1, 5, 40])
@pytest.mark.parametrize("kept", [False, True])
def test_the_kernel_computes_the_layers_and_their_means_and_maxima(compiled, side, kept, threads, monkeypatch):
    monkeypatch.setattr(kernels, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    scale, shift = torch.tensor([2.0, -1.0, 0.0]), torch.tensor([0.1, 0.0, -3.0])
    y = x * scale[:, None, None] + shift[:, None, None]
    normalized = torch.empty_like(x) if kept else None
    output = x.clone()
    pooled = compiled.fuse(output, (scale, shift), 0.0, normalized)
    torch.testing.assert_close(output, y.relu())
    if normalized is not None:
        torch.testing.assert_close(normalized, y)
    for (means, maxima), expected in zip(pooled, (x, y, y.relu()), strict=True):
        torch.testing.assert_close(means, expected.double().mean((2, 3)), rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(maxima, expected.amax((2, 3)))


@pytest.mark.parametrize("side", [5, 40])
@pytest.mark.parametrize("alpha", [0.0, 0.5], ids=["ReLU", "ELU"])
def test_nan_stays_nan(compiled, alpha, side):
    x = torch.ones(2, 3, side, side).contiguous(memory_format=torch.channels_last)
    x[1, 2, 1, 1] = torch.nan
    compiled.fuse(x, None, alpha, None)
    assert torch.equal(x.isnan().nonzero(), torch.tensor([[1, 2, 1, 1]]))


def test_an_elu_is_exact_but_for_rounding(compiled):
    """Also where exp(x) - 1 is as small as x, and where it is all but -1."""
    x = torch.logspace(-30, 3, 4 * 3 * 40 * 40).view(4, 3, 40, 40)
    x = torch.cat([x, -x, x.new_tensor([0.0, torch.inf, -torch.inf]).repeat(1, 40, 40, 1).movedim(3, 1)])
    output = x.contiguous(memory_format=torch.channels_last).clone()
    ((means, maxima), (activated_means, activated_maxima)) = compiled.fuse(output[:8], None, 0.7, None)
    compiled.fuse(output[8:], None, 0.7, None)
    expected = functional.elu(x.double(), alpha=0.7)
    torch.testing.assert_close(output.double(), expected, rtol=4e-7, atol=0)
    for found, values in ((means, x), (activated_means, output)):
        torch.testing.assert_close(found, values[:8].double().mean((2, 3)), rtol=1e-6, atol=1e-9)
    for found, values in ((maxima, x), (activated_maxima, output)):
        assert torch.equal(found, values[:8].amax((2, 3)))
