"""Any network: torchvision's classifiers, with random weights and small images."""

import pytest
import torch
import torchvision
from torch import nn

from rotvar.activations import Recorder
from rotvar.errors import InputError
from rotvar.rotation import angles
from rotvar.variance import measure

SIZES = {"vit_b_16": 224}  # a ViT's position embedding is for one size
NETWORKS = [
    "resnet18", "resnet50", "vgg16_bn", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny",
    "vit_b_16", "swin_t", "googlenet",
]  # fmt: skip


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    return getattr(torchvision.models, name)(weights=None, **options).eval()


def shown(recorder: Recorder, batch: torch.Tensor) -> tuple[list[tuple[str, torch.Tensor]], torch.Tensor]:
    layers: list[tuple[str, torch.Tensor]] = []
    output = recorder.run(batch, lambda layer, values: layers.append((layer.name, values.clone())))
    return layers, output


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_every_module_is_shown_once_a_call_in_execution_order_as_it_came_out(name):
    """Hooks on the untouched network are the witness: what they see is shown, the same, in the same order."""
    model, size = network(name), SIZES.get(name, 64)
    batch = torch.rand(2, 3, size, size)
    recorder = Recorder(model)
    assert recorder.graph is not None
    traced, output = shown(recorder, batch)
    names = [layer for layer, _ in traced]
    assert len(set(names)) == len(names)
    assert torch.equal(output, model(batch))

    recorder.graph = None
    witnessed, _ = shown(recorder, batch)
    by_name = dict(traced)
    # A module that holds others by itself (attention holds its projection) runs them out of the trace's sight
    seen = [(layer, values) for layer, values in witnessed if layer in by_name]
    assert [layer for layer, _ in seen] == [layer for layer in names if layer in dict(seen)]
    assert len(seen) >= 0.9 * len(witnessed)
    for layer, values in seen:  # sorted: a hook cannot always tell which axis the channels are on
        assert torch.equal(values.flatten().sort().values, by_name[layer].flatten().sort().values), layer


CHANNELS = {
    "convnext_tiny": {
        "features.0.0": 96, "features.1.0.block.2": 96, "features.1.0.block.3": 384, "features.1.0.add": 96,
        "features.7.2.block.5": 768, "avgpool": 768,
    },
    "swin_t": {
        "features.0.0": 96, "features.0.2": 96, "features.1.0.attn.shifted_window_attention": 96,
        "features.1.0.mlp.0": 384, "features.1.0.add_1": 96, "features.2.reduction": 192, "norm": 768,
    },
    "vit_b_16": {
        "conv_proj": 768, "cat": 768, "encoder.add": 768, "encoder.layers.encoder_layer_0.self_attention": 768,
        "encoder.layers.encoder_layer_0.mlp.0": 3072, "encoder.layers.encoder_layer_11.add_1": 768,
    },
    "mobilenet_v3_small": {"features.0.0": 16, "features.1.block.1.fc1": 8, "features.12.2": 576},
    "densenet121": {"features.denseblock1.denselayer2.cat": 96, "features.transition1.pool": 128},
}  # fmt: skip


@pytest.mark.parametrize("name", CHANNELS)
@torch.no_grad()
def test_channels_are_found_wherever_the_network_keeps_them(name):
    size = SIZES.get(name, 64)
    traced = dict(shown(Recorder(network(name)), torch.rand(2, 3, size, size))[0])
    assert {layer: traced[layer].shape[1] for layer in CHANNELS[name]} == CHANNELS[name]


def small_sweep(**options):
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 1, 1])
    return measure(network("resnet18"), torch.rand(4, 3, 32, 32), labels, ["a", "b"], angles(2), **options)


def test_layers_are_chosen_by_pattern():
    table = small_sweep(layers=["layer1.0.*", "fc"])
    assert list(table.layer.unique()) == [
        "layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1.0.conv2", "layer1.0.bn2", "layer1.0.add",
        "layer1.0.relu_1", "fc",
    ]  # fmt: skip
    places, every = (one.drop_duplicates("layer_index").layer_index for one in (table, small_sweep()))
    assert places.tolist() == [*range(4, 11), len(every) - 1] and every.tolist() == [*range(len(every))]


def test_a_pattern_that_no_layer_matches_is_one_sentence():
    with pytest.raises(InputError, match=r"no layer matches 'layer9\.\*'"):
        small_sweep(layers=["fc", "layer9.*"])


def test_the_caller_can_say_where_the_channels_are():
    """With the rows taken for channels, conv1's map of 64 x 16 x 16 has 16 units."""
    table = small_sweep(layers=["conv1", "fc"], channel_axes={"conv1": 2})
    assert table[table.layer == "conv1"].unit.nunique() == 16
