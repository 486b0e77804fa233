"""The peer library tmeasures (1.2.11) gives the same numbers to 1e-4, where it computes the same quantity and correctly.

Both measure the same network on the same images, rotated by our own `rotate`: its rotations turn by wrong angles.

| tmeasures | ours | the same? |
|---|---|---|
| NormalizedVarianceInvariance, averaged over feature maps | `normalized_variance` of `spatial` | yes |
| NormalizedVarianceSameEquivariance, likewise | of `same_equivariance` | at quarter turns; at other angles it takes whatever the inverse that it is given leaves in the corners |
| ANOVAFInvariance | `f_statistic` | of one value a channel; of a map it has an F for each position, ours is that of all together |
| NormalizedDistanceInvariance, "sqeuclidean" | `normalized_distance` squared | where a batch holds all images: it takes pairs within a batch only; other distances have no such sum |
| ANOVAInvariance | `p_value` | no: its Bonferroni correction divides the confidence (0.99) instead of what is left of 1, so a unit of a layer of 100 counts as significant at a confidence of 0.0099 |
| GoodfellowInvariance | firing rates | no: its local rate is over all images rather than over those that make the unit fire |
"""  # noqa: E501

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import require
from oracle import activations
from safetensors.torch import load_file, save_file
from tmeasures_network import network

from rotvar.rotation import angles
from rotvar.variance import measure

HERE = Path(__file__).parent
VERSION = "1.2.11"
N, CLASSES = 12, ("even", "odd")
LABELS = torch.arange(N) % 2


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """measure/layer -> values of units, by tmeasures."""
    folder = tmp_path_factory.mktemp("tmeasures")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder / "package"]
    fetched = subprocess.run([*pip, f"tmeasures=={VERSION}"], capture_output=True, text=True)
    require(fetched.returncode == 0, f"tmeasures cannot be fetched: {fetched.stderr[-200:]}")
    model, given = network(), images()
    save_file({name: each.contiguous() for name, each in activations(model, given, angles(4)).items()}, folder / "a")
    save_file({"images": given, "angles": angles(4)}, folder / "images")
    path = os.pathsep.join([str(folder / "package"), str(HERE.parents[1] / "workflow" / "scripts")])
    command = [sys.executable, HERE / "tmeasures_values.py", folder / "a", folder / "images", folder / "values"]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert run.returncode == 0, run.stderr
    return load_file(folder / "values")


def images() -> torch.Tensor:
    return torch.rand(N, 2, 10, 10, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def ours() -> pd.DataFrame:
    aggregations = ["mean", "spatial", "same_equivariance"]
    table = measure(network(), images(), LABELS, CLASSES, angles(4), aggregations=aggregations)
    return table[table["stratum"] == "all"].set_index(["aggregation", "layer"]).sort_index()


@pytest.mark.parametrize(
    ("kind", "aggregation", "column", "power"),
    [
        ("variance", "spatial", "normalized_variance", 1),
        ("same_equivariance", "same_equivariance", "normalized_variance", 1),
        ("f", "mean", "f_statistic", 1),
        ("squared_distance", "spatial", "normalized_distance", 2),
        ("squared_distance_of_means", "mean", "normalized_distance", 2),
    ],
)
@pytest.mark.parametrize("layer", ["0", "1", "2", "3", "5"])
def test_the_same_quantities_agree(theirs, ours, kind, aggregation, column, power, layer):
    values = ours.loc[(aggregation, layer)].sort_values("unit")[column].to_numpy()
    np.testing.assert_allclose(values**power, theirs[f"{kind}/{layer}"].double().flatten(), rtol=1e-4)
