"""Is it stable, and does it transfer: both questions of one small study, of two data sets that differ in size and in
colour, asked for by their names.
"""

import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from copies import ROOT, copy_workflow, run_snakemake

from rotvar import models, results, rotation, summary, variance
from rotvar.data import packed
from rotvar.questions import transfer

STUDY = {
    "datasets": ["mnist", "cifar10"],  # 28 x 28 grey, 32 x 32 in colour
    "models": ["simple_conv"],
    "trainings": {"rotated": {"rotation": 180, "epochs": 1}},
    "seeds": [0, 1],
    "data": {"train_images": 20, "test_images": 40},
    "architectures": {"simple_conv": {"default": {"width": 2, "hidden": 3}, "cifar10": {"width": 3}}},
    "training": {"default": {"batch_size": 10}},
    "measurement": {"angles": 4, "aggregations": ["mean", "spatial"], "firing_rate": 0.1},
    "figures": {"aggregations": ["mean", "spatial"]},
    "stability": {"replicates": 20, "difference": 0.1},
}
NETWORK = "dataset=mnist/model=simple_conv/training=rotated/seed=1"


@pytest.fixture(scope="module")
def study(published_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study in which both questions have been answered."""
    folder = copy_workflow(tmp_path_factory.mktemp("questions") / "rotvar")
    (folder / "study.yaml").write_text(
        yaml.safe_dump(STUDY | {"data": STUDY["data"] | {"mirror": str(published_files)}})
    )
    (folder / "config.yaml").write_text("{}")  # whose widths would be merged with these
    run = run_snakemake(folder, "--cores", "2", "--configfile", "study.yaml", "--", "stability", "transfer")
    assert run.returncode == 0, run.stderr
    return folder


def test_the_answers_are_there_and_nothing_else(study: Path) -> None:
    figures = study / "results" / "figures"
    drawn = {str(file.relative_to(figures).with_suffix("")) for file in figures.rglob("*.svg")}
    names = ["stability_mean", "transfer_mean", "transfer_spatial"]
    expected = {f"{dataset}/simple_conv/{name}" for dataset in STUDY["datasets"] for name in names}
    assert drawn == expected | {"transfer_mean", "transfer_spatial"}
    assert {str(file.relative_to(figures).with_suffix("")) for file in figures.rglob("*.png")} == drawn
    tables = {file.name for file in (study / "results" / "tables").iterdir()}
    assert tables == {f"{name}.{kind}" for name in ("stability", "transfer") for kind in ("csv", "md", "tex", "sha256")}
    assert not (study / "results" / "accuracy").exists()


def test_every_column_is_documented(study: Path) -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    file = next((study / "results" / "stability").rglob("*.parquet"))
    (section,) = re.findall(r"^## `stability/NETWORK/stability.parquet`$(.*?)(?=^## )", page, re.M | re.S)
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert re.findall("`(.+?)`", " ".join(cells)) == pq.read_schema(file).names
    for name in ("stability", "transfer"):
        columns = list(pd.read_csv(study / "results" / "tables" / f"{name}.csv").columns)
        (row,) = re.findall(rf"^\| `{name}` \| .+ \| (.+) \|$", page, re.M)
        named = [one for one in re.findall("`(.+?)`", re.sub(r" \(.*?\)", "", row)) if one in columns]
        assert named == columns


def test_the_images_as_they_are_have_the_studys_own_layer_means(study: Path) -> None:
    draws = results.read(study / "results" / "stability")
    assert draws.groupby(["dataset", "seed"], observed=True)["replicate"].nunique().to_list() == [21] * 4
    assert set(draws["aggregation"]) == {"mean"}
    ours = results.read(study / "results" / "variance", stratum=["all"], aggregation=["mean"])
    places = ["dataset", "seed", "layer"]
    means = summary.layer_means(ours).set_index(places)["normalized_variance"].astype("float64")
    same = draws[draws["replicate"] == 0].set_index(places)["normalized_variance"].astype("float64")
    pd.testing.assert_series_equal(same.sort_index(), means.sort_index(), rtol=1e-5, check_index_type=False)
    facts = results.metadata(study / "results" / "stability" / NETWORK / "stability.parquet")
    assert (facts["N"], facts["R"], facts["seed"]) == (40, 4, 1)
    assert facts["configuration"]["replicates"] == 20


def test_the_table_of_stability(study: Path) -> None:
    table = pd.read_csv(study / "results" / "tables" / "stability.csv")
    assert len(table) == 2 * 16  # data sets, layers
    assert set(table["seeds"]) == {2}
    assert set(table["images"]) == {40}
    assert (table["low"] <= table["high"]).all()
    assert (table["smallest_difference"] > 0).all()
    enough = table["smallest_difference"] <= 0.1
    assert (table.loc[enough, "seeds_needed"] <= 2).all()
    assert ((table["seeds_needed"] > 2) | (table["images_needed"] > 40))[~enough].all()


def test_a_network_is_measured_on_the_images_of_the_other_data_set_in_its_own_shape(study: Path) -> None:
    weights = study / "results" / "models" / NETWORK / "weights.safetensors"
    model, description = models.load(weights)
    other = packed.read(study / "results" / "data" / "cifar10.safetensors", "test")
    expected = variance.measure(
        model,
        transfer.adapt(other.images, 1, 28),
        other.labels,
        other.classes,
        rotation.angles(4),
        mean=description["mean"],
        std=description["std"],
        aggregations=["mean", "spatial"],
        firing_rate=0.1,
    )
    (file,) = (study / "results" / "transfer" / NETWORK).rglob("*.parquet")
    measured = results.read(file)
    assert set(measured["measured_on"]) == {"cifar10"}
    assert set(measured["dataset"]) == {"mnist"}
    assert set(measured["stratum"]) == {"all", "stratified", *other.classes}
    assert measured["normalized_variance"].to_list() == pytest.approx(
        expected["normalized_variance"].to_list(), rel=1e-4
    )
    rates = [table["global_firing_rate"].to_list() for table in (measured, expected)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-4, nan_ok=True) and expected["global_firing_rate"].notna().any()
    assert results.metadata(file)["N"] == 40


def test_the_table_of_transfer_has_every_pair(study: Path) -> None:
    table = pd.read_csv(study / "results" / "tables" / "transfer.csv")
    pairs = table[["dataset", "measured_on"]].drop_duplicates().to_records(index=False).tolist()
    assert pairs == [(a, b) for a in STUDY["datasets"] for b in STUDY["datasets"]]
    assert len(table) == 4 * 2 * 2  # pairs, strata, aggregations
    own = summary.global_variance(results.read(study / "results" / "variance", stratum=["all"], aggregation=["mean"]))
    own = own[own["dataset"] == "cifar10"]["global_variance"].mean()
    row = table.set_index(["dataset", "measured_on", "stratum", "aggregation"])["global_variance"]
    assert row["cifar10", "cifar10", "all", "mean"] == pytest.approx(own, rel=1e-6)


def test_another_difference_makes_the_figures_and_the_table_again_alone(study: Path) -> None:
    other = study / "other.yaml"
    other.write_text((study / "study.yaml").read_text().replace("difference: 0.1", "difference: 0.2"))
    asked = ["--configfile", other.name, "-n", "--", "stability", "transfer"]
    run = run_snakemake(study, *asked)
    assert run.returncode == 0, run.stderr
    jobs = re.findall(r"^Job \d+: (.*)$", run.stdout, re.M)
    assert sorted(jobs) == [
        "Drawing how stable the layers of simple_conv on cifar10 are",
        "Drawing how stable the layers of simple_conv on mnist are",
        "Tabulating how stable layers are",
    ]
