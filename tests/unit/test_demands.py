"""What jobs ask of a cluster is about what their networks are: the formulas against the networks themselves."""

import pytest
import torch

from rotvar import models
from rotvar.activations import Recorder
from rotvar.catalogue import DATASETS, MODELS
from rotvar.study import demands, estimate
from rotvar.system import memory
from rotvar.transformations import FAMILIES, Transformation

NETWORKS = [
    *(
        (name, {"width": width})
        for name in ("simple_conv", "all_convolutional", "vgg16", "vgg_like")
        for width in (16, 64)
    ),
    *(("resnet", {"width": 64, "depth": depth}) for depth in (18, 34, 50, 101, 152)),
    ("resnet", {"width": 16, "depth": 18}),
]


def outputs(name: str, channels: int, image_size: int, **options: int) -> list[torch.Size]:
    """Of all recorded layers, for one image: channels and positions."""
    with torch.device("meta"):
        model = models.build(name, channels, image_size, 10, **options).eval()
        shapes: list[torch.Size] = []
        with torch.no_grad():
            Recorder(model).run(
                torch.empty(1, channels, image_size, image_size), lambda _, output: shapes.append(output.shape[1:])
            )
    return shapes


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_the_size_of_a_network_is_known_without_building_it(name: str, options: dict[str, int], dataset: str) -> None:
    info = DATASETS[dataset]
    size = demands.size(name, info.image_size, **options)
    operations = estimate.flops(name, info.channels, info.image_size, 10, **options)
    assert size.operations == pytest.approx(operations, rel=0.2)
    shapes = outputs(name, info.channels, info.image_size, **options)
    assert size.activations == pytest.approx(sum(shape.numel() for shape in shapes), rel=0.2)
    assert size.channels == pytest.approx(sum(shape[0] for shape in shapes), rel=0.2)


def test_the_size_of_every_model_is_tested() -> None:
    assert {name for name, _ in NETWORKS} == set(MODELS)


@pytest.mark.parametrize("name", FAMILIES)
def test_combinations_are_those_of_the_grid(name: str) -> None:
    for limits in ({name: FAMILIES[name].most}, {name: 0.5, "blur": 1, "shear": 0}, {"rotation": 180, name: 0.5}):
        assert demands.combinations(3, **limits) == len(Transformation(limits).grid(3))


def test_time_grows_with_the_images_and_with_the_network() -> None:
    small, large = demands.Size(1e6, 1e4, 1e2), demands.Size(3e9, 1e7, 1e4)
    assert demands.minutes(0, large) == demands.START_MINUTES
    assert demands.minutes(120_000, small) == demands.START_MINUTES + 2  # images alone: 1 minute for 120,000
    assert demands.minutes(120_000, large) == demands.START_MINUTES + 7  # and 360 seconds of operations


def test_memory_holds_a_batch_in_training_and_the_state_of_a_measurement() -> None:
    size = demands.Size(1e9, 1e7, 1e4)
    assert demands.training_mb(128, size) - demands.PROCESS_MB >= 128 * 1e7 * 4 * 2 / 1e6  # values and gradients
    assert demands.sweep_mb(16, size) - demands.PROCESS_MB >= memory.of_state(int(1e7), 16) / 1e6
    turned = demands.sweep_mb(16, size, turned=True) - demands.PROCESS_MB
    assert turned >= memory.of_state(int(2e7), 16) / 1e6
    more = demands.sweep_mb(16, size, firing=1600) - demands.sweep_mb(16, size)
    assert more >= memory.of_largest(int(2e4), 1600) / 1e6  # the means and the maxima
