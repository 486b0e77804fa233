"""Training learns, sees every image once an epoch, each by its own angle, and says truthfully what it did."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from rotvar import evaluation, models, training
from rotvar.data.packed import Dataset, normalization
from rotvar.errors import InputError
from rotvar.training import trainer
from rotvar.training.trainer import one_cycle
from rotvar.transformations import ROTATION


def bright_and_dark(n: int = 32, seed: int = 0) -> Dataset:
    """Two classes that no rotation mixes up: noise below and above half the brightness, 8 x 8."""
    labels = torch.arange(n) % 2
    noise = torch.randint(0, 100, (n, 1, 8, 8), generator=torch.Generator().manual_seed(seed))
    return Dataset((noise + 150 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels, ("dark", "bright"))


def network(name: str = "resnet") -> nn.Module:
    torch.manual_seed(0)
    return models.build(name, 1, 8, 2, width=4)


def train(model: nn.Module, data: Dataset, test: Dataset | None = None, **options: object) -> pd.DataFrame:
    options = {"epochs": 2, "batch_size": 8, "precision": "float32"} | options
    return training.train(model, data, data if test is None else test, **options)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


class Seen:
    """What the network was shown in training, batch by batch: the images' first pixels, and the angles."""

    def __init__(self, module: object, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pixels: list[list[int]] = []
        self.degrees: list[torch.Tensor | None] = []
        present = module.present

        def spy(images, degrees, mean, std, transform):
            self.pixels.append(images[:, 0, 0, 0].tolist())
            self.degrees.append(degrees)
            return present(images, degrees, mean, std, transform)

        monkeypatch.setattr(module, "present", spy)


def numbered(n: int) -> Dataset:
    """Images of which the first pixel says which one it is."""
    data = bright_and_dark(n)
    data.images[:, 0, 0, 0] = torch.arange(n)
    return data


@pytest.mark.parametrize("rotation", [0, 180])
@pytest.mark.parametrize("name", ["simple_conv", "resnet"])
def test_what_can_be_told_apart_is_learned_and_generalizes(name, rotation):
    data, test = bright_and_dark(128), bright_and_dark(64, seed=1)
    history = train(
        network(name), data, test, epochs=8, batch_size=16, learning_rate=0.01, augmentation={"rotation": rotation}
    )
    last = history[history["epoch"] == 8].set_index("split")
    assert last.loc["test", "accuracy"] == 1
    assert last.loc["train", "accuracy"] > 0.95  # counted while it learned
    assert (last["loss"] < 0.5 * math.log(2)).all()


def test_the_history_has_two_rows_an_epoch():
    history = train(network(), bright_and_dark(), epochs=3)
    assert list(history.columns) == ["epoch", "split", "loss", "accuracy", "learning_rate", "seconds"]
    assert history["epoch"].tolist() == [1, 1, 2, 2, 3, 3]
    assert history["split"].tolist() == ["train", "test"] * 3
    assert (history["seconds"] > 0).all()


# reproducibility


def test_the_same_seed_gives_the_same_bits():
    runs = []
    for _ in range(2):
        model = network()
        history = train(model, bright_and_dark(), augmentation={"rotation": 180}, seed=3)
        runs.append((weights(model), history.drop(columns="seconds")))
    assert equal(runs[0][0], runs[1][0])
    pd.testing.assert_frame_equal(runs[0][1], runs[1][1], check_exact=True)


@pytest.mark.parametrize("rotation", [0, 180])
def test_another_seed_gives_another_network(rotation):
    trained = []
    for seed in (0, 1):
        model = network()
        train(model, bright_and_dark(), augmentation={"rotation": rotation}, seed=seed)
        trained.append(weights(model))
    assert not torch.equal(trained[0]["conv1.weight"], trained[1]["conv1.weight"])


def test_the_state_of_the_global_generator_does_not_matter():
    trained = []
    for seed in (0, 1):
        model = network()
        torch.manual_seed(seed)
        train(model, bright_and_dark(), augmentation={"rotation": 180})
        trained.append(weights(model))
    assert equal(*trained)


# batches


@pytest.mark.parametrize(
    ("n", "batch_size", "sizes"),
    [(16, 8, [8, 8]), (17, 8, [6, 6, 5]), (9, 8, [5, 4]), (5, 8, [5]), (22, 8, [8, 7, 7]), (7, 2, [3, 2, 2])],
)
def test_batches_are_as_equal_as_can_be(n, batch_size, sizes, monkeypatch):
    seen = Seen(trainer, monkeypatch)
    train(network(), numbered(n), batch_size=batch_size, epochs=1)
    assert [len(batch) for batch in seen.pixels] == sizes


def test_every_epoch_shows_every_image_once_in_a_new_order(monkeypatch):
    seen = Seen(trainer, monkeypatch)
    train(network(), numbered(21), epochs=3)
    shown = [pixel for batch in seen.pixels for pixel in batch]
    epochs = [shown[:21], shown[21:42], shown[42:]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(21))] * 3
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_batch_normalization_moves_in_every_epoch_and_ends_where_its_last_batch_left_it(monkeypatch):
    """In the published code its statistics stand still from the second epoch on."""
    model, after_epoch = network(), []
    classify = training.classify

    def spy(*given):
        after_epoch.append(weights(model))
        return classify(*given)

    monkeypatch.setattr(training, "classify", spy)
    train(model, bright_and_dark(), epochs=3)
    assert [int(state["bn1.num_batches_tracked"]) for state in after_epoch] == [4, 8, 12]
    means = [state["bn1.running_mean"] for state in after_epoch]
    assert not torch.equal(means[0], means[1]) and not torch.equal(means[1], means[2])
    assert equal(after_epoch[-1], model.state_dict())  # the test set moves nothing


# rotation


def test_each_image_is_turned_by_a_new_angle_in_every_epoch(monkeypatch):
    seen = Seen(trainer, monkeypatch)
    train(network(), bright_and_dark(200), batch_size=50, epochs=3, augmentation={"rotation": 180})
    degrees = torch.cat(seen.degrees)
    assert len(degrees) == 600 and len(degrees.unique()) == 600
    assert -180 <= degrees.min() < -170 and 170 < degrees.max() < 180


def test_the_range_of_rotation_is_a_choice(monkeypatch):
    seen = Seen(trainer, monkeypatch)
    train(network(), bright_and_dark(200), batch_size=50, epochs=1, augmentation={"rotation": 45})
    degrees = torch.cat(seen.degrees)
    assert -45 <= degrees.min() < -42 and 42 < degrees.max() < 45


def test_without_rotation_no_image_is_turned(monkeypatch):
    seen, tested = Seen(trainer, monkeypatch), Seen(evaluation, monkeypatch)
    train(network(), bright_and_dark())
    assert seen.degrees == [None] * 8 and tested.degrees == [None] * 2


def test_the_test_set_is_turned_by_the_same_angles_every_epoch(monkeypatch):
    tested = Seen(evaluation, monkeypatch)
    train(network(), bright_and_dark(), epochs=3, augmentation={"rotation": 180}, seed=5)
    expected = ROTATION.draw(32, torch.Generator().manual_seed(5))
    assert len(tested.degrees) == 3
    assert all(torch.equal(degrees, expected) for degrees in tested.degrees)


def test_both_splits_are_normalized_with_the_training_set(monkeypatch):
    given = []
    for module in (trainer, evaluation):
        present = module.present

        def spy(images, degrees, mean, std, transform, present=present):
            given.append((mean.item(), std.item()))
            return present(images, degrees, mean, std, transform)

        monkeypatch.setattr(module, "present", spy)
    data = bright_and_dark()
    dark = Dataset(data.images[::2], data.labels[::2], data.classes)
    train(network(), data, test=dark, epochs=1)
    (mean,), (std,) = normalization(data.images)
    assert len(given) == 5
    assert given == [(pytest.approx(mean), pytest.approx(std))] * 5


# what the history says


def test_loss_and_accuracy_are_means_over_all_images():
    """With a learning rate of 0 the network stays as it is: the history must tell what classifying it tells."""
    model, data, test = network("simple_conv"), bright_and_dark(21), bright_and_dark(13, seed=1)
    history = train(model, data, test, learning_rate=0.0, epochs=1).set_index("split")
    mean, std = (torch.tensor(values) for values in normalization(data.images))
    for split, dataset in {"train": data, "test": test}.items():
        losses, correct = evaluation.classify(model, dataset, None, mean, std)
        assert history.loc[split, "loss"] == pytest.approx(losses.mean().item(), rel=1e-5)
        assert history.loc[split, "accuracy"] == pytest.approx(correct.float().mean().item())


def test_the_test_rows_tell_of_the_network_as_the_epoch_left_it():
    model, data = network(), bright_and_dark()
    history = train(model, data, augmentation={"rotation": 180}, seed=2)
    mean, std = (torch.tensor(values) for values in normalization(data.images))
    degrees = ROTATION.draw(len(data), torch.Generator().manual_seed(2)).flatten()
    losses, _ = evaluation.classify(model, data, degrees, mean, std)
    assert history["loss"].iloc[-1] == pytest.approx(losses.mean().item(), rel=1e-5)


def test_the_learning_rate_is_that_of_the_last_step_of_the_epoch(monkeypatch):
    used = []

    class Spy(torch.optim.AdamW):
        def step(self, *given):
            used.append(self.param_groups[0]["lr"])
            return super().step(*given)

    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    history = train(network(), bright_and_dark(), epochs=3, learning_rate=0.01, warmup=0.25)  # 3 epochs of 4 steps
    assert used == pytest.approx([0.01 * one_cycle(step / 12, 0.25) for step in range(12)])
    assert history["learning_rate"].tolist() == [used[3], used[3], used[7], used[7], used[11], used[11]]
    assert used[3] == 0.01 and used[11] > 0


@pytest.mark.parametrize(
    ("progress", "warmup", "share"),
    [
        (0, 0.2, 0.001 / 0.201),
        (0.1, 0.2, 0.101 / 0.201),
        (0.2, 0.2, 1),
        (0.6, 0.2, 0.5),
        (0.4, 0.2, (1 + math.sqrt(0.5)) / 2),
        (1, 0.2, 0),
        (0, 0, 1),
        (0.5, 0, 0.5),
        (0.5, 1, 0.501 / 1.001),
    ],
)
def test_the_learning_rate_rises_linearly_and_falls_with_a_cosine(progress, warmup, share):
    assert one_cycle(progress, warmup) == pytest.approx(share)


# memory


@pytest.mark.parametrize(
    ("name", "width", "device", "expected"),
    [
        ("resnet", 8, "cpu", torch.contiguous_format),
        ("resnet", 15, "cpu", torch.contiguous_format),
        ("resnet", 16, "cpu", torch.channels_last),
        ("resnet", 8, "cuda", torch.channels_last),
        ("all_convolutional", 2, "cpu", torch.channels_last),
    ],
)
def test_narrow_strided_1x1_convolutions_are_not_trained_channels_last_on_a_cpu(name, width, device, expected):
    """There oneDNN writes beyond its memory: a resnet of width 4 aborted with AVX2."""
    model = models.build(name, 1, 8, 2, width=width)
    assert trainer.memory_format(model, torch.device(device)) == expected


@pytest.mark.parametrize(("groups", "expected"), [(2, torch.channels_last), (4, torch.contiguous_format)])
def test_of_a_convolution_in_groups_the_inputs_of_each_count(groups, expected):
    model = nn.Conv2d(32, 32, 1, stride=2, groups=groups)
    assert trainer.memory_format(model, torch.device("cpu")) == expected


@pytest.mark.parametrize("width", [4, 16])
def test_maps_lie_in_memory_as_chosen(width):
    model = models.build("resnet", 1, 8, 2, width=width)
    layouts = set()

    def hook(module, given, output):
        if module.training:
            layouts.add(output.is_contiguous(memory_format=torch.channels_last))

    model.layer1[0].conv1.register_forward_hook(hook)
    train(model, bright_and_dark(), epochs=1)
    assert layouts == {width == 16}


@pytest.mark.parametrize(("size", "dtype"), [(4, torch.float32), (8, torch.bfloat16)])
def test_a_cpu_trains_in_float32_where_maps_are_smaller_than_a_stride(size, dtype):
    """There oneDNN leaves a part of the gradient of bfloat16 as it found the memory; of 4 pixels layer4 sees one."""
    model, dtypes = models.build("resnet", 1, size, 2, width=4), set()

    def hook(module, given, output):
        if module.training:
            dtypes.add(output.dtype)

    model.conv1.register_forward_hook(hook)
    images, labels = bright_and_dark().images[..., :size, :size], bright_and_dark().labels
    train(model, Dataset(images, labels, ("dark", "bright")), epochs=1, precision="bfloat16")
    assert dtypes == {dtype}


@pytest.mark.parametrize(
    ("name", "precision", "tried"),
    [("resnet", "auto", False), ("resnet", "bfloat16", True), ("simple_conv", "bfloat16", False)],
)
def test_images_go_through_a_network_before_its_training_only_where_that_decides(name, precision, tried, monkeypatch):
    """Where `auto` is float32 anyway, and where no convolution has a stride, there is nothing to find out."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    model, passes = network(name), []
    model.register_forward_hook(lambda module, given, output: passes.append(len(output)))
    trainer.Trainer(model, bright_and_dark(), precision=precision)
    assert bool(passes) == tried


# failure


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_the_epoch(broken):
    model = network()
    model.fc.bias.data.fill_(broken)
    sentence = r"^the loss became nan in epoch 1, step 1, at a learning rate of \S+: lower learning_rate \(0\.002\)$"
    with pytest.raises(InputError, match=sentence):
        train(model, bright_and_dark())


def test_a_training_of_no_epochs_is_refused():
    with pytest.raises(InputError, match="^epochs is 0: a training has at least 1$"):
        train(network(), bright_and_dark(), epochs=0)


def test_a_network_that_breaks_in_the_last_step_is_not_passed_on():
    """The training loss of the epoch was taken before that step; the test loss shows it."""
    with pytest.raises(InputError, match=r"^the loss became (nan|inf) in epoch 1, step 1, "):
        train(network("simple_conv"), bright_and_dark(8), epochs=1, learning_rate=1e30, warmup=0.0)
