"""Networks of one's own: what their factories are given, and what is said where they give no network."""

import random
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from rotvar import factory, generators, models, training, variance
from rotvar.data.packed import Dataset
from rotvar.errors import InputError
from rotvar.factory import FactoryError
from rotvar.questions import feature_maps
from rotvar.rotation import angles
from rotvar.study import demands, estimate

SHAPE = {"channels": 3, "image_size": 8, "classes": 2}

MODULE = '''
import random
import sys

import torch
from torch import nn

CALLS = []


def small(channels, classes, width=2):
    CALLS.append((channels, classes, width))
    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, classes))


def any_options(**options):
    CALLS.append(options)
    return small(3, options["num_classes"])


class Looks(nn.Module):
    """Its path depends on what it sees, so it has no shape without values."""

    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(192, num_classes)
        self.register_buffer("sign", torch.tensor(-1.0), persistent=False)

    def forward(self, images):
        x = images.flatten(1)
        return self.fc(x if x.sum().item() > 0 else self.sign * x)


class Tied(nn.Module):
    """Its two layers share one matrix."""

    def __init__(self, classes):
        super().__init__()
        self.there, self.back = nn.Linear(192, 192), nn.Linear(192, 192)
        self.back.weight = self.there.weight
        self.fc = nn.Linear(192, classes)

    def forward(self, images):
        return self.fc(self.back(self.there(images.flatten(1)).relu()))


def fails(classes):
    raise RuntimeError("no such thing\\nand more")


def exits(classes):
    sys.exit("no licence")


def no_network(classes):
    return "a string"


def no_weights(classes):
    return nn.Flatten()


def other_images(classes):
    return small(1, classes)


class ExitsLater(nn.Linear):
    def __init__(self, classes):
        super().__init__(192, classes)

    def forward(self, images):
        sys.exit(3)


def few_scores(classes):
    return small(3, 1)


def maps(classes):
    return nn.Conv2d(3, classes, 3)


class Auxiliary(nn.Module):
    """As GoogLeNet does, it gives more in training than the scores."""

    def __init__(self, classes, aux_logits=True):
        super().__init__()
        self.aux_logits = aux_logits
        self.fc = nn.Linear(192, classes)

    def forward(self, images):
        scores = self.fc(images.flatten(1))
        return (scores, scores) if self.training and self.aux_logits else scores


class Draws(nn.Module):
    """Its training changes running statistics and draws random numbers."""

    def __init__(self, classes):
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm2d(3), nn.Dropout()
        self.fc = nn.Linear(192, classes)
        self.doubled = 2 * self.fc.weight  # of which copy.deepcopy makes no copy

    def forward(self, images):
        return self.fc(self.dropout(self.norm(images + random.random() if self.training else images)).flatten(1))


NUMBER = 3
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder that the program runs in, with a module of factories."""
    (tmp_path / "networks_of_these_tests.py").write_text(MODULE)
    (tmp_path / "exits_at_import.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("networks_of_these_tests", None)


def test_a_factory_is_given_what_it_takes_of_the_shape(here):
    network = factory.build("networks_of_these_tests:small", **SHAPE, width=4)
    assert sys.modules["networks_of_these_tests"].CALLS == [(3, 2, 4)]
    assert network(torch.zeros(5, 3, 8, 8)).shape == (5, 2)
    assert network.training


def test_a_factory_that_takes_anything_is_given_the_number_of_classes(here):
    factory.build("networks_of_these_tests:any_options", **SHAPE)
    assert sys.modules["networks_of_these_tests"].CALLS[0] == {"num_classes": 2}
    factory.build("networks_of_these_tests:any_options", **SHAPE, num_classes=9)
    assert sys.modules["networks_of_these_tests"].CALLS[2] == {"num_classes": 9}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_torchvision_has_factories(name):
    network = factory.build(f"torchvision.models:{name}", channels=3, image_size=32, classes=7)
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere:small", "nowhere:small cannot be imported .No module named 'nowhere'.: install its package"),
        ("networks_of_these_tests:smal", "has no attribute 'smal'"),
        ("networks_of_these_tests:NUMBER", "is a int: a function or a class that gives a network is needed"),
        (
            "networks_of_these_tests:fails",
            r"networks_of_these_tests:fails.classes=2. fails .no such thing.: correct the factory or its options",
        ),
        (
            "networks_of_these_tests:exits",
            r"exits.classes=2. fails .SystemExit.'no licence'..: correct the factory or its options",
        ),
        (
            "networks_of_these_tests:ExitsLater",
            r"networks_of_these_tests:ExitsLater does not take images of 2 x 3 x 8 x 8 .SystemExit.3..$",
        ),
        ("exits_at_import:small", r"exits_at_import:small cannot be imported .SystemExit...: install its package"),
        ("networks_of_these_tests:no_network", "gives a str: a torch.nn.Module with weights is needed"),
        ("networks_of_these_tests:no_weights", "gives a Flatten: a torch.nn.Module with weights is needed"),
        ("networks_of_these_tests:other_images", "does not take images of 2 x 3 x 8 x 8 "),
        (
            "networks_of_these_tests:few_scores",
            "makes 2 x 1 of images of 2 x 3 x 8 x 8: one score for each of 2 classes is needed",
        ),
        ("networks_of_these_tests:maps", "makes 2 x 2 x 6 x 6 of images"),
        (
            "networks_of_these_tests:Auxiliary",
            "makes tuple of images of 2 x 3 x 8 x 8 in training: one score for each of 2 classes is needed, 2 x 2: "
            "where it has auxiliary outputs, leave them out by its options, such as aux_logits: false$",
        ),
    ],
)
def test_what_gives_no_network_is_one_sentence(here, name, says):
    with pytest.raises(FactoryError, match=says) as raised:
        factory.build(name, **SHAPE)
    assert "\n" not in str(raised.value)


def test_auxiliary_outputs_can_be_left_out(here):
    assert factory.build("networks_of_these_tests:Auxiliary", **SHAPE, aux_logits=False).training


def test_to_look_at_a_network_changes_neither_it_nor_what_is_drawn_next(here):
    generators.seed(0)
    network = factory.build("networks_of_these_tests:Draws", **SHAPE)
    drawn = torch.rand(1), random.random()
    generators.seed(0)
    again = sys.modules["networks_of_these_tests"].Draws(2)
    assert drawn == (torch.rand(1), random.random())
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in network.state_dict().items())
    assert all(module.training for module in network.modules())


def test_a_seed_gives_a_network_whatever_it_draws_from(here):
    (here / "by_numpy.py").write_text(
        "import random\nimport numpy as np\nimport torch\nfrom torch import nn\n\n\n"
        "def make(channels, image_size, classes):\n"
        "    layer = nn.Linear(channels * image_size**2, classes)\n"
        "    layer.bias.data = torch.tensor(np.random.rand(classes) + random.random()).float()\n"
        "    return nn.Sequential(nn.Flatten(), layer)\n"
    )
    biases = [models.begin("mine", SHAPE, {"factory": "by_numpy:make"}, seed=seed)[1].bias for seed in (3, 3, 4)]
    assert torch.equal(biases[0], biases[1]) and not torch.equal(biases[0], biases[2])


def test_options_may_be_called_as_what_else_there_is_to_say_of_a_network(here):
    """torchvision's own registry takes the `name` of a network."""
    shape, options = SHAPE | {"image_size": 32}, {"factory": "torchvision.models:get_model", "name": "resnet18"}
    network = models.begin("mine", shape, options, seed=0)
    models.save(network, here / "weights", {"name": "mine", **shape, "options": options})
    again, _ = models.load(here / "weights", name="mine", options=options)
    image = torch.zeros(1, 3, 32, 32)
    assert torch.equal(again(image), network.eval()(image))
    assert models.sketch("mine", **shape, **options)[0](image).shape == (1, 2)
    assert estimate.flops("mine", *shape.values(), **options) > 0
    assert demands.layers("mine", **options, model="resnet18") == demands.layers("mine")


def test_an_option_that_the_factory_does_not_take_is_a_sentence(here):
    with pytest.raises(FactoryError, match="depth=3. fails .*unexpected keyword argument 'depth'"):
        factory.build("networks_of_these_tests:small", **SHAPE, depth=3)


def test_a_file_there_does_not_take_the_place_of_an_installed_module(here):
    (here / "torch.py").write_text("raise SystemExit")
    factory.build("networks_of_these_tests:small", **SHAPE)
    assert sys.path[-1] == str(here)


@pytest.mark.parametrize("name", ["small", "Looks"])
def test_a_saved_network_comes_back_with_all_it_computes(here, name):
    options = {"factory": f"networks_of_these_tests:{name}"}
    network = models.build("mine", **SHAPE, **options).eval().to(memory_format=torch.channels_last)  # as it is read
    models.save(network, here / "weights.safetensors", {"name": "mine", **SHAPE, "options": options})
    again, description = models.load(here / "weights.safetensors", name="mine", options=options)
    images = -torch.rand(2, 3, 8, 8)
    assert torch.equal(again(images), network(images))
    assert description["options"] == options


def test_tied_weights_are_tied_when_they_are_loaded(here):
    options = {"factory": "networks_of_these_tests:Tied"}
    network = models.build("mine", **SHAPE, **options)
    models.save(network, here / "weights", {"name": "mine", **SHAPE, "options": options})
    again, _ = models.load(here / "weights")
    assert again.there.weight is again.back.weight
    assert torch.equal(again.there.weight, network.there.weight)


def test_a_factory_that_is_gone_is_not_the_fault_of_the_weights(here):
    options = {"factory": "networks_of_these_tests:small"}
    models.save(models.build("mine", **SHAPE, **options), here / "w", {"name": "mine", **SHAPE, "options": options})
    del sys.modules["networks_of_these_tests"]
    (here / "networks_of_these_tests.py").write_text("")
    with pytest.raises(FactoryError, match="has no attribute 'small'"):
        models.load(here / "w")


def test_logits_are_trained_and_measured_like_log_probabilities(here):
    torch.manual_seed(0)
    network = factory.build("networks_of_these_tests:small", **SHAPE)
    labels = torch.arange(40) % 2
    images = (255 * torch.rand(40, 3, 8, 8) / (1 + labels.view(-1, 1, 1, 1))).to(torch.uint8)
    data = Dataset(images, labels, ("bright", "dark"))
    history = training.train(network, data, data, epochs=5, batch_size=8, learning_rate=0.02, precision="float32")
    assert history["accuracy"].iloc[-1] > 0.9
    assert history["loss"].min() >= 0 and history["loss"].iloc[0] > history["loss"].iloc[-1]
    table = variance.measure(network, images, labels, data.classes, angles(4))
    assert table["layer"].unique().tolist() == ["0", "1", "3"]


def test_what_is_planned_with_is_known_of_every_network(here):
    for name in ("small", "Looks"):
        assert estimate.flops("mine", 3, 8, 2, factory=f"networks_of_these_tests:{name}") > 0
    small, looks = (
        models.sketch("mine", 3, 8, 2, factory=f"networks_of_these_tests:{name}") for name in ("small", "Looks")
    )
    assert feature_maps.unknown_layers(*small, ["0"]) == feature_maps.unknown_layers(*small, []) == []
    (sentence,) = feature_maps.unknown_layers(*small, ["conv*"])
    assert "no layer with maps matches 'conv*'" in sentence
    assert feature_maps.unknown_layers(*looks, []) == [
        "the network has no layer with maps: set figures.feature_maps.images to []"
    ]


def test_a_training_begins_with_the_weights_of_a_file(here):
    one, other = (factory.build("networks_of_these_tests:small", **SHAPE) for _ in range(2))
    save_model(one, "weights.safetensors")
    models.start_from(other, "weights.safetensors")
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))


def test_a_training_begins_with_tied_weights_that_stand_in_a_file_once(here):
    one, other = (factory.build("networks_of_these_tests:Tied", **SHAPE) for _ in range(2))
    save_model(one, "weights.safetensors")
    assert len(load_file("weights.safetensors")) == len(one.state_dict()) - 1
    models.start_from(other, "weights.safetensors")
    assert other.there.weight is other.back.weight
    assert all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))
    save_file({"back.bias": one.back.bias.data, "fc.bias": one.fc.bias.data}, "weights.safetensors")
    with pytest.raises(InputError, match="there.weight is missing, but must be .192, 192."):
        models.start_from(other, "weights.safetensors")


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"0.weight": torch.zeros(2, 3, 3, 3)}, "0.bias is missing, but must be .2."),
        (
            dict(nn.Sequential(nn.Conv2d(1, 2, 3)).state_dict()),
            r"0.weight is .2, 1, 3, 3., but must be .2, 3, 3, 3.",
        ),
    ],
)
def test_weights_of_another_network_are_refused(here, tensors, says):
    save_file(tensors, here / "other")
    with pytest.raises(InputError, match=says):
        models.start_from(factory.build("networks_of_these_tests:small", **SHAPE), here / "other")


def test_weights_that_torch_saved_are_refused_with_what_saves_safetensors(here):
    model = factory.build("networks_of_these_tests:small", **SHAPE)
    torch.save(model.state_dict(), "weights.pth")
    with pytest.raises(InputError, match=r"^weights.pth is no safetensors file .*: write one with .*save_model$"):
        models.start_from(model, "weights.pth")
