"""`snakemake --profile slurm` on a real SLURM: three nodes of two stand-in GPUs each (slurm/cluster.py)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import STUDY, require
from copies import copy_workflow, edit
from slurm.cluster import NODES, Cluster, Job, cluster, obstacle, run, wait

from rotvar import results

ON_GPUS = {
    *("train_model", "measure_accuracy", "measure_variance", "measure_shard"),
    *("measure_transformation", "measure_convergence"),
}
# Snakemake that asks every second how jobs are; SLURM's plugin waits ten seconds more each time that none has ended
IMPATIENT = """
import sys
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
main(sys.argv[1:])
"""
# The profile as it is, but for the seconds before the first question: jobs are short here
COMMAND = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1", "--configfile", "study.yaml")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    reason = obstacle()
    require(reason is None, str(reason))
    with cluster() as up:
        yield up


def begin(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start Snakemake with the profile; its log is `snakemake.log`."""
    command = [sys.executable, "-c", IMPATIENT, *COMMAND, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    with (folder / "snakemake.log").open("w") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, text=True, env=environment)


def submit(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run Snakemake with the profile to its end; give its exit status and what it said."""
    with begin(folder, *arguments) as snakemake:
        status = snakemake.wait()
    return status, (folder / "snakemake.log").read_text()


def since(cluster: Cluster, before: list[Job]) -> list[Job]:
    numbers = {job.number for job in before}
    return [job for job in cluster.jobs() if job.number not in numbers]


@pytest.fixture(scope="module")
def finished(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole of conftest's STUDY, made on the cluster."""
    folder = copy_workflow(tmp_path_factory.mktemp("slurm") / "rotvar")
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
    status, log = submit(folder)
    assert status == 0, log
    return folder


def test_a_study_gives_the_tables_of_a_local_run(finished: Path, study: Path) -> None:
    tables = sorted((study / "results" / "tables").iterdir())
    assert len(tables) == 16  # four tables in three formats, with checksums
    for table in tables:
        assert (finished / "results" / "tables" / table.name).read_text() == table.read_text()
    assert (finished / "results" / "report.html").exists()


def test_the_download_runs_where_snakemake_runs(finished: Path, slurm: Cluster) -> None:
    assert list((finished / "results" / "data").iterdir())
    assert "download_dataset" not in {job.rule for job in slurm.jobs()}


def test_a_job_that_trains_or_measures_has_one_gpu_and_no_other_has_any(finished: Path, slurm: Cluster) -> None:
    jobs = [job for job in slurm.jobs() if job.state == "COMPLETED"]
    assert sum(job.rule == "train_model" for job in jobs) == 4
    for job in jobs:
        assert job.gpus in ([{"0"}, {"1"}] if job.rule in ON_GPUS else [{"none"}]), job
    # No two have the same one at the same time
    ends = slurm.ends()
    for one, other in combinations([job for job in jobs if job.rule in ON_GPUS], 2):
        if (one.node, one.gpus) == (other.node, other.gpus):
            (a,), (b,) = ends[one.number], ends[other.number]
            assert a["EndTime"] <= b["StartTime"] or b["EndTime"] <= a["StartTime"]


def test_jobs_ask_for_what_they_need(finished: Path, slurm: Cluster) -> None:
    asked = {job.rule: job.entries for job in slurm.jobs()}
    for rule, time, memory in (("train_model", "00:31:00", "6002M"), ("plot_layers", "00:30:00", "4000M")):
        assert asked[rule]["Partition"] == "gpu"
        assert (asked[rule]["TimeLimit"], asked[rule]["MinMemoryNode"]) == (time, memory)
        assert asked[rule]["NumCPUs"] == "1"


def test_a_measurement_is_spread_over_three_jobs(finished: Path, slurm: Cluster) -> None:
    before = slurm.jobs()
    network = "dataset=digits/model=simple_conv/training=rotated/seed=0"
    target = finished / "results" / "variance" / network / "variance.parquet"
    whole = results.read(target)
    target.unlink()
    sharded = STUDY | {"measurement": {"angles": 4, "shards": 3}}
    (finished / "study.yaml").write_text(yaml.safe_dump(sharded))
    status, log = submit(finished, "--", str(target.relative_to(finished)))
    (finished / "study.yaml").write_text(yaml.safe_dump(STUDY))
    assert status == 0, log
    jobs = since(slurm, before)
    assert sorted(job.rule for job in jobs) == [*["measure_shard"] * 3, "measure_variance"]
    assert {job.wildcards[-1] for job in jobs if job.rule == "measure_shard"} == {"1", "2", "3"}
    assert all(len(job.gpus) == 1 for job in jobs if job.rule == "measure_shard")
    pd.testing.assert_frame_equal(results.read(target), whole, rtol=1e-6)


def test_a_job_that_always_fails_is_tried_three_times_and_its_error_is_shown(finished: Path, slurm: Cluster) -> None:
    before = slurm.jobs()
    network = "dataset=digits/model=simple_conv/training=rotated/seed=1"
    weights = finished / "results" / "models" / network / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    try:
        status, log = submit(finished, "--", f"results/accuracy/{network}/accuracy.parquet")
    finally:
        weights.write_bytes(whole)
    assert status != 0
    assert [job.state for job in since(slurm, before)] == ["FAILED"] * 3
    assert f"Error: results/models/{network}/weights.safetensors" in log


# Five trainings that go on slowly while there is a file "hold", and of which one takes 1.2 GB more once there is a file
# with its name: shared memory, which no limit on a process counts, so that it is the kernel that ends it.
EPOCHS = 200
LONG = STUDY | {"seeds": [0, 1, 2, 3, 4], "training": {"default": {"epochs": EPOCHS, "batch_size": 16}}}
STEP = "                bar.update(trainer.train_batch())\n"
SLOW = """\
                if Path("hold").exists():
                    time.sleep(0.5)
                if Path(f"greedy-{seed}").exists() and not GREED:
                    GREED.append(mmap.mmap(-1, 1_200_000_000))
                    for page in range(0, len(GREED[0]), mmap.PAGESIZE):
                        GREED[0][page] = 1
"""


class Trainings:
    """The trainings of LONG on the cluster, begun for a target and held; as many run as there are free GPUs."""

    def __init__(self, slurm: Cluster, folder: Path, target: str, gpus: int = 5) -> None:
        self.slurm, self.folder, self.target = slurm, copy_workflow(folder), target
        (folder / "study.yaml").write_text(yaml.safe_dump(LONG))
        edit(folder / "config.yaml", "  unrotated: {}\n", "")  # a study's mappings are added to
        module = folder / "workflow" / "scripts" / "rotvar" / "training" / "__init__.py"
        edit(module, STEP, STEP + SLOW)
        edit(module, "import time\n", "import mmap\nimport time\nfrom pathlib import Path\n")
        edit(module, "log = ", "GREED: list[mmap.mmap] = []\nlog = ")
        (folder / "hold").touch()
        self.before = slurm.jobs()
        self.begin()
        wait(lambda: len(self.running()) == len(self.checkpoints()) == gpus, f"{gpus} trainings", 120)
        self.first = self.running()

    def begin(self) -> None:
        # What a first attempt asks for does not hold 1.2 GB more, what a second asks for does
        memory = ("--set-resources", "train_model:mem_mb=1500 * attempt")
        self.snakemake = begin(self.folder, *memory, "--", self.target)

    def running(self) -> dict[str, Job]:
        """The jobs that train at this moment, by seed."""
        jobs = [job for job in since(self.slurm, self.before) if (job.rule, job.state) == ("train_model", "RUNNING")]
        return {job.wildcards[-1]: job for job in jobs}

    def checkpoints(self) -> list[Path]:
        return list((self.folder / "results" / "models").rglob(".checkpoint-*"))

    def ends(self, seed: str) -> list[str]:
        """How its first job ended: more than once, if SLURM itself began it again."""
        return [end["JobState"] for end in self.slurm.ends().get(self.first[seed].number, [])]

    def wait_for_end(self, seed: str, *states: str) -> None:
        wait(lambda: self.ends(seed) == [*states], f"training {seed} that ends with {states}", 120)

    def wait_for_words(self, seed: str, words: str) -> None:
        """Wait for words in the log of a training, which each of its runs begins anew."""
        log = self.file("logs/train_model", seed, ".log")
        wait(lambda: log.exists() and words in log.read_text(), f"'{words}' of training {seed}", 90)

    def file(self, what: str, seed: str, name: str) -> Path:
        return self.folder / "results" / what / f"dataset=digits/model=simple_conv/training=rotated/seed={seed}{name}"


def test_whatever_ends_a_training_it_goes_on_and_its_network_is_measured(slurm: Cluster, tmp_path: Path) -> None:
    trainings = Trainings(slurm, tmp_path / "rotvar", "results/tables/accuracy.csv")
    try:
        nodes = {node: sorted(seed for seed, job in trainings.first.items() if job.node == node) for node in NODES}
        (alone,) = (node for node, seeds in nodes.items() if len(seeds) == 1)
        one, other = (node for node, seeds in nodes.items() if len(seeds) == 2)

        # A node dies and comes back; SLURM begins its job again
        (dead,) = nodes[alone]
        slurm.lose_node(alone)
        trainings.wait_for_end(dead, "NODE_FAIL")
        slurm.start_node(alone)

        # A job is cancelled; Snakemake submits it again
        cancelled, limited = nodes[one]
        run("scancel", trainings.first[cancelled].number)
        trainings.wait_for_end(cancelled, "CANCELLED")
        trainings.wait_for_words(cancelled, "asked to stop after epoch")

        # A job makes room for a more urgent one; SLURM begins it again
        urgent = ("--partition=urgent", f"--nodelist={other}", "--gpus=1", "--mem=100")
        run("sbatch", *urgent, "--output=/dev/null", "--wrap=true")
        wait(lambda: any(map(trainings.ends, nodes[other])), "preemption")
        preempted, greedy = sorted(nodes[other], key=trainings.ends, reverse=True)
        assert trainings.ends(preempted) == ["PREEMPTED"]

        # The other one on this node takes more memory than it has asked for
        (trainings.folder / f"greedy-{greedy}").touch()

        # A job has used its time up
        wait(lambda: trainings.running()[limited].entries["RunTime"] > "00:01:00", "job of a minute")
        run("scontrol", "update", f"JobId={trainings.first[limited].number}", "TimeLimit=1")

        # A job is warned two minutes before it has
        trainings.wait_for_words(dead, "going on from")
        run("scontrol", "update", f"JobId={trainings.first[dead].number}", "TimeLimit=3")

        trainings.wait_for_end(greedy, "FAILED")
        (log,) = (trainings.folder / ".snakemake").rglob(f"{trainings.first[greedy].number}.log")
        assert "Out Of Memory" in log.read_text()
        trainings.wait_for_end(limited, "TIMEOUT")
        trainings.wait_for_words(dead, "asked to stop after epoch")
        trainings.wait_for_end(dead, "NODE_FAIL", "FAILED")

        (trainings.folder / "hold").unlink()
        assert trainings.snakemake.wait(timeout=300) == 0, (trainings.folder / "snakemake.log").read_text()
    finally:
        trainings.snakemake.kill()
        trainings.snakemake.wait()
        run("scancel", "--user=root")

    assert {dead, cancelled, limited, preempted, greedy} == {"0", "1", "2", "3", "4"}
    for seed in trainings.first:
        history = trainings.file("models", seed, "/history.parquet")
        assert results.read(history)["epoch"].tolist() == [epoch for epoch in range(1, EPOCHS + 1) for _ in range(2)]
        resumed = results.metadata(history)["resumed"]
        assert resumed and all(place > [1, 0] for place in resumed), (seed, resumed)
    assert trainings.checkpoints() == []
    table = pd.read_csv(trainings.folder / "results" / "tables" / "accuracy.csv")
    assert set(table["seeds"]) == {5}
    asked = [job.entries["MinMemoryNode"] for job in slurm.jobs() if job.wildcards.endswith(f"rotated_{greedy}")]
    assert "1500M" in asked and "3000M" in asked


def test_after_a_snakemake_that_was_killed_its_jobs_are_cancelled(slurm: Cluster, tmp_path: Path) -> None:
    """Those that run and those that wait: none works beside the new ones, and none comes after them."""
    run("scontrol", "update", "NodeName=n3", "State=DRAIN", "Reason=test")
    wait(lambda: slurm.state("n3") == "drained", "node that takes no jobs")
    trainings = Trainings(slurm, tmp_path / "rotvar", "train", gpus=4)
    try:
        old = since(slurm, trainings.before)
        assert sorted(job.state for job in old) == ["PENDING", *["RUNNING"] * 4]
        trainings.snakemake.kill()
        trainings.snakemake.wait()
        trainings.begin()
        words = "Cancelling 5 jobs that a killed snakemake has left in SLURM's queue."
        wait(lambda: words in (trainings.folder / "snakemake.log").read_text(), f"'{words}'", 120)
        (trainings.folder / "hold").unlink()  # not before: they could reach their ends
        assert trainings.snakemake.wait(timeout=300) == 0
    finally:
        trainings.snakemake.kill()
        trainings.snakemake.wait()
        run("scancel", "--user=root")
        run("scontrol", "update", "NodeName=n3", "State=RESUME")

    ends = slurm.ends()
    assert [ends[job.number][0]["JobState"] for job in old] == ["CANCELLED"] * 5
    new = [job for job in since(slurm, trainings.before) if job.number not in {job.number for job in old}]
    assert sum(job.rule == "train_model" for job in new) == 5
    assert max(ends[job.number][0]["EndTime"] for job in old) <= min(ends[job.number][0]["StartTime"] for job in new)
    for seed in trainings.first:  # those that ran have saved their state, and went on from it
        history = trainings.file("models", seed, "/history.parquet")
        assert results.metadata(history)["resumed"]
