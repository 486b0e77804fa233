"""Retraining: what is frozen stays as it is, bit for bit; what is trained moves; and what was interrupted goes on."""

import importlib
import os
import signal
from pathlib import Path
from unittest.mock import MagicMock

import pandas as pd
import pytest
import torch
from test_training import bright_and_dark, equal, network, weights
from torch import Tensor, nn

from rotvar import evaluation, models, summary, training, variance
from rotvar.catalogue import MODELS
from rotvar.data.packed import normalization, pack
from rotvar.jobs import job
from rotvar.questions import feature_maps, retraining
from rotvar.questions.retraining import Scheme, retrain, schemes
from rotvar.rotation import angles
from rotvar.study import demands
from rotvar.system.interruption import Interrupted
from rotvar.training.checkpoint import Checkpoint
from rotvar.training.trainer import Trainer

IMAGE = torch.zeros(1, 1, 8, 8)
RECIPE = {"epochs": 2, "batch_size": 8, "augmentation": {"rotation": 180}, "precision": "float32"}


class Block(nn.Module):
    """A shortcut that is executed last, though it is declared first; a normalization before everything; a module that
    is called twice; and weights that are of no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4))
        self.before = nn.BatchNorm2d(1)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.elu = nn.ELU()
        self.bn = nn.BatchNorm2d(4, affine=False)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.elu(self.conv(self.before(x))))
        y = self.again(self.again(y)) + self.shortcut(x) * self.scale
        return self.fc(self.dropout(y.mean((2, 3)))).log_softmax(1)


def block() -> nn.Module:
    torch.manual_seed(0)
    return Block()


def test_the_schemes_of_a_network_are_its_layers_in_execution_order_and_groups_of_them() -> None:
    convolutions = ("conv", "bn", "again", "shortcut.0", "shortcut.1")
    assert schemes(block(), IMAGE) == [
        Scheme("none", "group", ()),
        Scheme("conv", "convolution", ("conv", "bn"), 1),  # the normalization before it is layer 0
        Scheme("again", "convolution", ("again",), 4),
        Scheme("shortcut.0", "convolution", ("shortcut.0", "shortcut.1"), 6),
        Scheme("fc", "fully connected", ("fc",), 11),  # after a product, a sum and a mean
        Scheme("all convolutions", "group", convolutions),
        Scheme("all fully connected", "group", ("fc",)),
        Scheme("all", "group", None),
    ]


class Scaled(nn.Module):
    """What it computes of a parameter has the shape of an output for one image."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, 2, 3, 3))
        self.conv, self.fc = nn.Conv2d(1, 2, 6), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((self.conv(x) * self.gain.sigmoid()).mean((2, 3)))


def test_layers_have_the_places_that_they_have_in_measurements() -> None:
    model = Scaled()
    table = variance.measure(model, torch.rand(4, 1, 8, 8), torch.zeros(4).long(), ["all of them"], angles(2))
    places = {str(name): index for name, index in zip(table["layer"], table["layer_index"], strict=True)}
    found = {scheme.name: scheme.layer_index for scheme in schemes(model, IMAGE) if scheme.kind != "group"}
    assert found == {name: places[name] for name in ("conv", "fc")}
    (sentence,) = feature_maps.unknown_layers(model, IMAGE, ["*sigmoid"])
    assert "no layer with maps matches '*sigmoid': the layers with maps are conv, mul" in sentence


def test_looking_at_a_network_leaves_it_as_it_is() -> None:
    model = block().train()
    before = weights(model)
    schemes(model, IMAGE)
    assert model.training
    assert equal(before, weights(model))


def test_a_network_without_fully_connected_layers_has_no_such_group() -> None:
    names = [scheme.name for scheme in schemes(network("all_convolutional"), IMAGE)]
    assert names == ["none", *(f"conv{number}" for number in range(1, 10)), "all convolutions", "all"]


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in MODELS), *(("resnet", {"depth": depth}) for depth in (34, 50, 101, 152))],
)
def test_the_number_of_layers_is_known_without_building_the_network(name: str, options: dict[str, int]) -> None:
    model = models.build(name, 1, 16, 2, width=1, **options)
    found = schemes(model, torch.zeros(1, 1, 16, 16))
    assert sum(scheme.kind != "group" for scheme in found) == demands.layers(name, width=1, **options)


def test_the_parameters_of_a_scheme_are_counted_once() -> None:
    counts = {scheme.name: retraining.parameters(block(), scheme) for scheme in schemes(block(), IMAGE)}
    conv, again, shortcut, fc = 4 * 9 + 4, 4 * 4 * 9 + 4, 4 + 4 + 8, 8 + 2
    assert counts == {
        **{"none": 0, "conv": conv, "again": again, "shortcut.0": shortcut, "fc": fc},
        **{"all convolutions": conv + again + shortcut, "all fully connected": fc},
        "all": conv + again + shortcut + fc + 2 + 4,  # and the first normalization, and the scale
    }


@pytest.mark.parametrize("number", range(1, 8))
def test_only_what_is_trained_moves(number: int) -> None:
    """Weights and the running statistics of frozen layers keep every bit; all of those that are trained change."""
    model = block()
    scheme = schemes(model, IMAGE)[number]
    before = weights(model)
    data = bright_and_dark()
    training.train(model, data, data, trained=scheme.modules, **RECIPE)
    moved = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    if scheme.modules is None:
        assert moved == before.keys()
    else:
        of_it = {name for name in before for module in scheme.modules if name.startswith(f"{module}.")}
        assert moved == of_it


def test_frozen_weights_take_no_gradient_and_frozen_normalizations_the_statistics_they_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, modes = network("resnet"), []
    descend = Trainer._descend

    def spy(self, index, parameters):
        modes.append({name for name, module in model.named_modules() if module.training and "bn" in name})
        descend(self, index, parameters)

    monkeypatch.setattr(Trainer, "_descend", spy)
    training.train(model, bright_and_dark(), bright_and_dark(), trained=["layer1.0.conv1", "layer1.0.bn1"], **RECIPE)
    assert modes == [{"layer1.0.bn1"}] * 8  # also after the test that ends an epoch
    assert {name for name, tensor in model.named_parameters() if tensor.grad is not None} == {
        *("layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias")
    }


def run(folder: Path | None = None, model: nn.Module | None = None, seed: int = 0) -> pd.DataFrame:
    """Retrain a network whose checkpoint is in `folder`."""
    data, test = bright_and_dark(32), bright_and_dark(20, 1)
    mean, std = (torch.tensor(values) for values in normalization(data.images))
    checkpoint = Checkpoint(folder, {}) if folder else None
    return retrain(
        block() if model is None else model, data, test, mean=mean, std=std, seed=seed, checkpoint=checkpoint, **RECIPE
    )


@pytest.fixture(scope="module")
def undisturbed() -> pd.DataFrame:
    return run()


def test_a_row_for_each_scheme_and_test_set(undisturbed: pd.DataFrame) -> None:
    names = ["none", "conv", "again", "shortcut.0", "fc", "all convolutions", "all fully connected", "all"]
    assert list(undisturbed.columns) == retraining.COLUMNS
    assert undisturbed["scheme"].tolist() == [name for name in names for _ in range(2)]
    assert undisturbed["test"].tolist() == ["unrotated", "rotated"] * 8
    assert undisturbed["layer_index"].notna().tolist() == [False] * 2 + [True] * 8 + [False] * 6
    assert set(undisturbed["n"]) == {20}
    assert (undisturbed["accuracy"] == undisturbed["correct"] / 20).all()


def test_the_test_sets_are_those_of_the_accuracy_table(undisturbed: pd.DataFrame) -> None:
    data, test = bright_and_dark(32), bright_and_dark(20, 1)
    mean, std = (torch.tensor(values) for values in normalization(data.images))
    table = evaluation.accuracy(block(), test, torch.tensor([0.0, 90.0]), mean=mean, std=std)
    expected = summary.accuracy_by_test(table).set_index("test")["accuracy"]
    nothing = undisturbed[undisturbed["scheme"] == "none"].set_index("test")["accuracy"]
    assert nothing.to_dict() == expected.to_dict()


def test_each_scheme_is_a_training_from_the_same_weights_and_seed(undisturbed: pd.DataFrame) -> None:
    """The group of all fully connected layers is the one there is; a scheme is what a training of it alone gives."""
    by_scheme = undisturbed.set_index(["scheme", "test"])["accuracy"]
    assert by_scheme["fc"].equals(by_scheme["all fully connected"])
    data, test = bright_and_dark(32), bright_and_dark(20, 1)
    mean, std = (torch.tensor(values) for values in normalization(data.images))
    model = block()
    torch.manual_seed(0)  # of the dropout
    training.train(model, data, test, trained=["again"], seed=0, **RECIPE)
    table = summary.accuracy_by_test(evaluation.accuracy(model, test, torch.empty(0), mean=mean, std=std))
    assert by_scheme["again"].to_dict() == table.set_index("test")["accuracy"].to_dict()


def test_the_network_itself_is_not_retrained() -> None:
    model = block()
    before = weights(model)
    run(model=model)
    assert equal(before, weights(model))
    assert all(tensor.requires_grad for tensor in model.parameters())


# interruption

STEPS = 2 * 4 * 7  # epochs, batches, schemes that are trained


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps were taken; the process is sent a signal before each that stands here as a negative number."""
    taken, train_batch = [0], Trainer.train_batch

    def spy(self):
        if -taken[0] in taken[1:]:
            os.kill(os.getpid(), signal.SIGTERM)
        taken[0] += 1
        return train_batch(self)

    monkeypatch.setattr(Trainer, "train_batch", spy)
    return taken


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """The weights of every network that was retrained to its end, in order."""
    kept: list[dict[str, Tensor]] = []
    tested = retraining._tested

    def spy(model, *given):
        kept.append(weights(model))
        return tested(model, *given)

    monkeypatch.setattr(retraining, "_tested", spy)
    return kept


@pytest.mark.parametrize("step", [1, 7, 8, 21, STEPS - 1])
def test_a_signal_costs_no_step_and_no_bit(
    step: int, tmp_path: Path, steps: list[int], trained: list[dict[str, Tensor]]
) -> None:
    run()
    whole = trained.copy()
    trained.clear()
    steps[:] = [0, -step]
    with pytest.raises(Interrupted, match="run again, the training goes on from there"):
        run(tmp_path)
    done = len(trained)
    assert done == 1 + step // 8
    table = run(tmp_path)
    assert steps[0] == STEPS  # none was taken twice
    assert len(trained) == len(whole)  # none that was done is done again
    assert all(equal(one, other) for one, other in zip(whole, trained, strict=True))
    names = ["conv", "again", "shortcut.0", "fc", "all convolutions", "all fully connected", "all"]
    assert table.attrs["resumed"] == [[names[step // 8], step % 8 // 4 + 1, step % 4 + 1]]


def test_a_signal_while_a_scheme_is_tested_for_the_last_time_is_not_forgotten(
    tmp_path: Path, steps: list[int], undisturbed: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then its training asks no more, and the next one would begin."""
    tested, times = training._tested, [0]

    def spy(*given):
        found = tested(*given)
        times[0] += 1
        if times[0] == 2:  # the second of two epochs
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    monkeypatch.setattr(training, "_tested", spy)
    with pytest.raises(SystemExit), job(tmp_path / "a.log"):
        run(tmp_path / "state")
    assert steps[0] == 8
    monkeypatch.undo()
    pd.testing.assert_frame_equal(run(tmp_path / "state"), undisturbed, check_exact=True)


def test_killed_between_a_scheme_and_the_next_it_goes_on_with_the_next(
    tmp_path: Path, steps: list[int], undisturbed: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the worst moment: the result is kept, and the state of the scheme is not yet removed."""

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", kill_at_third(Path.unlink, Killed))
        with pytest.raises(Killed):
            run(tmp_path)
    assert steps[0] == 2 * 8
    pd.testing.assert_frame_equal(run(tmp_path), undisturbed, check_exact=True)
    assert steps[0] == STEPS
    Checkpoint(tmp_path, {}).remove()
    assert list(tmp_path.iterdir()) == []


def kill_at_third(unlink, error):
    """Path.unlink, which raises `error` at the third removal of a state."""
    calls = [0]

    def spy(self, missing_ok=False):
        calls[0] += self.name.startswith(".checkpoint-")  # and not the temporary file of one
        if calls[0] == 3:
            raise error
        unlink(self, missing_ok=missing_ok)

    return spy


def test_a_damaged_checkpoint_is_no_result(tmp_path: Path, undisturbed: pd.DataFrame) -> None:
    run(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    pd.testing.assert_frame_equal(run(tmp_path), undisturbed, check_exact=True)


def test_a_retraining_does_not_go_on_from_that_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other weights, images or code, another recipe or change of the images."""
    monkeypatch.syspath_prepend(Path(retraining.__file__).parents[2])
    retrain_model = importlib.import_module("retrain_model")  # the script
    places = []

    def note(*_: object, checkpoint: Checkpoint, **__: object) -> None:
        places.append(checkpoint.path)
        raise Interrupted("once its place is known", signal.SIGTERM)

    monkeypatch.setattr(retrain_model, "retrain", note)
    weights, data, code = (tmp_path / name for name in ("weights", "data", "code.py"))
    weights.write_text("1")
    code.write_text("1")

    def begin(epochs: int = 1, rotation: float = 180) -> None:
        pack("noise", {"train": bright_and_dark(count), "test": bright_and_dark()}, data)
        subject = MagicMock(weights=weights, dataset=data, expected={"seed": 0})
        with pytest.raises(Interrupted):
            retrain_model.retrain_model(
                subject, "rotated", {"epochs": epochs}, {"rotation": rotation}, [code], str(tmp_path / "retraining")
            )

    count = 32
    begin()
    begin()
    assert places[0] == places[1]
    begin(epochs=2)
    begin(rotation=90)
    for file in (weights, code):
        file.write_text("2")
        begin()
    count = 34
    begin()
    assert len(set(places)) == 6
