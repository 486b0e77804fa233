"""Random weights, as a training begins with them, in a network that passes signals on."""

import pytest
import torch
from test_training import bright_and_dark, equal, network, weights
from torch import nn

from rotvar import evaluation
from rotvar.data.packed import normalization
from rotvar.rotation import present
from rotvar.training.untrained import untrained


@pytest.mark.parametrize("name", ["simple_conv", "resnet"])
def test_the_weights_stay_as_they_are(name: str) -> None:
    model = network(name)
    parameters = {key: value.clone() for key, value in model.named_parameters()}
    untrained(model, bright_and_dark(40), bright_and_dark(20, seed=1))
    assert equal(dict(model.named_parameters()), parameters)
    assert all(module.momentum == 0.1 for module in model.modules() if isinstance(module, nn.BatchNorm2d))


@pytest.mark.parametrize("mode", [False, True])
def test_so_does_its_mode(mode: bool) -> None:
    model = network("resnet").train(mode)
    untrained(model, bright_and_dark(40), bright_and_dark(20, seed=1))
    assert {module.training for module in model.modules()} == {mode}


def test_batch_normalization_has_the_statistics_of_the_training_images() -> None:
    model, data = network("resnet"), bright_and_dark(40)
    untrained(model, data, data)
    mean, std = (torch.tensor(values) for values in normalization(data.images))
    with torch.no_grad():
        maps = model.conv1(present(data.images, None, mean, std))
    torch.testing.assert_close(model.bn1.running_mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(model.bn1.running_var, maps.transpose(0, 1).flatten(1).var(1))


def test_so_has_that_of_fully_connected_layers() -> None:
    data = bright_and_dark(40)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(data.images[0].numel()), nn.Linear(data.images[0].numel(), 2))
    untrained(model, data, data)
    mean, std = (torch.tensor(values) for values in normalization(data.images))
    pixels = present(data.images, None, mean, std).flatten(1)
    torch.testing.assert_close(model[1].running_mean, pixels.mean(0))
    torch.testing.assert_close(model[1].running_var, pixels.var(0))


def test_it_is_the_same_however_often_it_is_done() -> None:
    model, data = network("resnet"), bright_and_dark(40)
    untrained(model, data, data)
    once = {key: value.clone() for key, value in weights(model).items()}
    untrained(model, data, data)
    assert equal(weights(model), once)


def test_the_history_has_one_row_of_the_test_set() -> None:
    model, data, test = network("resnet"), bright_and_dark(40), bright_and_dark(30, seed=1)
    history = untrained(model, data, test)
    assert history[["epoch", "split", "learning_rate"]].to_numpy().tolist() == [[0, "test", 0.0]]
    mean, std = (torch.tensor(values) for values in normalization(data.images))
    losses, corrects = evaluation.classify(model, test, None, mean, std)
    assert history["loss"].item() == pytest.approx(losses.mean().item())
    assert history["accuracy"].item() == pytest.approx(corrects.float().mean().item())
    assert history.attrs["resumed"] == []
