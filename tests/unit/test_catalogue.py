"""The catalogue says of the data sets what torchvision and scikit-learn say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torchvision.datasets

import rotvar
from rotvar.catalogue import DATASETS


@pytest.mark.parametrize(
    ("name", "original"),
    [("mnist", torchvision.datasets.MNIST), ("fashion_mnist", torchvision.datasets.FashionMNIST)],
)
def test_class_names_are_torchvisions(name: str, original: type) -> None:
    assert list(DATASETS[name].classes) == original.classes  # type: ignore[attr-defined]


def test_cifar10s_class_names_are_in_the_order_of_its_labels() -> None:
    names = "airplane automobile bird cat deer dog frog horse ship truck"  # batches.meta
    assert DATASETS["cifar10"].classes == tuple(names.split())


def test_digits_are_named_by_their_numbers() -> None:
    assert DATASETS["digits"].classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert DATASETS["digits"].train + DATASETS["digits"].test == 1797


def test_shapes() -> None:
    shapes = {name: (info.channels, info.image_size) for name, info in DATASETS.items()}
    assert shapes == {"digits": (1, 32), "mnist": (1, 28), "fashion_mnist": (1, 28), "cifar10": (3, 32)}


@pytest.mark.parametrize("module", ["catalogue", "results", "summary", "tables", "figures.heatmap", "figures.depth"])
def test_modules_that_only_draw_and_list_start_fast(module: str) -> None:
    """A figure job imports neither PyTorch nor what takes as long (SciPy, seaborn, pyplot)."""
    heavy = "{'torch', 'scipy', 'seaborn', 'matplotlib.pyplot'}"
    program = f"import sys, rotvar.{module}; print(sorted({heavy} & set(sys.modules)))"
    folder = str(Path(rotvar.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
