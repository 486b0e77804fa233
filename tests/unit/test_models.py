"""The networks are those of design.md's table: layer by layer, map by map; their weights survive the disk."""

import json

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from rotvar import catalogue, models
from rotvar.errors import InputError
from rotvar.system import checksum

CASES = {
    "simple_conv": {"width": 4, "hidden": 6},
    "all_convolutional": {"width": 4},
    "vgg16": {"width": 2, "hidden": 6},
    "vgg_like": {"width": 2, "hidden": 6},
    "resnet": {"width": 4},
}
SHORT = {
    nn.Conv2d: "conv", nn.BatchNorm2d: "bn", nn.BatchNorm1d: "bn", nn.ReLU: "relu", nn.ELU: "elu", nn.MaxPool2d: "pool",
    nn.AdaptiveAvgPool2d: "average", nn.Linear: "fc", nn.LogSoftmax: "log_softmax", nn.Flatten: "flatten",
}  # fmt: skip


def small(name: str, channels: int = 1, image_size: int = 28, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return models.build(name, channels, image_size, 10, **CASES[name]).eval()


def unsettle(model: nn.Module) -> None:
    """Give batch normalization something to do."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)


@torch.no_grad()
def outline(model: nn.Module, channels: int, image_size: int) -> list[str]:
    """Each operation of a sequential network in a word, with the shape of its output: "conv 4x28x28"."""
    x = torch.rand(2, channels, image_size, image_size)
    lines = []
    for module in model.children():
        x = module(x)
        lines.append(f"{SHORT[type(module)]} {'x'.join(map(str, x.shape[1:]))}")
    return lines


@pytest.mark.parametrize(("channels", "image_size"), [(1, 28), (3, 32)])
@pytest.mark.parametrize("name", CASES)
def test_the_output_is_log_probabilities(name, channels, image_size):
    output = small(name, channels, image_size)(torch.rand(3, channels, image_size, image_size))
    assert output.shape == (3, 10)
    torch.testing.assert_close(output.exp().sum(1), torch.ones(3))


def test_the_catalogue_lists_the_models_that_can_be_built():
    assert set(catalogue.MODELS) == set(models.BUILDERS) == set(CASES)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_simple_conv(channels, size):
    half, quarter = size // 2, size // 4
    assert outline(small("simple_conv", channels, size), channels, size) == [
        *(f"{operation} 4x{size}x{size}" for operation in ("conv", "relu", "conv", "relu")),
        f"pool 4x{half}x{half}",
        *(f"{operation} 8x{half}x{half}" for operation in ("conv", "relu", "conv", "relu")),
        f"pool 8x{quarter}x{quarter}",
        *(f"{operation} 16x{quarter}x{quarter}" for operation in ("conv", "relu")),
        f"flatten {16 * quarter**2}",
        *("fc 6", "relu 6", "fc 10", "log_softmax 10"),
    ]


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_all_convolutional(channels, size):
    model = small("all_convolutional", channels, size)
    maps = [(4, size), (4, size), (4, size // 2), *3 * [(8, size // 2)], *2 * [(8, size // 4)]]
    maps[5] = (8, size // 4)  # the sixth has stride 2
    assert outline(model, channels, size) == [
        *(f"{operation} {f}x{s}x{s}" for f, s in maps for operation in ("conv", "bn", "relu")),
        *(f"{operation} 10x{size // 4}x{size // 4}" for operation in ("conv", "relu")),
        *("average 10x1x1", "flatten 10", "log_softmax 10"),
    ]
    kernels = [module.kernel_size[0] for module in model if isinstance(module, nn.Conv2d)]
    assert kernels == [3, 3, 3, 3, 3, 3, 3, 1, 1]


@pytest.mark.parametrize(("channels", "size", "pooled"), [(1, 28, [14, 7, 3, 1]), (3, 32, [16, 8, 4, 2, 1])])
def test_vgg16_pools_as_long_as_the_map_is_larger_than_one_pixel(channels, size, pooled):
    expected = []
    groups = [(2, 2), (2, 4), (3, 8), (3, 16), (3, 16)]
    for (convolutions, f), after in zip(groups, [*pooled, None][:5], strict=True):
        expected += convolutions * [f"{operation} {f}x{size}x{size}" for operation in ("conv", "bn", "relu")]
        if after:
            size = after
            expected.append(f"pool {f}x{size}x{size}")
    expected += ["flatten 16", "fc 6", "relu 6", "fc 10", "log_softmax 10"]
    image_size = 28 if channels == 1 else 32
    assert outline(small("vgg16", channels, image_size), channels, image_size) == expected
    assert sum(line.startswith(("conv", "fc")) for line in expected) == 15  # of 16: one hidden fc layer, not two


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_vgg_like(channels, size):
    expected = []
    for group, f in enumerate([2, 4, 8, 16]):
        now, after = size // 2**group, size // 2 ** (group + 1)
        expected += 2 * [f"{operation} {f}x{now}x{now}" for operation in ("conv", "elu", "bn")]
        expected.append(f"pool {f}x{after}x{after}")
    expected += [f"flatten {16 * (size // 16) ** 2}", "fc 6", "bn 6", "relu 6", "fc 10", "log_softmax 10"]
    assert outline(small("vgg_like", channels, size), channels, size) == expected


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_the_depth_of_a_resnet_counts_its_convolutions_and_fc_on_the_way_through(depth):
    with torch.device("meta"):
        model = models.build("resnet", 3, 32, 10, width=4, depth=depth)
    named = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len([name for name in named if "downsample" not in name]) == depth


@pytest.mark.parametrize(("depth", "widening"), [(18, 1), (50, 4)])
@pytest.mark.parametrize(("size", "sizes"), [(28, [28, 14, 7, 4]), (32, [32, 16, 8, 4])])
def test_the_stages_of_a_resnet_halve_the_map_and_double_the_channels(depth, widening, size, sizes):
    model = models.build("resnet", 1, size, 10, width=2, depth=depth).eval()
    x = model.conv1(torch.rand(1, 1, size, size))
    assert x.shape == (1, 2, size, size) and model.conv1.kernel_size == (3, 3)  # a stem that keeps the size
    layers = (model.layer1, model.layer2, model.layer3, model.layer4)
    for stage, (layer, after) in enumerate(zip(layers, sizes, strict=True)):
        x = layer(x)
        assert x.shape == (1, widening * 2 * 2**stage, after, after)


@pytest.mark.parametrize("depth", [18, 50])
@torch.no_grad()
def test_a_resnet_of_width_64_computes_what_that_of_torchvision_computes(depth):
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, f"resnet{depth}")(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    unsettle(theirs)
    ours = models.build("resnet", 3, 16, 10, width=64, depth=depth)
    ours.load_state_dict(theirs.state_dict())  # strict: every name and shape
    images = torch.randn(2, 3, 16, 16)
    expected = theirs.eval()(images).log_softmax(1)
    assert expected.std() > 0.1
    torch.testing.assert_close(ours.eval()(images), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("alexnet", {}, r"^unknown model 'alexnet': choose one of simple_conv, .*resnet"),
        ("simple_conv", {"depth": 18}, r"^model simple_conv has no option 'depth': it takes hidden, width$"),
        ("simple_conv", {"channels_last": 1}, r"^model simple_conv has no option 'channels_last'"),
        ("vgg16", {"width": -4}, r"^model vgg16: width is -4, but must be a positive integer$"),
        ("vgg16", {"hidden": 0}, r"^model vgg16: hidden is 0, but must be a positive integer$"),
        ("vgg16", {"width": 1.5}, r"^model vgg16: width is 1\.5, but must be a positive integer$"),
        ("resnet", {"depth": 20}, r"^model resnet: depth is 20, but must be one of 18, 34, 50, 101, 152$"),
    ],
)
def test_a_network_that_cannot_be_built_is_one_sentence(name, options, sentence):
    with pytest.raises(InputError, match=sentence):
        models.build(name, 1, 28, 10, **options)


@pytest.mark.parametrize("name", CASES)
def test_the_smallest_images(name):
    smallest = catalogue.SMALLEST.get(name, 1)
    images = torch.rand(2, 1, smallest, smallest)
    assert small(name, image_size=smallest)(images).isfinite().all()
    if smallest > 1:
        sentence = f"^model {name}: image_size is {smallest - 1}, but must be at least {smallest}$"
        with pytest.raises(InputError, match=sentence):
            models.build(name, 1, smallest - 1, 10, **CASES[name])
        with pytest.raises(RuntimeError, match="Output size is too small"):
            small(name, image_size=smallest)(images[..., 1:, 1:])


# on disk


DAMAGED = r"weights\.safetensors does not hold the weights of a network \(.+\): make it again with "


def description(model: str, **changed: object) -> dict:
    return {"name": model, "channels": 1, "image_size": 28, "classes": 10, "options": CASES[model]} | changed


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_what_is_saved_is_loaded(name, tmp_path):
    model = small(name)
    unsettle(model)
    models.save(model, tmp_path / "weights.safetensors", description(name, seed=3))
    loaded, described = models.load(tmp_path / "weights.safetensors")
    assert described == description(name, seed=3)
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in loaded.state_dict().items())
    assert not loaded.training
    images = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(loaded(images), model(images))


def test_tied_weights_are_saved_under_each_name(tmp_path):
    model = models.build("simple_conv", 1, 8, 2, width=2, hidden=2)
    model.fc2.weight = model.fc1.weight = nn.Parameter(torch.ones(2, model.fc1.in_features))
    models.save(model, tmp_path / "weights.safetensors", description("simple_conv"))
    saved = load_file(tmp_path / "weights.safetensors")
    assert torch.equal(saved["fc1.weight"], saved["fc2.weight"])


def test_the_weights_are_safetensors_that_need_nothing_of_ours(tmp_path):
    model = small("simple_conv").to(memory_format=torch.channels_last)
    models.save(model, tmp_path / "weights.safetensors", description("simple_conv"))
    torch.testing.assert_close(load_file(tmp_path / "weights.safetensors"), dict(model.state_dict()))


def test_the_same_weights_are_the_same_bytes(tmp_path):
    for name in ("1", "2"):
        models.save(small("vgg_like"), tmp_path / name, description("vgg_like", seed=0, epochs=1))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("how", ["missing", "empty", "cut off", "not safetensors", "no description", "no options"])
def test_damaged_weights_are_named(how, tmp_path):
    path = tmp_path / "weights.safetensors"
    models.save(small("simple_conv"), path, description("simple_conv"))
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "no description":
        save_file(load_file(path), path, metadata={"checksum": checksum.BLANK})
        checksum.stamp(path)
    elif how == "no options":
        described = json.dumps({"name": "simple_conv", "checksum": checksum.BLANK})
        save_file(load_file(path), path, metadata={"description": described})
        checksum.stamp(path)
    else:
        path.write_bytes({"empty": b"", "cut off": content[:-1], "not safetensors": b"\x89PNG" * 1000}[how])
    with pytest.raises(
        InputError, match=r"weights\.safetensors does not hold the weights of a network \(.+\): make it again"
    ) as error:
        models.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "all_convolutional", "options": {"width": 4}},
        {"options": {"width": 5, "hidden": 6}},
        {"classes": 11},
        {"image_size": 32},
        {"name": "alexnet"},
        {"options": {"width": 60_000, "hidden": 60_000}},  # 3 TB
    ],
    ids=str,
)
def test_weights_of_another_architecture_are_refused(changed, tmp_path):
    path = tmp_path / "weights.safetensors"
    models.save(small("simple_conv"), path, description("simple_conv", **changed))
    with pytest.raises(
        InputError, match=r"weights\.safetensors does not hold the weights of a network \(.+\): make it again"
    ) as error:
        models.load(path)
    assert "\n" not in str(error.value)


def test_the_weight_that_does_not_fit_is_named(tmp_path):
    path = tmp_path / "weights.safetensors"
    models.save(small("simple_conv"), path, description("simple_conv", options={"width": 5, "hidden": 6}))
    with pytest.raises(InputError, match=r"\(conv1\.weight is \[4, 1, 3, 3\], but must be \[5, 1, 3, 3\]\)"):
        models.load(path)
    described = {"description": json.dumps(description("simple_conv", checksum=checksum.BLANK))}
    save_file(load_file(path) | {"extra": torch.zeros(2)}, path, metadata=described)
    checksum.stamp(path)
    with pytest.raises(InputError, match=r"\(extra is \[2\], but must be left out\)"):
        models.load(path)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("name", "vgg16", "simple_conv"),
        ("options", {"width": 8, "hidden": 6}, {"width": 4, "hidden": 6}),
        ("channels", 3, 1),
        ("classes", 100, 10),
        ("image_size", 32, 28),
        ("seed", 1, 0),
    ],
)
def test_another_network_than_was_asked_for_is_refused(key, value, found, tmp_path):
    """Such as weights that somebody copied from another study."""
    path = tmp_path / "weights.safetensors"
    models.save(small("simple_conv"), path, description("simple_conv", seed=0))
    models.load(path, **{key: found})
    with pytest.raises(InputError) as error:
        models.load(path, **{key: value})
    sentence = f"{path} holds a network with {key} {found}, but {value} is asked for"
    assert str(error.value) == f"{sentence}: delete it, and the workflow trains that one"
