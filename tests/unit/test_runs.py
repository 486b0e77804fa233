"""One run of a study at a time; what a killed one left is in nobody's way."""

import errno
import os
import socket
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

HERE = socket.gethostname()


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
        runs.begin(tmp_path / "other results")


def test_one_that_was_killed_excludes_nobody_and_its_jobs_are_ended(tmp_path):
    said: list[str] = []
    with another("begin('results')", tmp_path) as killed:
        killed.kill()
        killed.wait()
        assert killed.job.is_running()
        runs.begin(tmp_path / "results", say=said.append)
        assert said == [f"Ended 1 processes that a killed snakemake had left at work on {tmp_path / 'results'}."]
        assert not psutil.pid_exists(killed.job.pid) or killed.job.status() == psutil.STATUS_ZOMBIE


def test_jobs_that_do_not_listen_are_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "PATIENCE", 0.2)
    environment = os.environ | {runs.VARIABLE: str(tmp_path.resolve())}
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = f"import signal, time; {deaf}; print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as job:
        assert job.stdout
        job.stdout.readline()
        runs.begin(tmp_path)
        assert not psutil.pid_exists(job.pid)


def test_where_locks_tell_nobody_from_the_dead_no_jobs_are_ended(tmp_path, monkeypatch, caplog):
    with another("begin('results')", tmp_path) as alive:
        monkeypatch.setattr(runs.fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
        runs.begin(tmp_path / "results", say=pytest.fail)
        assert alive.job.is_running()
    assert "cannot be locked (No locks available): run one snakemake at a time on it" in caplog.text


def test_jobs_of_other_studies_go_on(tmp_path):
    environment = os.environ | {runs.VARIABLE: str(tmp_path / "other")}
    program = "import time; print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as job:
        assert job.stdout
        job.stdout.readline()
        runs.begin(tmp_path, say=pytest.fail)
        assert job.poll() is None
        job.kill()


class Queue:
    """Stand-ins for SLURM's commands, on the PATH: jobs by the names that they have in the queue."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "queue"
        self.folder.mkdir()
        programs = folder / "programs"
        programs.mkdir()
        # Names are of any user's jobs, so commands must say whose are meant; cancelled jobs take a while to end
        begin = f"""#!/bin/sh
cd {self.folder}
for option; do case $option in --name=*) name=${{option#--name=}};; --user={os.getuid()}) mine=yes;; esac; done
test $mine || exit 1
"""
        ending = '"$name-ending"'
        squeue = f'cat "$name" 2>/dev/null || {{ test ! -f {ending} || {{ cat {ending}; rm {ending}; }}; }}\n'
        for program, does in (("squeue", squeue), ("scancel", f'mv "$name" {ending}\n')):
            (programs / program).write_text(begin + does)
            (programs / program).chmod(0o755)
        self.programs = programs
        monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)

    def submit(self, name: str, *jobs: int) -> None:
        (self.folder / name).write_text("".join(f"{job}\n" for job in jobs))

    def names(self) -> list[str]:
        return sorted(file.name for file in self.folder.iterdir())


@pytest.fixture
def queue(tmp_path, monkeypatch):
    return Queue(tmp_path, monkeypatch)


def test_what_one_that_was_killed_has_in_slurms_queue_is_cancelled(tmp_path, queue):
    said: list[str] = []
    with another("begin('results', 'one')", tmp_path) as killed:
        queue.submit("one", 11, 12, 13)
        queue.submit("another's", 14)
        killed.kill()
        killed.wait()
        killed.job.kill()
    runs.begin(tmp_path / "results", "two", say=said.append)
    assert said == ["Cancelling 3 jobs that a killed snakemake has left in SLURM's queue."]
    assert queue.names() == ["another's"]
    assert (tmp_path / "results" / ".lock").read_text() == f"{HERE}:two"


def test_of_one_that_lives_nothing_is_cancelled(tmp_path, queue):
    with another("begin('results', 'one')", tmp_path):
        queue.submit("one", 11)
        with pytest.raises(InputError, match="another snakemake is making"):
            runs.begin(tmp_path / "results", "two")
    assert queue.names() == ["one"]
    assert (tmp_path / "results" / ".lock").read_text() == f"{HERE}:one"


def test_jobs_that_could_not_be_cancelled_are_not_forgotten(tmp_path, queue, monkeypatch):
    """SLURM does not answer, or is not on this machine: the next run tries again."""
    queue.submit("one", 11)
    (queue.programs / "scancel").write_text("#!/bin/sh\nexit 1\n")
    for name, kept in (("one", ["one"]), ("two", ["one", "two"])):
        assert sorted(names_after_a_run(tmp_path, name)) == kept
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert sorted(names_after_a_run(tmp_path)) == ["one", "two"]
    (queue.programs / "scancel").write_text(f"#!/bin/sh\nrm {queue.folder}/one\n")
    assert names_after_a_run(tmp_path) == []
    assert queue.names() == []


def test_a_full_disk(tmp_path, monkeypatch):
    """One sentence before jobs are submitted that nobody would cancel."""
    monkeypatch.setattr(runs.os, "pwrite", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    runs.forget_the_dead(tmp_path / ".snakemake")
    runs.begin(tmp_path / "results")
    os.close(runs._held.pop())
    with pytest.raises(InputError, match=r"results/\.lock cannot be written \(No space left on device\): make room"):
        runs.begin(tmp_path / "results", "one")


def names_after_a_run(folder: Path, name: str = "") -> list[str]:
    """The names in the queue that the lock knows after a run of Snakemake."""
    runs.begin(folder / "results", name)
    os.close(runs._held.pop())
    return [entry.partition(":")[2] for entry in (folder / "results" / ".lock").read_text().split()]


@pytest.fixture
def move(tmp_path, monkeypatch):
    """Go on from another machine, with a file system of another kind."""

    def to(machine: str, fstype: str, opts: str) -> None:
        mounts = [("/", "ext4", "rw"), (str(tmp_path), fstype, opts), (str(tmp_path / "other"), "ext4", "rw")]
        partitions = [Mock(mountpoint=mountpoint, fstype=kind, opts=rest) for mountpoint, kind, rest in mounts]
        monkeypatch.setattr(runs.psutil, "disk_partitions", lambda all: partitions)
        monkeypatch.setattr(runs.socket, "gethostname", lambda: machine)

    return to


# File systems whose locks are no other machine's
WITHIN_A_MACHINE = [("beegfs", "rw"), ("lustre", "rw,localflock"), ("nfs", "local_lock=all"), ("fuse.sshfs", "rw")]


@pytest.mark.parametrize(("fstype", "opts"), WITHIN_A_MACHINE)
def test_locks_of_another_machine_stay_where_nothing_tells_whether_it_lives(tmp_path, move, fstype, opts):
    """Snakemake then says that --unlock removes them."""
    lock = tmp_path / ".snakemake" / "locks" / "0.output.lock"

    def start(machine: str, fstype: str, opts: str) -> bool:
        move(machine, fstype, opts)
        runs.forget_the_dead(tmp_path / ".snakemake")
        os.close(runs._held.pop())
        left = lock.exists()
        lock.parent.mkdir(exist_ok=True)
        lock.write_text("results/report.html\n")
        return left

    assert not start("login1", fstype, opts)
    assert not start("login1", fstype, opts)  # it was killed and started again
    assert start("login2", fstype, opts)
    assert start("login2", fstype, opts)
    assert not start("login1", fstype, opts)
    assert not start("login2", "lustre", "rw,flock")
    lock.unlink()  # snakemake --unlock
    assert not start("login3", fstype, opts)
    assert not start("login3", fstype, opts)


@pytest.mark.parametrize(("fstype", "opts"), WITHIN_A_MACHINE)
def test_nor_are_jobs_of_another_machine_cancelled(tmp_path, queue, move, caplog, fstype, opts):
    queue.submit("one", 11)
    move("login1", fstype, opts)
    assert names_after_a_run(tmp_path, "one") == ["one"]
    move("login2", fstype, opts)
    for _ in range(2):
        assert names_after_a_run(tmp_path) == ["one"]
    assert f"if no snakemake makes {tmp_path}/results on login1, cancel its jobs: scancel --name=one" in caplog.text
    assert queue.names() == ["one"]
    move("login2", "gpfs", "rw")
    assert names_after_a_run(tmp_path) == []
    assert queue.names() == []


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


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_several_live_side_by_side(first_to_end, tmp_path):
    """Each of them keeps the locks of the others."""
    lock = tmp_path / ".snakemake" / "locks" / "0.output.lock"
    with another("forget_the_dead()", tmp_path) as one, another("forget_the_dead()", tmp_path) as other:
        lock.parent.mkdir()
        lock.write_text("results/report.html\n")
        ended = (one, other)[first_to_end]
        ended.kill()
        ended.wait()
        runs.forget_the_dead(tmp_path / ".snakemake")
        assert lock.exists()


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^.*file/results/\.lock cannot be written \(Not a directory\): name another"):
        runs.begin(tmp_path / "file" / "results")
    runs.forget_the_dead(tmp_path / "file" / ".snakemake")  # Snakemake says so itself
