"""Killed at any moment, a study goes on and ends as if nothing had been; no result is ever there in part."""

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from amounts import LONG, times
from conftest import SHARED, require
from processes import Demo, Study, assert_same, nothing_left, running, script
from server import Server
from watcher import Watcher

MNIST = {"datasets": ["mnist"]}
KILLS = times(short=4, long=50)
CHAIN = 10  # kills of one study, before it is let finish

# A stage of the study, how the names of its scripts begin, and the folders of results that are removed for it to come
STAGES = {
    "download": ("download_dataset", ("data", "models")),
    "training": ("train_model", ("models",)),
    "measurement": ("measure_", ("variance",)),
    "merging": ("merge_shards", ("variance",)),
    "plotting": ("plot_", ("figures",)),
    "tables": ("tabulate_", ("tables",)),
}
VICTIMS = ("the job", "snakemake", "all of them")


def kill(victim: str, snakemake, job) -> None:
    if victim == "the job":
        with suppress(psutil.NoSuchProcess):  # it has just ended
            job.kill()
    elif victim == "snakemake":
        os.kill(snakemake.pid, signal.SIGKILL)
    else:
        os.killpg(snakemake.pid, signal.SIGKILL)


def strike(victim: str, snakemake, chance: random.Random) -> str:
    """Kill `victim`, of the jobs one that runs now, or Snakemake where none does; say what was hit."""
    jobs = [job for job in psutil.Process(snakemake.pid).children(recursive=True) if script(job)]
    victim = victim if jobs else "snakemake"
    at_work = ", ".join(map(script, jobs)) or "no job"
    kill(victim, snakemake, chance.choice(jobs or [None]))
    return f"{victim}, while there ran {at_work}"


def remove(study: Study, folders: tuple[str, ...]) -> None:
    """What a stage made, but not the state that a killed job left."""
    for folder in folders:
        for file in (study.results / folder).rglob("*"):
            if file.is_file() and not file.name.startswith("."):
                file.unlink()


@pytest.fixture(scope="module")
def mnist() -> Path:
    folder = SHARED / "datasets" / "mnist"
    require(folder.is_dir(), f"there is no {folder}")
    return folder


@pytest.mark.timeout(4 * 3600)
def test_a_study_that_is_killed_ends_as_one_that_is_not(tmp_path, mnist, capsys):
    chance = random.Random(0)
    plan = [(stage, chance.choice(VICTIMS), chance.random()) for stage in chance.choices(list(STAGES), k=KILLS)]
    plan[: len(STAGES)] = [(stage, *rest) for stage, (_, *rest) in zip(STAGES, plan, strict=False)]  # each once
    struck: list[str] = []
    with Server(mnist, seconds=1) as server:
        undisturbed, killed = Study(tmp_path / "undisturbed", **MNIST), Study(tmp_path / "killed", **MNIST)
        undisturbed.download_from(server.url)
        killed.download_from(server.url)
        assert undisturbed.run() == 0, undisturbed.log
        expected = undisturbed.outcome()
        finished = 0
        with Watcher(killed.results) as watcher, nothing_left(killed):
            for number, (stage, victim, moment) in enumerate(plan, 1):
                script, outputs = STAGES[stage]
                remove(killed, outputs)
                snakemake = killed.begin()
                job = running(script, snakemake)
                assert job, f"no job of {stage}: {killed.log}"
                time.sleep(moment * 4)  # Python's start is the longer part of it
                kill(victim, snakemake, job)
                assert snakemake.wait(timeout=900) != 0 or victim == "the job"  # which may have ended before
                struck.append(f"{stage}: {victim}")
                with capsys.disabled():
                    print(f"{number}. killed {victim} in {stage}; {watcher.checked} files seen", flush=True)
                if number % CHAIN == 0 or number == KILLS:
                    assert killed.run() == 0, killed.log
                    assert_same(killed.outcome(), expected)
                    assert killed.litter() == [] and killed.jobs() == []
                    finished += 1
        assert watcher.partial == []
        assert watcher.checked > len(expected)
    with capsys.disabled():
        print(f"{len(struck)} kills, {finished} studies finished, {watcher.checked} files seen whole")


@pytest.mark.skipif(not LONG, reason="takes an hour: make faults")
@pytest.mark.timeout(6 * 3600)
def test_the_demo_that_is_killed_ends_as_one_that_is_not(tmp_path, capsys):
    """At moments drawn at random, with nothing taken away in between: what comes is what a user would lose."""
    chance = random.Random(1)
    undisturbed, killed = Demo(tmp_path / "undisturbed"), Demo(tmp_path / "killed")
    assert undisturbed.run() == 0, undisturbed.log
    expected = undisturbed.outcome()
    del expected["report.html"]  # names the folder and the day
    finished = kills = 0

    def assert_finished() -> None:
        nonlocal finished
        outcome = killed.outcome()
        del outcome["report.html"]
        assert_same(outcome, expected)
        assert killed.litter() == [] and killed.jobs() == []
        finished += 1

    with Watcher(killed.results) as watcher, nothing_left(killed):
        while kills < KILLS:
            snakemake = killed.begin()
            with suppress(subprocess.TimeoutExpired):
                assert snakemake.wait(timeout=chance.uniform(2, 40)) == 0, killed.log
                assert_finished()
                for made in killed.results.iterdir():  # the folder itself is watched
                    shutil.rmtree(made) if made.is_dir() else made.unlink()
                continue
            victim = chance.choice(VICTIMS)
            struck = strike(victim, snakemake, chance)
            snakemake.wait(timeout=900)
            kills += 1
            with capsys.disabled():
                print(f"{kills}. killed {struck}; {watcher.checked} files seen, {finished} finished", flush=True)
        assert killed.run() == 0, killed.log
        assert_finished()
        assert watcher.partial == []
        assert watcher.checked > len(expected)
