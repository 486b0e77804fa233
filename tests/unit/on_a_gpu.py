"""What is computed on a GPU, on one that is pretended: every tensor is where it has to be, the results are the CPU's,
and nothing waits for the GPU more often than it must. Run by test_gpu.py, in a process of its own.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from pretended_gpu import made_up_gradients, pretended, waits
from torch import nn

from rotvar import evaluation, models, training, variance
from rotvar.data.packed import Dataset
from rotvar.errors import InputError
from rotvar.questions import convergence, retraining, stability
from rotvar.rotation import angles
from rotvar.statistics.sweep import KNOWN_AGGREGATIONS
from rotvar.training import untrained
from rotvar.training.checkpoint import Checkpoint
from rotvar.transformations import Transformation

CLASSES = ("a", "b", "c")
MEAN, STD = torch.tensor([0.4]), torch.tensor([0.3])
EVERY_CHANGE = {"rotation": 180, "scale": 0.2, "blur": 1, "brightness": 0.1, "contrast": 0.1, "horizontal_flip": 0.5}


def network(name: str, device: torch.device | str = "cpu") -> nn.Module:
    torch.manual_seed(0)
    model = models.build(name, 1, 16, len(CLASSES), width=2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.to(device)


def dataset(n: int = 24) -> Dataset:
    images = torch.randint(256, (n, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return Dataset(images, torch.arange(n) % len(CLASSES), CLASSES)


def on_both(compute) -> None:
    """Check that a computation gives the same table, or the same tensors, on the GPU as on the CPU."""
    expected = compute(torch.device("cpu"))
    with pretended() as device:
        got = compute(device)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(got, expected, rtol=1e-4, atol=1e-6)
        return
    for name, tensor in expected.items():
        assert got[name].device.type == "cuda"
        np.testing.assert_allclose(got[name].cpu().numpy(), tensor.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)


def waits_of(compute) -> int:
    with pretended() as device:
        waits.clear()
        compute(device)
        return len(waits)


def test_the_pretended_gpu_refuses_tensors_of_the_cpu_and_notices_waiting():
    with pretended() as device:
        there = torch.ones(3, device=device)
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            torch.ones(3)[torch.zeros(1, dtype=torch.int64, device=device)]
        with pytest.raises(RuntimeError, match="same device"):
            there[torch.arange(2)] = torch.ones(2)
        with pytest.raises(RuntimeError, match="same device"):
            torch.ones(()).add_(there.sum())
        waits.clear()
        there += 1
        there[torch.arange(2).to(device, non_blocking=True)] = 5
        assert not waits
        assert there.sum().item() == 12 and there.cpu().tolist() == [5, 5, 2]
        assert len(there[there > 3]) == 2
        assert len(waits) == 3


def test_every_measure_is_the_cpus():
    data = dataset(12)
    on_both(
        lambda device: variance.measure(
            network("resnet", device), data.images, data.labels, data.classes, angles(3), mean=MEAN, std=STD,
            aggregations=KNOWN_AGGREGATIONS, firing_rate=0.1, batch_size=12,
        )
    )  # fmt: skip


def test_bfloat16_is_computed_by_autocast():
    data = dataset()
    with pretended() as device:
        model = network("simple_conv", device)
        seen = []
        next(iter(model.children())).register_forward_hook(lambda *arguments: seen.append(arguments[2].dtype))
        variance.measure(model, data.images, data.labels, data.classes, angles(4), precision="bfloat16")
    assert set(seen) == {torch.bfloat16}


def test_every_transformation_measures_what_it_does_on_the_cpu():
    data, transform = dataset(), Transformation({"translation": 0.2, "contrast": 0.3, "blur": 1, "vertical_flip": 0.5})
    on_both(
        lambda device: variance.measure(
            network("simple_conv", device), data.images, data.labels, data.classes, transform.grid(2),
            transform=transform, mean=MEAN, std=STD,
        )
    )  # fmt: skip


def test_other_measurements_are_the_cpus():
    data = dataset()

    def accuracy(device):
        return evaluation.accuracy(network("resnet", device), data, angles(4), mean=MEAN, std=STD)

    def converging(device):
        model = network("resnet", device)
        return convergence.measure(model, data.images, data.labels, angles(4), mean=MEAN, std=STD)

    def stable(device):
        return stability.measure(network("resnet", device), data.images, angles(4), replicates=3, mean=MEAN, std=STD)

    for measurement in (accuracy, converging, stable):
        on_both(measurement)


def test_images_and_labels_may_be_there_already():
    data = dataset()

    def sweep(device):
        where = [each.to(device) for each in (data.images, data.labels)]
        return variance.measure(network("simple_conv", device), *where, data.classes, angles(4), mean=MEAN, std=STD)

    def converging(device):
        where = [each.to(device) for each in (data.images, data.labels)]
        return convergence.measure(network("simple_conv", device), *where, angles(4), mean=MEAN, std=STD)

    for measurement in (sweep, converging):
        on_both(measurement)


def test_a_sweep_waits_no_more_often_for_more_batches():
    data = dataset(9)

    def sweep(batch_size):
        return lambda device: variance.measure(
            network("simple_conv", device), data.images, data.labels, data.classes, angles(4), mean=MEAN, std=STD,
            aggregations=KNOWN_AGGREGATIONS, firing_rate=0.1, batch_size=batch_size,
        )  # fmt: skip

    assert waits_of(sweep(4)) == waits_of(sweep(32))


@pytest.mark.parametrize(
    "recipe",
    [{}, {"augmentation": {"rotation": 180}}, {"augmentation": EVERY_CHANGE}, {"flips_and_crops": True}],
    ids=str,
)
def test_a_training_waits_no_more_often_for_more_steps(recipe):
    data = dataset()

    def train(batch_size):
        return lambda device: training.train(
            network("resnet", device), data, data, epochs=1, batch_size=batch_size, **recipe
        )

    with made_up_gradients():
        assert waits_of(train(4)) == waits_of(train(12))


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_training_ends_as_on_the_cpu(deterministic):
    data = dataset()

    def train(device):
        model = network("resnet", device)
        training.train(
            model, data, data, augmentation=EVERY_CHANGE, flips_and_crops=True, epochs=2, batch_size=7,
            precision="float32", deterministic=deterministic,
        )  # fmt: skip
        return model.state_dict()

    with made_up_gradients():
        on_both(train)


class Unpooling(nn.Module):
    """A network with an operation that PyTorch refuses to compute deterministically."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
        self.classify = nn.Linear(256, len(CLASSES))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classify(self.unpool(*self.pool(images)).flatten(1))


def test_an_operation_that_is_not_deterministic_is_one_sentence():
    data = dataset()
    with made_up_gradients(), pretended() as device:
        training.train(Unpooling().to(device), data, data, epochs=1)
        with pytest.raises(InputError) as raised:
            training.train(Unpooling().to(device), data, data, epochs=1, deterministic=True)
    assert str(raised.value) == (
        "PyTorch has no deterministic way to compute max_unpooling2d_forward_out, of this network: set deterministic "
        "to false for it under training, in the configuration"
    )


def test_a_training_goes_on_from_a_checkpoint(tmp_path):
    data = dataset()
    with made_up_gradients(), pretended() as device:
        one, other = (training.Trainer(network("resnet", device), data, batch_size=7, epochs=1) for _ in range(2))
        one.train_batch()
        checkpoint = Checkpoint(tmp_path, {})
        checkpoint.save(one.state())
        other.restore(checkpoint.load())
        for trainer in (one, other):
            trainer.train_batch()
        for name, tensor in other.model.state_dict().items():
            assert tensor.is_cuda and torch.equal(tensor, one.model.state_dict()[name])
        assert other.measured() == one.measured()


def test_retraining_ends_as_on_the_cpu(tmp_path):
    data = dataset()

    def retrain(device):
        return retraining.retrain(
            network("simple_conv", device), data, data, mean=MEAN, std=STD, seed=0,
            checkpoint=Checkpoint(tmp_path, {"device": str(device)}), augmentation={"rotation": 180}, epochs=1,
            batch_size=12, precision="float32",
        )  # fmt: skip

    with made_up_gradients():
        on_both(retrain)


def test_an_untrained_network_is_the_cpus():
    data = dataset()

    def settled(device):
        model = network("resnet", device)
        untrained.untrained(model, data, data, settle=True)
        return model.state_dict()

    on_both(settled)


def test_weights_are_saved_from_it(tmp_path):
    description = {"name": "simple_conv", "channels": 1, "image_size": 16, "classes": 3, "options": {"width": 2}}
    description |= {"mean": [0.4], "std": [0.3]}
    with pretended() as device:
        model = network("simple_conv", device).to(memory_format=torch.channels_last)
        models.save(model, tmp_path / "weights.safetensors", description)
    loaded, _ = models.load(tmp_path / "weights.safetensors")
    for name, tensor in network("simple_conv").state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
