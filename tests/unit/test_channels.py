"""The channels of an activation are found wherever a network lays them out."""

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from rotvar.activations import Recorder
from rotvar.errors import InputError
from rotvar.rotation import angles
from rotvar.variance import measure

C, H, W = 6, 3, 4  # all different, and different from the number of images


class Laid(nn.Module):
    """Six channels, each the number of its place, laid out by `lay` and read by a ReLU."""

    def __init__(self, lay) -> None:
        super().__init__()
        self.conv, self.lay, self.relu = nn.Conv2d(1, C, 1), lay, nn.ReLU()
        nn.init.zeros_(self.conv.weight)
        self.conv.bias.data = torch.arange(C, dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.lay(self.conv(x)))


def shuffled(x: Tensor) -> Tensor:
    """The channels in two groups, taken in turns (ShuffleNet)."""
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


LAYOUTS = {
    "as it is": lambda x: x,
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "permute by keyword": lambda x: torch.permute(x, dims=(0, 2, 3, 1)),
    "transpose": lambda x: x.transpose(1, 2),
    "transpose by keyword": lambda x: x.transpose(dim0=1, dim1=3),
    "swapaxes": lambda x: x.swapaxes(1, 3),
    "movedim": lambda x: x.movedim(1, -1),
    "mT": lambda x: x.permute(0, 2, 1, 3).mT,
    "tokens": lambda x: x.flatten(2).transpose(1, 2),
    "channels last, flattened": lambda x: x.permute(0, 2, 3, 1).flatten(1, 2),
    "channels first, flattened": lambda x: x.flatten(2),
    "a view of tokens": lambda x: x.view(x.shape[0], C, H * W).mT.reshape(-1, H, W, C),
    "shuffled": shuffled,
    "half of them": lambda x: x.permute(0, 2, 3, 1).chunk(2, dim=-1)[1],
    "some of them": lambda x: x[:, 1:5].unsqueeze(1).transpose(1, 2),
    "padded": lambda x: functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1)),
    "rolled": lambda x: x.permute(0, 2, 3, 1).roll((1, 1), (1, 2)),
    "stacked": lambda x: torch.stack([x, x], -1),
}


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_channels_are_followed_through_every_layout(layout):
    shown = []
    recorder = Recorder(Laid(LAYOUTS[layout]).eval())
    assert recorder.graph
    recorder.run(torch.rand(5, 1, H, W), lambda layer, output: shown.append((layer.name, output)))
    (name, relu) = shown[-1]
    assert name == "relu"
    units = relu.flatten(2)
    seen = units.amax((0, 2))  # of each unit; padding is 0
    assert sorted(seen.tolist()) == {"half of them": [3, 4, 5], "some of them": [1, 2, 3, 4]}.get(layout, [*range(C)])
    assert ((units == seen[:, None]) | (units == 0)).all()


@torch.no_grad()
@pytest.mark.parametrize(
    ("lay", "units"),
    [
        (lambda x: x[:, :1].permute(0, 2, 3, 1), 1),
        (lambda x: x[:, 2:3].flatten(2).mT, 1),
        (lambda x: x.permute(0, 2, 3, 1)[..., :1], 1),
        (lambda x: x[:, :1].repeat(1, 5, 1, 1).permute(0, 2, 3, 1), 5),
        (lambda x: x.mean(1, keepdim=True).permute(0, 2, 3, 1), 1),
    ],
    ids=["permuted", "tokens", "last", "repeated", "mean over channels"],
)
def test_a_single_channel_is_followed(lay, units):
    recorder = Recorder(Laid(lay).eval())
    *_, shape = [output.shape for output in recorder.outputs(torch.rand(2, 1, H, W)).values()]
    assert recorder.graph and shape[:2] == (2, units) and shape.numel() == 2 * units * H * W


def test_the_next_batch_may_have_another_size():
    recorder, shapes = Recorder(Laid(shuffled)), []
    for n in (2, 7):
        recorder.run(torch.rand(n, 1, H, W), lambda layer, output: shapes.append(tuple(output.shape)))
    assert shapes == [(n, C, H, W) for n in (2, 2, 7, 7)]


@torch.no_grad()
def test_shufflenet_concatenates_channels():
    torch.manual_seed(0)
    outputs = Recorder(torchvision.models.shufflenet_v2_x0_5(weights=None)).outputs(torch.rand(2, 3, 64, 96))
    concatenated = {layer.name: output.shape[1] for layer, output in outputs.items() if layer.kind == "concatenation"}
    assert len(concatenated) == 16
    assert {name.split(".")[0]: c for name, c in concatenated.items()} == {"stage2": 48, "stage3": 96, "stage4": 192}


class Then(nn.Module):
    """Six channels, and what `then` makes of them and of two parameters."""

    def __init__(self, then) -> None:
        super().__init__()
        self.conv, self.then = nn.Conv2d(1, C, 1), then
        self.attention_scale, self.codes = nn.Parameter(torch.ones(1)), nn.Parameter(torch.rand(5, C))

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self, self.conv(x))


def nearest(codes: Tensor, tokens: Tensor) -> Tensor:
    """The index of the code that is nearest to each token."""
    return (tokens.unsqueeze(2) - codes).square().sum(-1).argmin(-1)


@torch.no_grad()
@pytest.mark.parametrize(
    "then",
    [
        lambda network, x: network.attention_scale * x,
        lambda network, x: torch.norm(x.permute(0, 2, 3, 1), dim=(1, 2), keepdim=True),
        lambda network, x: functional.normalize(x.flatten(2).mT, dim=-1),
    ],
    ids=["a parameter named as a layer is", "lengths of vectors", "unit vectors"],
)
def test_other_operations_leave_channels_where_they_were(then):
    recorder = Recorder(Then(then).eval())
    assert [output.shape[1] for output in recorder.outputs(torch.rand(2, 1, H, W)).values()] == [C, C]
    assert recorder.graph


POOLED = {
    "mean": lambda x: torch.stack([x, x.flip(-1)]).mean(0),
    "amax": lambda x: torch.stack([x, x.flip(-1)], 1).amax(1),
    "max": lambda x: torch.stack([x, x.flip(-1)], 1).max(1)[0],
    "sum": lambda x: torch.stack([x.permute(0, 2, 3, 1)] * 4).sum(0),
    "std": lambda x: torch.stack([x, x.flip(-1)], 1).std(1),
    "maps": lambda x: x.mean((2, 3)),
    "channels": lambda x: x.permute(0, 2, 3, 1).unflatten(3, (C, 1)).amax(4),
}


@torch.no_grad()
@pytest.mark.parametrize("pooled", POOLED)
def test_channels_are_followed_where_versions_of_an_image_are_pooled(pooled):
    """Versions that are stacked in front of the channels, among others."""
    outputs = Recorder(Then(lambda network, x: POOLED[pooled](x)).eval()).outputs(torch.rand(2, 1, H, W))
    layer, output = list(outputs.items())[-1]
    assert (layer.kind, output.shape[1]) == ("operation", C)


@torch.no_grad()
def test_where_the_channels_are_pooled_the_versions_take_their_place():
    model = Then(lambda network, x: torch.stack([x, x, x, x, x], 1).sum(2)).eval()
    outputs = Recorder(model).outputs(torch.rand(2, 1, H, W))
    assert [*outputs.values()][-1].shape == (2, 5, H, W)


@torch.no_grad()
@pytest.mark.parametrize("together", [True, False], ids=["queries and keys in one", "by themselves"])
def test_the_heads_of_an_attention_by_hand_are_the_units_of_its_scores(together):
    def attending(network: nn.Module, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT  # N x 12 x 6
        if together:
            queries, keys = tokens.view(-1, H * W, 2, 3, 1).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            queries = keys = tokens.view(-1, H * W, 3, 2).transpose(1, 2)
        return (queries @ keys.transpose(-2, -1)).softmax(-1) @ keys

    outputs = Recorder(Then(attending).eval()).outputs(torch.rand(2, 1, H, W))
    units = {layer.name: output.shape[1] for layer, output in outputs.items()}
    assert units == {"conv": C, "matmul": 3, "softmax": 3, "matmul_1": 3}


EINSUMS = {
    "bcn->bnc": (lambda x: torch.einsum("bcn->bnc", x.flatten(2)), C),
    "b n c -> b c n": (lambda x: torch.einsum("b n c -> b c n", x.flatten(2).mT), C),
    "weights": (lambda x: torch.einsum("nchw,oc->nhwo", x, torch.rand(5, C)), 5),
    "weights first": (lambda x: torch.einsum("oc,nchw->nohw", torch.rand(5, C), x), 5),
    "heads of scores": (lambda x: torch.einsum("bqhd,bkhd->bhqk", *[x.flatten(2).mT.unflatten(2, (3, 2))] * 2), 3),
    "heads of values": (lambda x: torch.einsum("bhqk,bkhd->bqhd", scores(x), x.flatten(2).mT.unflatten(2, (3, 2))), 3),
    "an ellipsis": (lambda x: torch.einsum("b...->b...", x), C),
    "a list": (lambda x: torch.einsum("nchw,oc->nohw", [x, torch.rand(5, C)]), 5),
}


def scores(x: Tensor) -> Tensor:
    """Of three heads, for keys of twelve tokens."""
    return x.flatten(2)[:, :3, :, None].expand(-1, -1, -1, H * W)


@torch.no_grad()
@pytest.mark.parametrize("equation", EINSUMS)
def test_an_einsum_says_where_its_channels_are(equation):
    einsum, units = EINSUMS[equation]
    recorder = Recorder(Then(lambda network, x: einsum(x)).eval())
    outputs = {layer.name: output.shape[1] for layer, output in recorder.outputs(torch.rand(2, 1, H, W)).items()}
    assert recorder.graph and outputs == {"conv": C, "einsum": units}


@torch.no_grad()
@pytest.mark.parametrize("add", [lambda x, y: x + y, lambda x, y: y + x], ids=["shortcut first", "shortcut last"])
def test_the_shortcut_around_a_mixing_of_tokens_says_where_the_channels_of_the_sum_are(add):
    """In whichever order the two are added."""

    def mixed(network: nn.Module, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT  # N x 12 x 6
        mixed = functional.linear(functional.layer_norm(tokens, (C,)).mT, torch.eye(H * W)).mT
        return add(tokens, mixed)

    outputs = Recorder(Then(mixed).eval()).outputs(torch.rand(2, 1, H, W))
    units = {layer.name: output.shape[1] for layer, output in outputs.items()}
    assert units == {"conv": C, "layer_norm": C, "linear": H * W, "add": C}


@torch.no_grad()
def test_a_spatial_transformer_reads_places_of_two_coordinates_and_has_the_channels_of_its_input():
    def transformed(network: nn.Module, x: Tensor) -> Tensor:
        grid = functional.affine_grid(x.flatten(1)[:, :6].view(-1, 2, 3), x.size(), align_corners=False)
        return functional.grid_sample(x, grid, align_corners=False)

    outputs = Recorder(Then(transformed).eval()).outputs(torch.rand(2, 1, H, W))
    shapes = {layer.name: tuple(output.shape) for layer, output in outputs.items()}
    assert shapes == {"conv": (2, C, H, W), "affine_grid": (2, 2, H, W), "grid_sample": (2, C, H, W)}


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*upsample_bilinear.*deprecated")
def test_an_upsampling_has_channels_on_axis_1():
    model = Then(lambda network, x: functional.upsample_bilinear(x, scale_factor=2)).eval()
    outputs = Recorder(model).outputs(torch.rand(2, 1, H, W))
    assert [(layer.kind, output.shape[1]) for layer, output in outputs.items()] == [
        ("convolution", C),
        ("operation", C),
    ]


@torch.no_grad()
def test_what_is_looked_up_may_have_any_axis():
    model = Then(lambda network, x: network.codes[nearest(network.codes, x.flatten(2).mT)].mT * 2).eval()
    assert "mul" in [layer.name for layer in Recorder(model).outputs(torch.rand(2, 1, H, W))]


@pytest.mark.parametrize("normalization", [nn.LayerNorm(C), nn.RMSNorm(C)], ids=["LayerNorm", "RMSNorm"])
def test_normalizations_of_tokens_have_channels_last(normalization):
    outputs = Recorder(nn.Sequential(Laid(LAYOUTS["tokens"]), normalization)).outputs(torch.rand(2, 1, H, W))
    assert [tuple(output.shape) for output in outputs.values()][-1] == (2, C, H * W)


OF_WHOLE_MAPS = {
    "LayerNorm": nn.LayerNorm([C, H, W]),
    "RMSNorm": nn.RMSNorm([C, H, W]),
    "layer_norm": lambda x: functional.layer_norm(x, x.shape[1:]),
    "rms_norm": lambda x: functional.rms_norm(x, [H, W]),
    "by keyword": lambda x: functional.layer_norm(x, normalized_shape=[C, H, W]),
}


@torch.no_grad()
@pytest.mark.parametrize("normalization", OF_WHOLE_MAPS)
def test_normalizations_of_whole_maps_leave_channels_where_they_were(normalization):
    model = Laid(OF_WHOLE_MAPS[normalization]).eval()
    recorder = Recorder(model)
    assert recorder.graph
    shapes = [(2, C, H, W)] * 3
    assert [output.shape for output in recorder.outputs(torch.rand(2, 1, H, W)).values()] == shapes
    recorder.graph = None
    hooked = recorder.outputs(torch.rand(2, 1, H, W)).values()
    assert [output.shape for output in hooked] == shapes[: len(hooked)]


class Recurrent(nn.Module):
    """Reads the rows of an image one after the other: 3 steps."""

    def __init__(self, kind: type[nn.RNNBase], batch_first: bool, traced: bool) -> None:
        super().__init__()
        self.rnn, self.batch_first, self.traced = kind(W, C, batch_first=batch_first), batch_first, traced

    def forward(self, x: Tensor) -> Tensor:
        rows = x.squeeze(1) if self.traced or x.sum() > -1e9 else x
        steps, _ = self.rnn(rows if self.batch_first else rows.transpose(0, 1))
        return (steps if self.batch_first else steps.transpose(0, 1)).relu()


@torch.no_grad()
@pytest.mark.parametrize("traced", [True, False], ids=["traced", "with hooks"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_the_units_of_a_recurrent_layer_are_its_channels(kind, batch_first, traced):
    recorder = Recorder(Recurrent(kind, batch_first, traced).eval())
    assert bool(recorder.graph) is traced
    shapes = {layer.name: tuple(output.shape) for layer, output in recorder.outputs(torch.rand(2, 1, H, W)).items()}
    # Steps first, it is no layer: it has no output for each image. Hooks do not see the function
    expected = ({"rnn"} if batch_first else set()) | ({"relu"} if traced else set())
    assert shapes == dict.fromkeys(expected, (2, C, H))


@torch.no_grad()
def test_without_a_trace_channels_are_where_a_module_or_the_one_before_it_puts_them():
    recorder = Recorder(torchvision.models.convnext_tiny(weights=None))
    traced = {layer.name: output.shape for layer, output in recorder.outputs(torch.rand(2, 3, 64, 64)).items()}
    recorder.graph = None
    hooked = {layer.name: output.shape for layer, output in recorder.outputs(torch.rand(2, 3, 64, 64)).items()}
    assert hooked["features.0.1"] == (2, 96, 16, 16)  # a normalization of maps, whose inside the trace sees
    both = hooked.keys() & traced.keys()
    assert {"features.1.0.block.2", "features.1.0.block.4"} <= both  # one of tokens, and a GELU with channels last
    assert {name: hooked[name] for name in both} == {name: traced[name] for name in both}


@torch.no_grad()
def test_without_a_trace_steps_of_a_signal_are_no_tokens():
    signal = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, C, 3), nn.ReLU(inplace=True), nn.Dropout(), nn.ELU())
    recorder = Recorder(signal.eval())
    recorder.graph = None
    assert [output.shape[1] for output in recorder.outputs(torch.rand(2, 1, H, W)).values()] == [C, C, C]


def test_an_axis_that_there_is_not_is_one_sentence():
    images, labels = torch.rand(4, 1, H, W), torch.tensor([0, 0, 1, 1])
    model, sentence = (
        Laid(LAYOUTS["as it is"]),
        "^channel_axes: layer relu gives 2 x 6 x 3 x 4, and no channels on axis ",
    )
    for axis in (7, 0, -4):
        with pytest.raises(InputError, match=sentence) as error:
            measure(model, images, labels, ["a", "b"], angles(2), channel_axes={"relu": axis})
        assert "\n" not in str(error.value)


def test_an_axis_that_there_is_not_is_no_reason_to_measure_other_layers():
    model, labels = Then(lambda network, x: x * 2), torch.tensor([0, 0, 1, 1])
    with pytest.raises(InputError, match="^channel_axes: layer mul gives 2 x 6 x 3 x 4, and no channels on axis 7"):
        measure(model, torch.rand(4, 1, H, W), labels, ["a", "b"], angles(2), channel_axes={"mul": 7})
