"""Every activation of any network, by its dotted name, in execution order, and none outlives its layer."""

import logging
import re
import weakref
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional

from rotvar import models
from rotvar.activations import Layer, Recorder
from rotvar.errors import InputError


class Untraceable(nn.Module):
    """What a network does may depend on what it sees: then it runs, but cannot be traced."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) if x.sum() > -1e9 else x


@torch.no_grad()
def recorded(model: nn.Module, batch: torch.Tensor) -> dict[Layer, torch.Tensor]:
    """Each layer's output as it was when it was shown."""
    outputs: dict[Layer, torch.Tensor] = {}

    def record(layer: Layer, output: torch.Tensor) -> None:
        assert layer not in outputs, f"{layer} was shown twice"
        outputs[layer] = output.clone()

    Recorder(model.eval()).run(batch, record)
    return outputs


def names(model: nn.Module, batch: torch.Tensor) -> list[str]:
    return [layer.name for layer in recorded(model, batch)]


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape or (2, 1, 8, 8), generator=torch.Generator().manual_seed(0))


def chain(inplace: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(48, 5),
        nn.LogSoftmax(1),
    ).eval()


CHAIN = [
    Layer("0", "convolution"),
    Layer("1", "normalization"),
    Layer("2", "non-linearity"),
    Layer("3", "pooling"),
    Layer("6", "fully connected"),
    Layer("7", "log-softmax"),
]


# what is recorded


@torch.no_grad()
def test_a_traced_network_shows_every_layer_but_those_that_compute_nothing():
    model, batch = chain(), images()
    outputs = recorded(model, batch)
    assert list(outputs) == CHAIN
    x = batch
    for name, module in model.named_children():
        x = module(x)
        for layer, output in outputs.items():
            if layer.name == name:
                assert torch.equal(output, x)


def test_a_network_that_cannot_be_traced_shows_the_same_through_hooks():
    model, batch = Untraceable(chain()), images()
    assert Recorder(model).graph is None
    hooked, traced = recorded(model, batch), recorded(model.inner, batch)
    assert list(hooked) == [Layer(f"inner.{layer.name}", layer.kind) for layer in CHAIN]
    for one, other in zip(hooked.values(), traced.values(), strict=True):
        assert torch.equal(one, other)


class Listed(nn.Module):
    """Its modules are in a list, in which torch.fx does not find them."""

    def __init__(self) -> None:
        super().__init__()
        self.modules_in_a_list = [nn.Conv2d(1, 2, 1)]
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.modules_in_a_list[0](x))


class Asserting(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(x, torch.Tensor)
        return super().forward(x)


@pytest.mark.parametrize("make", [lambda: Untraceable(nn.ReLU()), Listed, lambda: Asserting(nn.ReLU())])
def test_whatever_keeps_a_network_from_being_traced_is_warned_of_once(make, caplog):
    recorder = Recorder(make())
    for _ in range(2):
        recorder.run(images(), lambda layer, output: None)
    assert recorder.graph is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("the network cannot be traced (")


def test_both_reasons_that_keep_a_network_from_being_traced_are_named(caplog):
    """With buffers by name this one stops at `float`, which is no obstacle where they are traced by value."""

    class Scaled(nn.Module):
        def __init__(self, branches: bool) -> None:
            super().__init__()
            self.branches = branches
            self.register_buffer("scale", torch.tensor(2.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = functional.relu(x * float(self.scale))
            return -x if self.branches and x.sum() > 0 else x

    assert Recorder(Scaled(branches=False)).graph
    Recorder(Scaled(branches=True))
    (record,) = caplog.records
    by_value, by_name = r"symbolically traced variables cannot be .* control flow", r"float\(\) argument must be .*"
    assert re.match(rf"^the network cannot be traced \({by_value}; {by_name}\): its modules", record.message)


class Particular(nn.Module):
    """The trace knows neither that images are a Tensor nor of an autocast."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv = kind, nn.Conv2d(1, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "list" and not torch.is_tensor(x):
            x = torch.stack(x)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.kind == "autocast"):
            return self.conv(x)


@pytest.mark.parametrize("kind", ["list", "autocast"])
@torch.no_grad()
def test_a_trace_that_is_not_the_network_is_given_up(kind, caplog):
    model = Particular(kind).eval()
    with caplog.at_level(logging.INFO):
        outputs = Recorder(model).outputs(images())
    assert [output.dtype for output in outputs.values()] == [model(images()).dtype]
    assert len(caplog.messages) == 1


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_does_not_show_its_layers_is_one_sentence():
    with pytest.raises(InputError, match="a TorchScript module does not show its layers: give the network"):
        Recorder(torch.jit.trace(chain(), images()))
    with pytest.raises(InputError, match="a TorchScript module does not show its layers: give the network"):
        Recorder(nn.Sequential(torch.jit.trace(chain(), images()), nn.ReLU()))
    with pytest.raises(InputError, match="an exported network cannot be put in evaluation mode: give the network"):
        Recorder(torch.export.export(chain(), (images(),)).module())


def test_a_wrapped_network_is_measured_as_the_one_inside():
    expected = recorded(chain(), images())
    for wrapped in (nn.DataParallel(chain()), torch.compile(chain()), torch.compile(nn.DataParallel(chain()))):
        torch.testing.assert_close(recorded(wrapped, images()), expected)


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "compile"])
def test_a_wrapped_part_of_a_network_is_seen_through(wrap):
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = wrap(chain()[:5])
            self.fc = chain()[6]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.features(x))

    model = Wrapped()
    assert Recorder(model).graph
    inside = "module" if wrap is nn.DataParallel else "_orig_mod"
    expected = recorded(chain()[:7], images())
    assert names(model, images()) == [f"features.{inside}.{number}" for number in range(4)] + ["fc"]
    for one, other in zip(recorded(model, images()).values(), expected.values(), strict=True):
        torch.testing.assert_close(one, other)


class Buffered(nn.Module):
    """Its buffers are cut to a size that it sees, or asked what they are."""

    def __init__(self, asks: bool, cuts: bool) -> None:
        super().__init__()
        self.asks, self.cuts = asks, cuts
        self.register_buffer("ready", torch.tensor(True))
        self.register_buffer("places", torch.arange(20.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.asks and not self.ready:
            return x
        return x + self.places[: x.shape[3] if self.cuts else 8]


@pytest.mark.parametrize(("asks", "cuts"), [(True, False), (False, True)])
@torch.no_grad()
def test_a_network_may_cut_its_buffers_to_a_size_or_ask_what_they_are(asks, cuts):
    recorder = Recorder(Buffered(asks, cuts))
    assert recorder.graph
    assert torch.equal(recorder.run(images(), lambda layer, output: None), images() + torch.arange(8.0))
    assert [layer.name for layer in recorder.outputs(images())] == ["add"]


class Halved(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight / 2


class Weighing(nn.Module):
    """A user's block with a weight of its own; 2 rows, as many as images."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.weight = nn.Linear(8, 8), nn.Parameter(torch.ones(2, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.fc(x).relu(), self.weight)


@torch.no_grad()
def test_a_block_whose_weight_is_parametrized_shows_its_layers():
    model = nn.Sequential(Weighing()).eval()
    expected = names(model, images())
    nn.utils.parametrize.register_parametrization(model[0], "weight", Halved())
    assert Recorder(model).graph
    outputs = recorded(model, images())
    assert [layer.name for layer in outputs] == expected == ["0.fc", "0.relu", "0.linear"]
    assert torch.equal([*outputs.values()][-1], model(images()).movedim(-1, 1))
    layer = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 2)))
    assert [(each.name, each.kind) for each in recorded(layer, images())] == [("0", "fully connected")]


class Choosing(nn.Module):
    """Takes more than images, by default nothing, and computes by what it is given."""

    def forward(self, x: torch.Tensor, doubled: bool = False, power: int = 1) -> torch.Tensor:
        if doubled:
            x = x * 2
        return functional.relu(x) if power == 1 else x**power


def test_a_network_with_defaults_is_traced_as_it_is_called():
    assert recorded(Choosing(), images()).keys() == {Layer("relu", "non-linearity")}
    assert Recorder(Choosing()).graph


class Dropping(nn.Module):
    """Drops by a function, which a trace of a network in training mode would go on doing."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.auxiliary = nn.Linear(64, 3), nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.dropout(x.flatten(1), 0.5, self.training)
        return self.fc(x) + self.auxiliary(x) if self.training else self.fc(x)


@pytest.mark.parametrize("training", [False, True])
def test_a_network_is_traced_in_evaluation_mode(training):
    model = Dropping().train(training)
    recorder, state = Recorder(model), torch.get_rng_state()
    assert model.training is training
    model.eval()
    assert torch.equal(recorder.run(images(), lambda layer, output: None), model(images()))
    assert [layer.name for layer in recorder.outputs(images())] == ["fc"]
    assert torch.equal(torch.get_rng_state(), state)


class Keeping(nn.Module):
    """Keeps what it makes at its first call in every way that a network may."""

    def __init__(self, traceable: bool) -> None:
        super().__init__()
        self.conv, self.traceable = nn.Conv2d(1, 3, 3), traceable
        self.mask: torch.Tensor | None = None
        self.tables: dict[str, torch.Tensor] = {}
        self.calls: list[torch.Tensor] = []
        self.seen: set[torch.Tensor] = set()
        self.register_buffer("grid", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        if self.mask is None:
            self.mask, self.grid, self.tables["places"] = torch.ones_like(y[:1]), torch.ones(6), y[:1] * 0
            self.register_buffer("shift", torch.ones(1) * y[:1].sum() * 0)
            self.calls.append(y)
            self.seen.add(y)
        y = (y + self.tables["places"] + self.shift) * self.mask * self.grid
        return y if self.traceable or y.sum() > -1e9 else y * 2


@pytest.mark.parametrize("traceable", [True, False])
@torch.no_grad()
def test_a_trace_leaves_nothing_in_a_network_that_keeps_what_it_makes(traceable):
    model = Keeping(traceable)
    recorder = Recorder(model)
    assert (recorder.graph is not None) == traceable
    assert model.mask is model.grid is None and not [*model.tables, *model.calls, *model.seen]
    assert [*model._buffers] == ["grid"] and not hasattr(model, "shift")
    assert torch.equal(recorder.run(images(), lambda layer, output: None), model.conv(images()))
    assert torch.equal(model.eval()(images()), model.conv(images()))


def test_hooks_of_the_network_and_a_forward_of_its_own_are_heeded():
    model = chain()
    model.register_forward_pre_hook(lambda module, given: (given[0] * 3,))
    hooked = recorded(model, images())
    expected = recorded(chain(), images() * 3)
    assert list(hooked) == [Layer("mul", "product"), *expected] and Recorder(model).graph
    assert all(torch.equal(hooked[layer], expected[layer]) for layer in expected)
    model = chain()
    model.forward = lambda x: nn.Sequential.forward(model, x * 3)
    patched = recorded(model, images())
    assert all(torch.equal(patched[layer], expected[layer]) for layer in expected)


class Named(nn.Module):
    """Modules with the names of other things in a trace."""

    def __init__(self) -> None:
        super().__init__()
        self.output, self.sin, self.network = nn.ReLU(), nn.ReLU(), nn.Conv2d(1, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(self.output(x)).sin()


def test_names_of_modules_are_not_taken_for_other_things():
    assert list(recorded(Named(), images())) == [
        Layer("output", "non-linearity"),
        Layer("network", "convolution"),
        Layer("sin", "operation"),
    ]


class Sequences(nn.Module):
    """Tokens first and images second, as PyTorch's transformers have them by default."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.fc = nn.Conv2d(1, 6, 2, stride=2), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(x).flatten(2).permute(2, 0, 1)  # 16 x N x 6
        return self.fc(self.mix(tokens).mean(0))


def test_tokens_are_not_taken_for_images_where_there_are_as_many():
    recorder = Recorder(Sequences())
    assert [layer.name for layer in recorder.outputs(images())] == ["embed", "mean", "fc"]
    shown = []
    recorder.run(images(16, 1, 8, 8), lambda layer, output: shown.append(layer.name))
    assert shown == ["embed", "mean", "fc"]


class Cosines(nn.Module):
    """The cosine between the images and a row of weights for each of two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.shift = nn.Parameter(torch.randn(2, 64)), nn.Parameter(torch.randn(2, 64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = functional.normalize(functional.relu(self.weight + self.shift))
        return functional.linear(functional.normalize(x.flatten(1)), weight)


def test_what_is_made_of_weights_alone_is_no_layer_where_they_are_as_many_as_images():
    recorder = Recorder(Cosines())
    assert [layer.name for layer in recorder.outputs(images(2, 1, 8, 8))] == ["normalize_1", "linear"]
    recorder.run(images(5, 1, 8, 8), lambda layer, output: None)


def test_what_has_only_the_shape_of_an_activation_is_no_layer():
    class Remembering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = x.squeeze(1)
            return self.cell(rows[:, 0], rows.new_zeros(rows.size(0), 3)) + torch.ones_like(rows[:, 0, :3])

    assert names(Remembering(), images()) == ["cell", "add"]


def test_two_versions_in_front_of_the_images_are_not_taken_for_two_images():
    class Versions(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x, x.flip(-1)]).relu().mean(0)

    recorder, shown = Recorder(Versions()), []
    assert [layer.name for layer in recorder.outputs(images(2, 1, 8, 8))] == ["mean"]
    recorder.run(images(5, 1, 8, 8), lambda layer, output: shown.append(layer.name))
    assert shown == ["mean"]


def test_a_layer_that_had_an_output_for_each_image_and_has_not_is_one_sentence():
    class Routing(nn.Module):
        """Only bright images go through the layer."""

        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu(x[x.sum((1, 2, 3)) > 0])

    recorder, batch = Recorder(Routing()), torch.ones(5, 1, 8, 8)
    recorder.outputs(batch[:2])
    batch[0] = 0
    with pytest.raises(InputError, match="layer relu gives 4 x 1 x 8 x 8 for 5 images, though .* leave it out"):
        recorder.run(batch, lambda layer, output: None)


def test_through_hooks_a_weight_is_no_activation():
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 1))
    assert names(Untraceable(conv), images()) == ["inner"]


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.squeeze(1)
        return self.attention(tokens, tokens, tokens)[0]


class NonLinearity(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x  # cannot be traced


def test_a_non_linearity_of_ones_own_has_its_channels_where_its_input_has_them():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), NonLinearity())
    (_, conv), (layer, output) = recorded(model, images()).items()
    assert layer == Layer("1", "non-linearity")
    assert output.shape == conv.shape == (2, 3, 8, 8)


def test_through_hooks_an_attention_is_a_layer_as_it_is_traced():
    torch.manual_seed(0)
    model = Attending()
    traced, hooked = recorded(model, images()), recorded(Untraceable(model), images())
    assert [*traced] == [Layer("attention", "attention")] and [*hooked] == [Layer("inner.attention", "attention")]
    assert torch.equal(*traced.values(), *hooked.values())


def test_hooks_are_gone_after_the_run_even_if_it_failed():
    model = Untraceable(chain())
    with pytest.raises(RuntimeError):
        Recorder(model).run(images(2, 7, 8, 8), lambda layer, output: None)
    Recorder(model).run(images(), lambda layer, output: None)
    assert not any(module._forward_hooks for module in model.modules())


@torch.no_grad()
def test_a_run_that_failed_keeps_no_activation():
    model, made = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 9)), []
    model[0].register_forward_hook(lambda module, inputs, output: made.append(weakref.ref(output)))
    recorder = Recorder(model.eval())
    with pytest.raises(RuntimeError, match="Kernel size"):
        recorder.run(images(), lambda layer, output: None)
    assert [each() for each in made] == [None]


@pytest.mark.parametrize("wrap", [nn.Identity, Untraceable])
@torch.no_grad()
def test_the_networks_own_output_is_returned(wrap):
    model = chain() if wrap is nn.Identity else wrap(chain())
    assert torch.equal(Recorder(model).run(images(), lambda layer, output: None), model(images()))


@pytest.mark.parametrize("name", ["simple_conv", "all_convolutional", "vgg16", "vgg_like"])
def test_the_layers_of_a_sequential_network_are_its_modules_without_flatten(name):
    model = models.build(name, 1, 28, 10, width=2)
    expected = [child for child, _ in model.named_children() if child != "flatten"]
    assert names(model, images(2, 1, 28, 28)) == expected


def test_the_layers_of_a_resnet():
    basic = ["conv1", "bn1", "relu1", "conv2", "bn2"]
    expected = ["conv1", "bn1", "relu"]
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            shortcut = ["downsample.0", "downsample.1"] if stage > 1 and block == 0 else []
            expected += [f"layer{stage}.{block}.{part}" for part in [*basic, *shortcut, "add", "relu2"]]
    expected += ["avgpool", "fc", "log_softmax"]
    assert names(models.build("resnet", 1, 8, 10, width=2), images()) == expected


def test_the_layers_of_a_bottleneck():
    shown = names(models.build("resnet", 1, 8, 10, width=2, depth=50), images())
    block = [name for name in shown if name.startswith("layer1.0.")]
    assert [name.removeprefix("layer1.0.") for name in block] == [
        "conv1", "bn1", "relu1", "conv2", "bn2", "relu2", "conv3", "bn3", "downsample.0", "downsample.1",
        "add", "relu3",
    ]  # fmt: skip


@torch.no_grad()
def test_a_residual_sum_is_shown_as_it_was_added():
    model = models.build("resnet", 1, 8, 10, width=2).eval()
    outputs = {layer.name: (layer.kind, output) for layer, output in recorded(model, images()).items()}
    kind, total = outputs["layer1.0.add"]
    assert kind == "sum"
    assert torch.equal(total, outputs["layer1.0.bn2"][1] + outputs["relu"][1])


class Functions(nn.Module):
    """A block that computes with functions and operators."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(x) * 2
        y = torch.cat([y, x], dim=1)
        y = functional.max_pool2d(y, 2) + y.mean((2, 3), keepdim=True)
        y = functional.dropout(y.view(y.size(0), -1).unsqueeze(1).squeeze(1), training=self.training)
        return functional.log_softmax(y, dim=1)


def test_functions_are_named_by_the_module_that_calls_them():
    expected = [
        Layer("block.relu", "non-linearity"),
        Layer("block.mul", "product"),
        Layer("block.cat", "concatenation"),
        Layer("block.max_pool2d", "pooling"),
        Layer("block.mean", "operation"),
        Layer("block.add", "sum"),
        Layer("block.log_softmax", "log-softmax"),
    ]
    model = nn.Sequential()
    model.add_module("block", Functions())
    assert list(recorded(model, images())) == expected
    assert [layer.name for layer in recorded(Functions(), images())] == [
        e.name.removeprefix("block.") for e in expected
    ]


class Extremes(NamedTuple):
    top: torch.Tensor
    bottom: torch.Tensor


def test_what_a_function_gives_several_of_is_a_layer_and_a_tuple_of_layers_is_none():
    class Extreme(nn.Module):
        def forward(self, x: torch.Tensor) -> Extremes:
            return Extremes(x.max(2).values.relu(), torch.min(x, 3).values)

    layers = recorded(Extreme(), images())
    assert [layer.name for layer in layers] == ["max", "relu", "min"]
    assert torch.equal(layers[Layer("max", "operation")], images().amax(2))


def test_operations_that_only_lay_out_are_not_recorded():
    class LaysOut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.identity, self.dropout, self.flatten = nn.Identity(), nn.Dropout2d(), nn.Flatten()
            self.fc = nn.Linear(64, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.dropout(self.identity(x)).permute(0, 2, 3, 1).contiguous().transpose(1, 2)
            first, second = self.flatten(x.reshape(len(x.shape) * 0 + x.shape[0], -1)).chunk(2, dim=1)
            return self.fc(torch.stack([first, second], 1).float().clone().flatten(1))

    assert names(LaysOut(), images()) == ["fc"]


def test_turned_mirrored_and_repeated_maps_are_not_recorded_again():
    class Versions(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            turned = torch.rot90(x, 1, (2, 3)).fliplr().flip(3).repeat(1, 2, 1, 1).tile(1, 2, 1, 1)
            chosen = functional.pixel_shuffle(turned, 2).select(1, 0).index_select(1, torch.tensor([0, 1])).double()
            return chosen.view_as(chosen).expand_as(chosen).tensor_split(2, 1)[0].tanh()

    assert names(Versions(), images()) == ["tanh"]


# modules called twice


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.conv(self.relu(self.conv(x))))


@pytest.mark.parametrize(("wrap", "prefix"), [(Twice, ""), (lambda: Untraceable(Twice()), "inner.")])
@torch.no_grad()
def test_a_module_that_is_called_twice_is_two_layers(wrap, prefix):
    model = wrap()
    outputs = {layer.name: output for layer, output in recorded(model, images()).items()}
    assert list(outputs) == [f"{prefix}{name}" for name in ("conv", "relu", "conv_1", "relu_1")]
    once = outputs[f"{prefix}relu"]
    assert torch.equal(outputs[f"{prefix}conv_1"], getattr(model, "inner", model).conv(once))


class Likewise(Twice):
    """Its second call of `relu`, and a function, would be called as modules are that come later."""

    def __init__(self, functional: bool) -> None:
        super().__init__()
        self.relu_1, self.sigmoid, self.functional = nn.Tanh(), nn.Sigmoid(), functional

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(torch.sigmoid(x) if self.functional else x)
        return self.sigmoid(self.relu_1(x))


def test_names_of_modules_are_theirs_whatever_is_called_before_them():
    hooked = names(Untraceable(Likewise(functional=False)), images())
    expected = ["conv", "relu", "conv_1", "relu_2", "relu_1", "sigmoid"]
    assert [name.removeprefix("inner.") for name in hooked] == expected
    assert list(recorded(Likewise(functional=True), images())) == [
        Layer("sigmoid_1", "non-linearity"),
        *(Layer(name, "convolution" if name.startswith("conv") else "non-linearity") for name in expected),
    ]


@pytest.mark.parametrize("wrap", [Twice, lambda: Untraceable(Twice())])
def test_the_next_batch_has_the_same_layers(wrap):
    recorder = Recorder(wrap())
    shown: list[list[str]] = [[], []]
    for batch in shown:
        recorder.run(images(), lambda layer, output, batch=batch: batch.append(layer.name))
    assert shown[0] == shown[1] and len(shown[0]) == len(set(shown[0])) == 4


# memory


@pytest.mark.parametrize("wrap", [lambda model: model, Untraceable])
def test_an_in_place_operation_does_not_overwrite_what_was_shown(wrap):
    expected = list(recorded(wrap(chain()), images()).values())
    inplace = list(recorded(wrap(chain(inplace=True)), images()).values())
    assert expected[1].min() < 0 <= expected[2].min()
    for one, other in zip(inplace, expected, strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
def test_every_value_is_freed_after_its_last_use():
    """While a layer is shown, its own output and its input live; what came before is gone."""
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(5)))
    shown: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def record(layer: Layer, output: torch.Tensor) -> None:
        shown.append(weakref.ref(output))
        alive.append(sum(one() is not None for one in shown))

    Recorder(model).run(images(), record)
    assert alive == [1, 2, 2, 2, 2]


@torch.no_grad()
def test_a_value_that_a_sum_still_needs_is_kept_until_then():
    model = models.build("resnet", 1, 8, 10, width=2).eval()
    shown: dict[str, weakref.ref[torch.Tensor]] = {}
    alive: dict[str, set[str]] = {}

    def record(layer: Layer, output: torch.Tensor) -> None:
        shown[layer.name] = weakref.ref(output)
        alive[layer.name] = {name for name, one in shown.items() if one() is not None}

    Recorder(model).run(images(), record)
    assert alive["layer1.0.bn2"] == {"relu", "layer1.0.conv2", "layer1.0.bn2"}
    assert alive["layer1.0.add"] == {"relu", "layer1.0.bn2", "layer1.0.add"}
    assert alive["layer1.0.relu2"] == {"layer1.0.add", "layer1.0.relu2"}


# what a layer is


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.Conv2d(1, 1, 1), "convolution"),
        (nn.BatchNorm2d(1), "normalization"),
        (nn.GroupNorm(1, 1), "normalization"),
        (nn.AvgPool2d(1), "pooling"),
        (nn.AdaptiveAvgPool2d(1), "pooling"),
        (nn.LeakyReLU(), "non-linearity"),
        (nn.ELU(), "non-linearity"),
        (nn.GELU(), "non-linearity"),
        (nn.Sigmoid(), "non-linearity"),
        (nn.Hardtanh(), "non-linearity"),
        (nn.GLU(2), "non-linearity"),
        (nn.Softsign(), "non-linearity"),
        (nn.Softshrink(), "non-linearity"),
        (nn.Threshold(0.5, 0.0), "non-linearity"),
        (nn.Softmax(1), "softmax"),
        (nn.Softmin(1), "softmax"),
        (nn.LogSoftmax(1), "log-softmax"),
        (nn.Linear(8, 2), "fully connected"),
        (nn.RMSNorm(8), "normalization"),
        (nn.Upsample(scale_factor=2), "operation"),
        (nn.UpsamplingBilinear2d(scale_factor=2), "operation"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_kind_of_a_module(module, kind):
    assert [layer.kind for layer in recorded(nn.Sequential(module), images())] == [kind]


@pytest.mark.parametrize(
    "multiply",
    [torch.bmm, torch.matmul, lambda a, b: torch.baddbmm(a, a, b), lambda a, b: torch.einsum("nij,njk->nik", a, b)],
    ids=["bmm", "matmul", "baddbmm", "einsum"],
)
def test_a_product_of_matrices_is_a_product_by_whatever_name(multiply):
    class Squared(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = images.flatten(0, 1)
            return multiply(tokens, tokens)

    assert [layer.kind for layer in recorded(Squared(), images())] == ["product"]


def test_a_scatter_is_no_concatenation():
    class Scattered(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.scatter(1, torch.zeros_like(images, dtype=torch.long), 2.0)

    assert [layer.kind for layer in recorded(Scattered(), images())] == ["operation"]


@pytest.mark.parametrize(
    "module",
    [
        nn.ReplicationPad2d(1),
        nn.ZeroPad2d(1),
        nn.AlphaDropout(),
        nn.Unflatten(1, (1, 1)),
        nn.PixelUnshuffle(2),
        nn.Dropout2d(),
        nn.Identity(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_module_that_computes_nothing_new_is_no_layer(module):
    assert recorded(nn.Sequential(module), images()) == {}
