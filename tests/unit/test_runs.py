"""One run of a study at a time; what a killed one left is in nobody's way."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest
from copies import ROOT

from rotvar.errors import InputError
from rotvar.study import runs


@pytest.fixture(autouse=True)
def let_go(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The locks that a test takes go with it."""
    held: list[int] = []
    monkeypatch.setattr(runs, "_held", held)
    monkeypatch.setenv(runs.VARIABLE, "")
    yield
    for file in held:
        os.close(file)


@contextmanager
def another(call: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has made a call of `runs`, with a job of its own: it prints the job's number and waits."""
    program = f"""
import subprocess, sys
from rotvar.study import runs
runs.{call}
job = subprocess.Popen([sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"],
                       stdout=subprocess.PIPE)
job.stdout.readline()
print(job.pid, flush=True)
sys.stdin.read()
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    ) as process:  # fmt: skip
        assert process.stdout
        job = psutil.Process(int(process.stdout.readline()))
        try:
            process.job = job  # type: ignore[attr-defined]
            yield process
        finally:
            process.kill()
            if job.is_running():
                job.kill()


def test_two_runs_of_one_study_exclude_each_other(tmp_path):
    results = tmp_path / "results"
    with another("begin('results')", tmp_path):
        with pytest.raises(
            InputError, match=r"^another snakemake is making .*results: wait until it has ended, or name"
        ):
            runs.begin(results)
        assert runs.begin(tmp_path / "other results") == 0


def test_one_that_was_killed_excludes_nobody_and_its_jobs_are_ended(tmp_path):
    with another("begin('results')", tmp_path) as killed:
        killed.kill()
        killed.wait()
        assert killed.job.is_running()
        assert runs.begin(tmp_path / "results") == 1
        assert not psutil.pid_exists(killed.job.pid) or killed.job.status() == psutil.STATUS_ZOMBIE


def test_jobs_that_do_not_listen_are_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "PATIENCE", 0.2)
    environment = os.environ | {runs.VARIABLE: str(tmp_path.resolve())}
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = f"import signal, time; {deaf}; print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as job:
        assert job.stdout
        job.stdout.readline()
        assert runs.begin(tmp_path) == 1
        assert not psutil.pid_exists(job.pid)


def test_where_locks_tell_nobody_from_the_dead_no_jobs_are_ended(tmp_path, monkeypatch, caplog):
    with another("begin('results')", tmp_path) as alive:
        monkeypatch.setattr(runs.fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
        assert runs.begin(tmp_path / "results") == 0
        assert alive.job.is_running()
    assert "cannot be locked (No locks available): run one snakemake at a time on it" in caplog.text


def test_jobs_of_other_studies_go_on(tmp_path):
    environment = os.environ | {runs.VARIABLE: str(tmp_path / "other")}
    program = "import time; print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as job:
        assert job.stdout
        job.stdout.readline()
        assert runs.begin(tmp_path) == 0
        assert job.poll() is None
        job.kill()


def test_the_locks_of_the_dead_are_forgotten(tmp_path):
    """Snakemake's own, which are files."""
    lock = tmp_path / ".snakemake" / "locks" / "0.output.lock"
    with another("forget_the_dead()", tmp_path) as alive:
        lock.parent.mkdir()
        lock.write_text("results/report.html\n")
        runs.forget_the_dead(tmp_path / ".snakemake")
        assert lock.exists()
        for file in runs._held:
            os.close(file)
        runs._held.clear()
        alive.kill()
        alive.wait()
        runs.forget_the_dead(tmp_path / ".snakemake")
        assert not lock.exists()


def test_several_live_side_by_side(tmp_path):
    """Each of them keeps the locks of the others."""
    lock = tmp_path / ".snakemake" / "locks" / "0.output.lock"
    with another("forget_the_dead()", tmp_path), another("forget_the_dead()", tmp_path) as second:
        lock.parent.mkdir()
        lock.write_text("results/report.html\n")
        second.kill()
        second.wait()
        runs.forget_the_dead(tmp_path / ".snakemake")
        assert lock.exists()


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^.*file/results/\.lock cannot be written \(Not a directory\): name another"):
        runs.begin(tmp_path / "file" / "results")
    runs.forget_the_dead(tmp_path / "file" / ".snakemake")  # Snakemake says so itself
