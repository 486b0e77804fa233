"""A study that measures all there is: maps turned back, with their floor, and firing rates, in two shards."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import STUDY
from copies import ROOT, copy_workflow, run_snakemake

from rotvar import results
from rotvar.columns import MEASURES

MEASURED = {
    "seeds": [0],
    "training": {"default": {"epochs": 1, "batch_size": 16}},
    "transformations": {},
    "measurement": {
        "angles": 4, "aggregations": ["mean", "spatial", "same_equivariance"], "firing_rate": 0.05, "shards": 2,
    },
    "figures": {"aggregations": ["same_equivariance"]},
}  # fmt: skip
FIGURES = "results/figures/digits/simple_conv"
VARIANCE = "results/variance/dataset=digits/model=simple_conv/training=rotated/seed=0/variance.parquet"
FLOOR = "results/interpolation_floor/dataset=digits/model=simple_conv/floor.parquet"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has drawn the measures."""
    folder = copy_workflow(tmp_path_factory.mktemp("measures") / "rotvar")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY | MEASURED))
    drawn = [f"{FIGURES}/measures.png", f"{FIGURES}/heatmap_same_equivariance_all.png"]
    run = run_snakemake(folder, "--cores", "2", "--configfile", "study.yaml", "--", *drawn)
    assert run.returncode == 0, run.stderr
    return folder


def test_the_parquet_has_every_measure(measured: Path) -> None:
    file = measured / VARIANCE
    table = results.read(file)
    assert set(table["aggregation"]) == {"mean", "spatial", "same_equivariance"}
    one_value = (table["aggregation"] == "mean") & (table["stratum"] != "stratified")
    assert (table["p_value"].notna() == one_value).all()
    fires = table["local_firing_rate"].notna()
    assert fires.any() and not (fires & (table["aggregation"] != "mean")).any()
    assert table[fires]["local_firing_rate"].between(1 / 4, 1).all()
    assert (table[fires]["global_firing_rate"] <= 0.05 + 1e-6).all()
    measures = {name for name in MEASURES if pq.read_schema(file).field(name).type == "float"}
    assert measures == set(MEASURES)


def test_the_floor_is_that_of_quarter_turns(measured: Path) -> None:
    floor = results.read(measured / FLOOR)
    assert floor["normalized_variance"].max() < 1e-5
    assert list(floor.columns[:-2]) == documented_columns("interpolation_floor/dataset=D/model=M/floor.parquet")
    turned = results.read(measured / "results" / "variance", stratum=["all"], aggregation=["same_equivariance"])
    assert set(floor["layer"]) < set(turned["layer"])
    facts = results.metadata(measured / FLOOR)
    assert (facts["N"], facts["R"]) == (40, 4)


def test_the_figure_has_a_panel_for_each_measure(measured: Path) -> None:
    text = (measured / FIGURES / "measures.svg").read_text()
    for words in (
        "Normalized variance",
        "Normalized distance",
        "p < 0.05",
        "Local / global firing rate",
        "Maps turned back: normalized variance",
        "interpolation floor",
    ):
        assert words.replace("<", "&lt;") in text
    assert (measured / FIGURES / "heatmap_same_equivariance_stratified.svg").exists()


def test_every_column_is_documented(measured: Path) -> None:
    """The two that only this study has stand below the table of the others."""
    file = measured / VARIANCE
    *others, local, share = pq.read_schema(file).names
    assert documented_columns("variance/NETWORK/variance.parquet") == others
    section = documented("variance/NETWORK/variance.parquet")
    assert f"`{local}`" in section and f"`{share}`" in section


def test_a_table_from_before_and_one_of_now_are_read_together(measured: Path, tmp_path: Path) -> None:
    file = measured / VARIANCE
    table = results.read(file)
    older = table.drop(columns=["normalized_distance", "f_statistic", "p_value"])
    for seed, one in enumerate([older, table]):
        results.write(one.drop(columns=["dataset", "model", "training", "seed"]), at(tmp_path, seed), {})
    both = results.read(tmp_path)
    assert len(both) == 2 * len(table)
    assert both[both["seed"] == 0]["normalized_distance"].isna().all()
    assert np.array_equal(both[both["seed"] == 1]["normalized_distance"], table["normalized_distance"], equal_nan=True)
    assert isinstance(both["layer"].dtype, pd.CategoricalDtype)


def at(folder: Path, seed: int) -> Path:
    path = folder / f"seed={seed}" / "variance.parquet"
    path.parent.mkdir()
    return path


def documented(file: str) -> str:
    """What docs/results.md says of a kind of file."""
    page = (ROOT / "docs" / "results.md").read_text()
    (section,) = re.findall(rf"^## `{re.escape(file)}`$(.*?)(?=^## |\Z)", page, re.M | re.S)
    return section


def documented_columns(file: str) -> list[str]:
    cells = [line.split("|")[1] for line in documented(file).splitlines() if line.startswith("| `")]
    return re.findall("`(.+?)`", " ".join(cells))
