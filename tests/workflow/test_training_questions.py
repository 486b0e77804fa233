"""Which layers must be retrained, and when does invariance appear? Both questions, asked of a small study by name."""

import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from copies import ROOT, copy_workflow, run_snakemake
from safetensors.torch import load_file

from rotvar import results, summary

STUDY = {
    "datasets": ["digits"],
    "models": ["simple_conv"],
    "trainings": {"unrotated": {}, "rotated": {"rotation": 180}, "untrained": {"epochs": 0}},
    "seeds": [3],
    # Enough that the unrotated network learns something: accuracies of chance would all be the same
    "data": {"train_images": 300, "test_images": 40},
    "architectures": {"simple_conv": {"default": {"width": 4, "hidden": 16}}},
    "training": {"default": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}},
    "measurement": {"angles": 4},
    "figures": {"aggregations": ["mean"]},
    "retraining": {"epochs": 1},
    "emergence": {"epochs": [2, 0]},
}
NETWORK = "dataset=digits/model=simple_conv/training={training}/seed=3"
LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_workflow(tmp_path_factory.mktemp("questions") / "rotvar")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    before = f"results/accuracy/{NETWORK.format(training='unrotated')}/accuracy.parquet"  # to compare with
    run = run_snakemake(folder, "--cores", "2", "--configfile", "study.yaml", "--", "retraining", "emergence", before)
    assert run.returncode == 0, run.stderr
    assert "trained networks 5, measurements 8, sets of figures 2, tables 2" in run.stderr
    return folder / "results"


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_figures(suffix: str, study: Path) -> None:
    assert {file.name for file in (study / "figures" / "digits" / "simple_conv").glob(f"*.{suffix}")} == {
        f"retraining.{suffix}",
        f"emergence_mean.{suffix}",
    }


@pytest.mark.parametrize("what", ["retraining", "emergence"])
def test_tables(what: str, study: Path) -> None:
    """docs/results.md has the columns."""
    assert {file.suffix for file in (study / "tables").glob(f"{what}.*")} == {".csv", ".md", ".tex", ".sha256"}
    (line,) = re.findall(rf"^\| `{what}` .*$", (ROOT / "docs" / "results.md").read_text(), re.MULTILINE)
    columns = [name for name in re.findall("`(.+?)`", line.split("|")[3]) if name != "from the start"]
    assert columns == list(pd.read_csv(study / "tables" / f"{what}.csv").columns)


def test_columns_are_documented(study: Path) -> None:
    (section,) = re.findall(
        r"^## `retraining/NETWORK/retraining.parquet`$(.*?)(?=^## |\Z)",
        (ROOT / "docs" / "results.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    (file,) = (study / "retraining").rglob("*.parquet")
    assert re.findall("`(.+?)`", " ".join(cells)) == pq.read_schema(file).names


def test_each_layer_is_retrained_and_what_is_not_is_as_it_was(study: Path) -> None:
    table = results.read(study / "retraining")
    schemes = ["none", *LAYERS, "all convolutions", "all fully connected", "all"]
    assert table["scheme"].unique().tolist() == schemes
    assert set(table["training"]) == {"unrotated"}
    assert set(table["retrained"]) == {"rotated"}
    accuracy = summary.accuracy_by_test(results.read(study / "accuracy", training=["unrotated"]))
    untouched = table[table["scheme"] == "none"]
    assert untouched[["test", "accuracy"]].to_numpy().tolist() == accuracy[["test", "accuracy"]].to_numpy().tolist()
    facts = results.metadata(next((study / "retraining").rglob("*.parquet")))
    assert facts["configuration"]["augmentation"] == {}
    assert facts["configuration"]["retraining"]["augmentation"] == {"rotation": 180}
    assert facts["configuration"]["retraining"]["recipe"] == facts["configuration"]["recipe"] | {"epochs": 1}
    assert not [file for file in (study / "retraining").rglob(".*") if file.is_file()]


def test_the_table_has_those_that_were_trained_so_from_the_start(study: Path) -> None:
    table = pd.read_csv(study / "tables" / "retraining.csv").set_index(["scheme", "test"])
    assert len(table) == (len(LAYERS) + 5) * 2
    of_each = [results.read(study / "accuracy", training=[name]) for name in ("unrotated", "rotated")]
    other, accuracy = map(summary.accuracy_by_test, of_each)
    assert (other["accuracy"] != accuracy["accuracy"]).all()
    for test, value in accuracy[["test", "accuracy"]].itertuples(index=False):
        assert table.loc[("from the start", test), "accuracy"] == value


@pytest.mark.parametrize("training", ["unrotated", "rotated"])
def test_a_training_with_snapshots_is_the_studys_own(training: str, study: Path) -> None:
    network = NETWORK.format(training=training)
    own = load_file(study / "models" / network / "weights.safetensors")
    last = load_file(study / "emergence" / network / "epoch=2" / "weights.safetensors")
    assert own.keys() == last.keys()
    assert all(own[name].equal(last[name]) for name in own)
    assert not [file for file in (study / "emergence").rglob(".*") if file.is_file()]


def test_both_trainings_begin_with_the_same_weights(study: Path) -> None:
    first = [
        load_file(study / "emergence" / NETWORK.format(training=training) / "epoch=0" / "weights.safetensors")
        for training in ("unrotated", "rotated")
    ]
    assert all(first[0][name].equal(first[1][name]) for name in first[0])


def test_the_measure_is_a_table_of_epochs(study: Path) -> None:
    table = results.read(study / "emergence", stratum=["all"])
    assert sorted(table["epoch"].unique()) == [0, 2]
    assert set(table["aggregation"]) == {"mean"}
    assert set(table["training"]) == {"unrotated", "rotated"}  # in one of no epochs nothing appears
    last = summary.layer_means(table[table["epoch"] == 2]).drop(columns="epoch")
    own = summary.layer_means(results.read(study / "variance", stratum=["all"], aggregation=["mean"]))
    pd.testing.assert_frame_equal(last, own, check_categorical=False)
    rows = ["training", "epoch", "layer"]
    shown, means = (
        one.astype({"normalized_variance": "float64"}).set_index(rows)["normalized_variance"].to_dict()
        for one in (pd.read_csv(study / "tables" / "emergence.csv"), summary.layer_means(table))
    )
    assert shown == pytest.approx(means, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("changes", "target", "sentence"),
    [
        (
            {"retraining": {"to": "shifted"}},
            "retraining",
            "retraining.to is 'shifted', which trainings does not ",
        ),
        ({"emergence": {"epochs": [3]}}, "emergence", "emergence.epochs[0] is 3, but simple_conv on digits, "),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_sentence_where_it_is_asked(
    changes: dict[str, object], target: str, sentence: str, study: Path
) -> None:
    folder = study.parent
    (folder / "other.yaml").write_text(yaml.safe_dump(STUDY | changes))
    run = run_snakemake(folder, "-n", "--configfile", "other.yaml", "--", target)
    assert run.returncode != 0
    assert [line for line in run.stderr.splitlines() if "rror" in line] == [
        line for line in run.stderr.splitlines() if line.startswith(f"Error in the configuration: {sentence}")
    ]
    assert "Traceback" not in run.stderr
    assert run_snakemake(folder, "-n", "--configfile", "other.yaml").returncode == 0  # not asked


@pytest.mark.parametrize(
    ("changes", "jobs"),
    [
        ({}, {}),
        ({"retraining": {"epochs": 2}}, {"retrain_model": 1, "plot_retraining": 1, "tabulate_retraining": 1}),
        (
            {"emergence": {"epochs": [0, 1, 2]}},
            {"train_with_snapshots": 2, "measure_emergence": 6, "plot_emergence": 1, "tabulate_emergence": 1},
        ),
    ],
)
def test_what_is_made_again(changes: dict[str, object], jobs: dict[str, int], study: Path) -> None:
    folder = study.parent
    (folder / "changed.yaml").write_text(yaml.safe_dump(STUDY | changes))
    run = run_snakemake(folder, "-n", "--configfile", "changed.yaml", "--", "retraining", "emergence")
    assert run.returncode == 0, run.stderr
    planned = dict(
        re.findall(r"^(\w+) +(\d+)$", run.stdout.partition("Job stats:")[2].partition("total")[0], re.MULTILINE)
    )
    assert {rule: int(count) for rule, count in planned.items() if rule not in ("retraining", "emergence")} == jobs
