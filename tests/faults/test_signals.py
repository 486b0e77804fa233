"""Asked to stop, everything ends at once and nothing is lost."""

import os
import random
import signal
import time

import pytest
from amounts import times
from processes import Study, nothing_left, running

SECONDS = 10
# The scripts' names: before the first of them Snakemake itself is starting
STAGES = ["", "download_dataset", "train_model", "measure_", "merge_shards", "plot_", "tabulate_"]
SIGNALS = [signal.SIGTERM, signal.SIGINT]
SHORT = [("", signal.SIGINT), ("train_model", signal.SIGTERM), ("measure_", signal.SIGINT)]
ALL = [(stage, number) for stage in STAGES for number in SIGNALS for _ in range(3)]


@pytest.mark.timeout(2 * 3600)
def test_the_process_group_is_asked_to_stop(tmp_path, capsys):
    """Stage after stage of one study, each once it goes: at any moment, Python's start included."""
    chance = random.Random(0)
    study = Study(tmp_path / "rotvar")
    longest = 0.0
    with nothing_left(study):
        for stage, number in times(short=SHORT, long=ALL):
            snakemake = study.begin()
            if stage and not running(stage, snakemake):
                continue  # it is done: an earlier stop came too late for it
            time.sleep(chance.uniform(0, 4))
            asked = time.perf_counter()
            os.killpg(snakemake.pid, number)
            snakemake.wait(timeout=SECONDS)
            assert study.jobs() == []
            longest = max(longest, time.perf_counter() - asked)
            assert [file for file in study.litter() if not file.name.startswith(".checkpoint-")] == []
            assert "--- Logging error" not in study.log
        assert study.run() == 0, study.log
        assert study.litter() == []
    with capsys.disabled():
        print(f"{len(times(short=SHORT, long=ALL))} times, ended after {longest:.1f} s at most")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_training_keeps_its_state(number, tmp_path):
    recipe = {"default": {"epochs": 400, "batch_size": 16}}
    study = Study(tmp_path / "rotvar", targets=("train",), training=recipe)
    with nothing_left(study):
        snakemake = study.begin()
        while not list(study.results.rglob(".checkpoint-*.pt")):
            assert snakemake.poll() is None, study.log
            time.sleep(0.05)
        os.killpg(snakemake.pid, number)
        assert snakemake.wait(timeout=SECONDS) != 0
        assert study.jobs() == []
    assert len(list(study.results.rglob(".checkpoint-*.pt"))) == 1
    assert not list(study.results.rglob("weights.safetensors"))
    (log,) = (study.results / "logs" / "train_model").rglob("*.log")
    assert "asked to stop after epoch" in log.read_text()
