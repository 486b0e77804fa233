"""A whole study, run for real: conftest's STUDY."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from conftest import STUDY
from copies import ROOT, edit, run_snakemake

from rotvar import models, results, summary
from rotvar.data import packed

RESULTS_PAGE = ROOT / "docs" / "results.md"
TRAININGS = ["rotated", "unrotated"]
CLASSES = [str(digit) for digit in range(10)]


def table(study: Path, what: str) -> pd.DataFrame:
    read = results.read(study / "results" / what)
    assert sorted(read["training"].unique()) == TRAININGS
    assert sorted(read["seed"].unique()) == [0, 1]
    return read


@pytest.mark.parametrize("what", ["models", "accuracy", "variance", "feature_maps", "convergence"])
def test_every_column_is_documented(what: str, study: Path) -> None:
    """docs/results.md has a table of the columns of each kind of file, in their order."""
    file = next((study / "results" / what).rglob("*.parquet"))
    (section,) = re.findall(
        rf"^## `{what}/NETWORK/{file.name}`$(.*?)(?=^## |\Z)", RESULTS_PAGE.read_text(), re.M | re.S
    )
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert re.findall("`(.+?)`", " ".join(cells)) == pq.read_schema(file).names


def snippets() -> list[str]:
    """The lines of Python in the README and in docs/results.md that read results."""
    text = "".join(page.read_text() for page in (ROOT / "README.md", RESULTS_PAGE))
    return [block for block in re.findall("^```python\n(.*?)^```$", text, re.M | re.S) if "results/" in block]


@pytest.mark.parametrize(
    ("snippet", "library"), list(zip(snippets(), ["pandas", "rotvar", "duckdb", "polars"], strict=True))
)
def test_the_documented_readers_read_a_study(snippet: str, library: str, study: Path) -> None:
    assert re.search(rf"^(import|from) {library}\b", snippet, re.M)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    run = subprocess.run([sys.executable, "-c", snippet], cwd=study, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert "digits" in run.stdout and "simple_conv" in run.stdout and "unrotated" in run.stdout


def test_the_figures_of_the_measure_are_drawn_from_a_study(study: Path, tmp_path: Path) -> None:
    """docs/measure_figures.py, by the command that it names; digits stand in for MNIST."""
    given, folder = tmp_path / "results", tmp_path / "docs" / "measure"
    folder.mkdir(parents=True)
    shutil.copytree(study / "results" / "models" / "dataset=digits", given / "models" / "dataset=mnist")
    (given / "data").mkdir()
    shutil.copy(study / "results" / "data" / "digits.safetensors", given / "data" / "mnist.safetensors")
    program = ROOT / "docs" / "measure_figures.py"
    (command,) = re.findall("^PYTHONPATH=.* python docs/measure_figures.py (.*)$", program.read_text(), re.M)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    run = subprocess.run(
        [sys.executable, program, *command.split()], cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        file.name for file in (ROOT / "docs" / "measure").iterdir()
    )


def test_histories(study: Path) -> None:
    history = table(study, "models")
    assert len(history) == 4 * 2 * 2  # networks, epochs, splits
    assert sorted(history["epoch"].unique()) == [1, 2]


def test_accuracies(study: Path) -> None:
    accuracy = table(study, "accuracy")
    assert list(accuracy["angle"].unique()) == ["-180", "-90", "0", "90", "random"]
    assert len(accuracy) == 4 * 5 * 10  # networks, angles, classes
    assert set(accuracy["n"]) == {4}
    assert (accuracy["correct"] <= accuracy["n"]).all()


def test_variances(study: Path) -> None:
    variance = table(study, "variance")
    assert set(variance["stratum"]) == {"all", "stratified", *CLASSES}
    assert set(variance["aggregation"]) == {"mean", "max", "sum", "spatial"}
    # Five convolutions and their ReLUs, two poolings; two fully connected layers, a ReLU, the log-softmax
    units = 5 * 2 + 5 * 4 + 2 * 8 + 2 * 4 + 2 * 10
    assert len(variance) == 4 * units * 12 * 4  # networks, units, strata, aggregations


def test_feature_maps(study: Path) -> None:
    maps = results.read(study / "results" / "feature_maps")
    assert set(maps["seed"]) == {0}
    assert sorted(maps["angle"].unique()) == [-180, -90, 0, 90]
    for _, rows in maps.groupby("training", observed=True):
        assert list(rows["layer"].unique()) == ["input", "conv1", "conv3", "conv5"]
        assert len(rows[rows["layer"] == "input"]) == 4 * 32 * 32  # angles, pixels
    # They are those of the trained network, whose images are normalized as in its training
    place = "dataset=digits/model=simple_conv/training=rotated/seed=0"
    model, about = models.load(study / "results" / "models" / place / "weights.safetensors")
    image = packed.read(study / "results" / "data" / "digits.safetensors", "test").images[:1] / 255
    with torch.no_grad():
        expected = model.conv1((image - about["mean"][0]) / about["std"][0])[0].numpy()
    rows = maps[(maps["training"] == "rotated") & (maps["layer"] == "conv1") & (maps["angle"] == 0)]
    for (_, unit), pixels in rows.groupby(["choice", "unit"], observed=True):
        assert pixels["activation"].to_list() == pytest.approx(expected[unit].flatten().tolist(), abs=1e-5)
    # and of the channels that vary least and most by position
    variance = results.read(study / "results" / "variance" / place, stratum=["all"], aggregation=["spatial"])
    chosen = rows.groupby("unit")["normalized_variance"].first()
    measured = variance[variance["layer"] == "conv1"].set_index("unit")["normalized_variance"]
    assert chosen.to_dict() == measured[chosen.index].to_dict()


def test_convergence(study: Path) -> None:
    values = results.read(study / "results" / "convergence")
    assert set(values["seed"]) == {0}
    subsets = values[["images", "angles", "draw"]].drop_duplicates().to_records(index=False).tolist()
    assert sorted(subsets) == [(20, 8, 0), (20, 8, 1), (40, 2, 0), (40, 4, 0), (40, 8, 0)]
    assert len(values) == 2 * 5 * 16  # trainings, subsets, layers
    # All 40 images at the study's 4 angles: the study's own layer means
    variance = results.read(study / "results" / "variance", stratum=["all"], aggregation=["mean"], seed=[0])
    ours = values[(values["images"] == 40) & (values["angles"] == 4)]
    for training, rows in summary.layer_means(variance).groupby("training", observed=True):
        means = ours[ours["training"] == training]["normalized_variance"]
        assert means.to_list() == pytest.approx(rows["normalized_variance"].to_list(), rel=1e-5)


def test_results_say_where_they_come_from(study: Path) -> None:
    network = "dataset=digits/model=simple_conv/training=rotated/seed=1"
    facts = results.metadata(study / "results" / "variance" / network / "variance.parquet")
    assert facts["seed"] == 1
    assert (facts["N"], facts["R"]) == (40, 4)
    assert facts["configuration"]["architecture"] == {"width": 2, "hidden": 4}
    assert facts["configuration"]["augmentation"] == {"rotation": 180}
    assert facts["configuration"]["recipe"]["epochs"] == 2
    assert "torch" in facts["packages"]
    assert facts["seconds"] > 0
    assert {"device", "commit"} <= facts.keys()


def test_every_network_is_measured_under_each_transformation(study: Path) -> None:
    network = "dataset=digits/model=simple_conv/training=rotated/seed=1"
    (file,) = (study / "results" / "transformations" / network).rglob("*.parquet")
    facts, rotation = results.metadata(file), results.read(study / "results" / "variance" / network)
    shift = results.read(file)
    assert facts["R"] == 4  # two values of each of two parameters
    assert facts["configuration"]["transformation"] == {"translation": 0.2, "samples": 2}
    assert set(shift["transformation"]) == {"shift"}
    rows = ["layer", "unit", "stratum", "aggregation"]
    assert shift[rows].astype(str).equals(rotation[rows].astype(str))
    assert not shift["transformation_std"].equals(rotation["transformation_std"])
    table = pd.read_csv(study / "results" / "tables" / "transformations.csv")
    assert len(table) == 2 * 2 * 2 * 4  # trainings, transformations, strata, aggregations
    ours = table.set_index(["training", "transformation", "stratum", "aggregation"])["global_variance"]
    seeds = results.read(study / "results" / "transformations", stratum=["all"], aggregation=["mean"])
    means = summary.global_variance(seeds[seeds["training"] == "rotated"])["global_variance"]
    assert ours["rotated", "shift", "all", "mean"] == pytest.approx(means.mean(), rel=1e-6)
    ofs = pd.read_csv(study / "results" / "tables" / "global_variance.csv")
    ofs = ofs.set_index(["training", "stratum", "aggregation"])["global_variance"]
    assert ours["unrotated", "rotation", "all", "spatial"] == ofs["unrotated", "all", "spatial"]


def test_figures(study: Path) -> None:
    folder = study / "results" / "figures"
    strata = ["all", "stratified", *(f"class_{number}" for number in range(10))]
    names = [f"heatmap_spatial_{stratum}" for stratum in strata]
    names += ["layers_spatial", "classes_spatial", "measures", "distribution", "last_layer"]
    names += ["training_curves", "accuracy", "accuracy_by_angle", "accuracy_polar"]
    names += ["feature_maps_0", "convergence"]
    expected = {f"digits/simple_conv/{name}" for name in names}
    expected |= {"global_variance", "depth_spatial", "transformations_spatial", "agreement"}
    for suffix, beginning in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        files = list(folder.rglob(f"*{suffix}"))
        assert {str(file.relative_to(folder).with_suffix("")) for file in files} == expected
        assert all(file.read_bytes().startswith(beginning) for file in files)
    texts = {file.stem: file.read_text() for file in folder.rglob("*.svg")}
    assert "No value of this study has been published." in texts.pop("agreement")
    assert "units of 2 seeds together" in texts.pop("distribution")
    without_spread = {name for name, text in texts.items() if "mean ± std over 2 seeds" not in text}
    assert without_spread == {"feature_maps_0", "convergence"}  # they are of the first seed


def test_figures_show_what_their_names_say_and_what_the_study_has(study: Path) -> None:
    folder = study / "results" / "figures"
    texts = {file.stem: re.findall("<text.*?>(.*?)</text>", file.read_text()) for file in folder.rglob("*.svg")}
    strata = {"all": "all", "stratified": "stratified"} | {f"class_{name}": name for name in CLASSES}
    for stratum, shown in strata.items():
        (heading,) = [text for text in texts[f"heatmap_spatial_{stratum}"] if "stratum: " in text]
        assert f"stratum: {shown}  ·  aggregation: spatial" in heading
    assert [text for text in texts["global_variance"] if "aggregation: " in text] == ["aggregation: spatial"]
    images, angles = (texts["convergence"].index(f"number of {axis}") for axis in ("images, N", "angles, R"))
    assert texts["convergence"][:images] == ["20", "40"]  # of the study, 40
    assert texts["convergence"][angles - 2 : angles] == ["2", "4"]  # and 4


def test_tables(study: Path) -> None:
    folder = study / "results" / "tables"
    names, suffixes = ("global_variance", "layers", "accuracy", "transformations"), (".csv", ".md", ".tex", ".sha256")
    expected = {f"{name}{suffix}" for name in names for suffix in suffixes}
    assert {file.name for file in folder.iterdir()} == expected
    accuracy = pd.read_csv(folder / "accuracy.csv")
    assert sorted(zip(accuracy["training"], accuracy["test"], strict=True)) == [
        (training, test) for training in TRAININGS for test in ("rotated", "unrotated")
    ]
    global_variance, layers = (pd.read_csv(folder / f"{name}.csv") for name in ("global_variance", "layers"))
    for table in (accuracy, global_variance):
        assert set(table["seeds"]) == {2}
        assert table["std"].notna().all()
    for table, rows in ((global_variance, 2 * 2 * 4), (layers, 2 * 16 * 2 * 4)):  # layers, strata, aggregations
        assert len(table) == rows
        assert set(table["stratum"]) == {"all", "stratified"}
        assert set(table["aggregation"]) == {"mean", "max", "sum", "spatial"}


def test_questions_that_are_not_asked_are_not_in_the_report(study: Path) -> None:
    report = (study / "results" / "report.html").read_text()
    assert "measure_variance" in report
    assert "measure_stability" not in report and "measure_transfer" not in report


def test_every_job_has_a_log_and_a_benchmark(study: Path) -> None:
    logs = {file.relative_to(study / "results/logs").with_suffix("") for file in study.rglob("logs/**/*.log")}
    folder = study / "results" / "benchmarks"
    assert logs == {file.relative_to(folder).with_suffix("") for file in folder.rglob("*.tsv")}
    assert Path("train_model/dataset=digits/model=simple_conv/training=rotated/seed=1") in logs


def test_the_log_of_a_job_says_what_it_computes_on(study: Path) -> None:
    for rule in ("train_model", "measure_accuracy", "measure_variance", "measure_convergence"):
        for log in (study / "results" / "logs" / rule).rglob("*.log"):
            assert re.search(r"no GPU: computing on the CPU, .*, 1 thread\n|computing on GPU 1 of \d", log.read_text())


def test_a_second_run_makes_nothing(study: Path) -> None:
    run = run_snakemake(study, "--cores", "2", "--configfile", "study.yaml")
    assert run.returncode == 0
    assert "Nothing to be done" in run.stderr


def test_a_part_leaves_the_report_alone(study: Path) -> None:
    report = study / "results" / "report.html"
    made = report.stat().st_mtime_ns
    (study / "results" / "figures" / "global_variance.png").unlink()
    target = "results/figures/global_variance.png"
    run = run_snakemake(study, "--cores", "2", "--configfile", "study.yaml", "--", target)
    assert run.returncode == 0, run.stderr
    assert (study / target).exists()
    assert report.stat().st_mtime_ns == made


def test_a_text_of_the_report_makes_the_report_again_and_nothing_else(study: Path) -> None:
    texts = study / "workflow" / "report"
    edit(texts / "captions" / "heatmap.md", "# Heatmap\n", "# Heatmap\nA new sentence.\n")
    run = run_snakemake(study, "--cores", "2", "--configfile", "study.yaml", "--", "results/report.html")
    assert run.returncode == 0, run.stderr
    assert "A new sentence." in (study / "results" / "report.html").read_text()
    assert "1 of 1 steps (100%) done" in run.stderr


def test_a_damaged_file_is_one_sentence(study: Path) -> None:
    network = "dataset=digits/model=simple_conv/training=rotated/seed=1"
    weights = study / "results" / "models" / network / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    target = f"results/variance/{network}/variance.parquet"
    try:
        run = run_snakemake(study, "--cores", "1", "--configfile", "study.yaml", "--", target)
    finally:
        weights.write_bytes(whole)
    assert run.returncode != 0
    assert f"Error: results/models/{network}/weights.safetensors" in run.stderr
    assert "Traceback" not in run.stderr
    log = (study / "results" / "logs" / "measure_variance" / f"{network}.log").read_text()
    assert "Error: results/models" in log


def test_a_measurement_cut_into_shards_is_the_same(study: Path) -> None:
    network = "dataset=digits/model=simple_conv/training=rotated/seed=0"
    target = study / "results" / "variance" / network / "variance.parquet"
    whole, whole_facts = results.read(target), results.metadata(target)
    target.unlink()
    (study / "sharded.yaml").write_text(yaml.safe_dump(STUDY | {"measurement": {"angles": 4, "shards": 4}}))
    run = run_snakemake(study, "--cores", "2", "--configfile", "sharded.yaml", "--", str(target.relative_to(study)))
    assert run.returncode == 0, run.stderr
    assert len(list((study / "results/logs/measure_shard").rglob("*_of_4.log"))) == 4
    merged, merged_facts = results.read(target), results.metadata(target)
    pd.testing.assert_frame_equal(merged, whole, rtol=1e-6)
    for key in ("configuration", "seed", "N", "R", "device", "commit"):
        assert merged_facts[key] == whole_facts[key]
    assert [file.name for file in target.parent.iterdir()] == ["variance.parquet"]  # the shards are gone
