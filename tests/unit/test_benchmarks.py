"""The benchmarks, on few images: their records follow from their times, and their tables from their records."""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "digits/simple_conv"


def benchmark(program: str, *options: object) -> str:
    command = [sys.executable, ROOT / "benchmarks" / program, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_accuracies_are_printed_with_what_was_published_of_them(tmp_path):
    """Also where nothing was."""
    network = {"dataset": "mnist", "training": "rotated", "seed": 0, "epochs": 10, "seconds": 1290.0, "hardware": "CPU"}
    tests = {"unrotated": 0.9871, "rotated": 0.98}
    records = [
        network | {"model": "vgg16", "accuracy": tests, "published": dict.fromkeys(tests)},
        network | {"model": "vgg_like", "accuracy": tests, "published": {"unrotated": 0.97, "rotated": 0.99}},
    ]
    for count, expected in ((1, ["0.987", "0.980"]), (2, ["0.987 (+0.017)", "0.980 (-0.010)"])):
        (tmp_path / "accuracy.json").write_text(json.dumps({"networks": records[:count]}))
        table = benchmark("accuracy.py", "--out", tmp_path / "accuracy.json")
        cells = [cell.strip() for cell in table.splitlines()[-1].split("|")[1:-1]]
        assert cells[3:] == ["0", "10", "22", *expected, "CPU"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What the program printed, and the file that it wrote: two turns of one step each."""
    out = tmp_path_factory.mktemp("benchmark") / "train.json"
    sizes = ["--datasets", "digits", "--models", "simple_conv", "--images", 40]
    parts = ["--parts", "speed", "precisions", "rotation", "loop"]
    turns = ["--steps", 1, "--repeats", 2, "--workers", 0, 1, "--threads", 1]
    return benchmark("train.py", *sizes, *parts, *turns, "--out", out), out


@pytest.fixture(scope="module")
def record(run):
    return json.loads(run[1].read_text())


def test_images_per_second_are_those_of_the_median_step(record):
    speed = record["networks"][NETWORK]["speed"]
    median = statistics.median(speed["seconds"]["rotated"])
    assert speed["images_per_second"] == pytest.approx(40 / median)  # all images are one batch


def test_a_training_takes_its_epochs_over_the_whole_data_set_at_that_speed(record):
    found = record["networks"][NETWORK]
    seconds = record["seconds_per_study_extrapolated"]["each_training"][NETWORK]
    assert seconds == pytest.approx(found["recipe"]["epochs"] * 1437 / found["speed"]["images_per_second"])


def test_precisions_are_compared_by_the_medians_of_their_steps(record):
    found = record["networks"][NETWORK]["precisions"]
    median = {name: statistics.median(each) for name, each in found["seconds"].items()}
    assert found["ratio"]["ratio"] == pytest.approx(median["float32"] / median["bfloat16"])


def test_rotations_share_is_the_median_of_the_rounds(record):
    rotation = record["networks"][NETWORK]["rotation"]
    pairs = zip(rotation["seconds"]["rotated"], rotation["seconds"]["unrotated"], strict=True)
    assert rotation["share"] == pytest.approx(statistics.median(1 - without / rotated for rotated, without in pairs))


def test_the_plain_loop_is_compared_by_its_medians_with_each_number_of_workers_tried(record):
    loop = record["networks"][NETWORK]["loop"]
    for name in ("plain", "plain_as_ours"):
        assert loop["seconds_of_a_step_by_workers"][name].keys() == {"0", "1"}
        medians = {side: statistics.median(loop["seconds"][side]) for side in (name, "ours")}
        assert loop["ratios"][name]["ratio"] == pytest.approx(medians[name] / medians["ours"])


def test_the_tables_of_a_file_are_those_that_its_run_printed(run):
    printed, out = run
    assert NETWORK in printed
    assert benchmark("train.py", "--table", out) == printed


def test_jobs_side_by_side_are_compared_with_the_same_jobs_one_after_another(tmp_path, monkeypatch):
    """With stand-ins for the runs of Snakemake, which take as many seconds as they have cores."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import jobs

    runs = []

    def made_again(folder, part, networks, cores, threads):
        runs.append((cores, threads))
        return float(cores)

    monkeypatch.setattr(jobs, "made_again", made_again)
    options = SimpleNamespace(jobs=4, cores=2, repeats=2)
    found = jobs.side_by_side(tmp_path, "train", [], options)
    sides = [(4, 1), (1, 1), (2, 2)]
    assert runs == sides + sides[::-1]
    assert {other: of["ratio"] for other, of in found["ratios"].items()} == {
        "one_after_another": 4,
        "one_after_another_on_all_cores": 2,
    }


def test_compiling_pays_where_it_saves_more_than_it_takes(tmp_path):
    out = tmp_path / "measure.json"
    sizes = ["--datasets", "digits", "--models", "simple_conv", "--images", 20, "--angles", 4, "--threads", 1]
    printed = benchmark("measure.py", *sizes, "--parts", "compiled", "--repeats", 1, "--out", out)
    found = json.loads(out.read_text())["networks"][NETWORK]["compiled"]
    assert found["compiling_seconds"] > 0
    for aggregations in ("mean_max_sum", "everything"):
        one = found[aggregations]
        saved = (one["median_seconds"]["operations"] - one["median_seconds"]["compiled"]) / one["activations"]
        assert one["nanoseconds_saved_an_activation"] == pytest.approx(saved * 1e9)
        assert one["worth_compiling"] == (pytest.approx(found["compiling_seconds"] / saved) if saved > 0 else None)
    assert found["everything"]["activations"] > found["mean_max_sum"]["activations"]
    assert benchmark("measure.py", "--table", out) == printed
