"""Runs of Snakemake: one at a time makes a study's results, and one that was killed is in nobody's way.

What tells the living from the dead is a lock of the kernel (flock): it goes with the process that holds it, however
that ends, on most network file systems too. Others keep it within a machine, and tell nothing of those on another.
"""

import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from rotvar.errors import InputError

log = logging.getLogger("rotvar")

PATIENCE = 10.0  # seconds that a job gets to keep its state and end
PATIENCE_WITH_SLURM = 60.0  # seconds, of which SLURM's own patience with a job (KillWait) is 30 by default
VARIABLE = "ROTVAR_RESULTS"  # in the environment of every job: the results it works on

# Types and options of mounts on which file locks hold within a machine, unless their administrator changed it
WITHIN_A_MACHINE = {"beegfs", "fuse.sshfs", "localflock", "local_lock=flock", "local_lock=all", "nolock"}

_held: list[int] = []  # file descriptors; closed, and the locks released, when this process ends


def forget_the_dead(folder: str | Path = ".snakemake") -> None:
    """Remove the locks that a killed Snakemake left in its working directory, if no other Snakemake lives there.

    Snakemake keeps them in `folder`, as files, and refuses to run as long as they are there. Every Snakemake that calls
    this counts as living until it ends.
    """
    folder = Path(folder)
    try:
        folder.mkdir(exist_ok=True)
        file = os.open(folder / "alive.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # a folder that cannot be written to: Snakemake says so
        return
    _held.append(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody lives, or the file system has no locks: the locks stay
        pass
    else:
        locks = folder / "locks"
        if not locks.is_dir() or not any(locks.iterdir()) or _tells_of_the_dead(_read(file), folder):
            shutil.rmtree(locks, ignore_errors=True)
            with suppress(OSError):  # the disk is full: what comes next says so
                _write(file, socket.gethostname())
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)


def _tells_of_the_dead(machine: str, folder: Path) -> bool:
    """Whether who locked a file in a folder on a machine has ended, if this one could lock it now."""
    if machine in ("", socket.gethostname()):
        return True
    mounts = [mount for mount in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(mount.mountpoint)]
    nearest = max(mounts, key=lambda mount: len(mount.mountpoint))
    return WITHIN_A_MACHINE.isdisjoint([nearest.fstype, *nearest.opts.split(",")])


def begin(results: str | Path, queued_as: str = "", say: Callable[[str], object] = log.info) -> None:
    """Make this process the only one that makes the study in the folder `results`, until it ends.

    One that was killed may have left jobs at work: those on this machine are asked to end, and then ended; those in
    SLURM's queue, running or waiting, are cancelled. `queued_as` is the name that all jobs of this process will have
    there. Nothing is ended where the file system has no locks to tell that it was killed. `say` is told what is.

    Raises InputError where another one lives, and where `results` cannot be written to.
    """
    path = Path(results) / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        remedy = "name another folder as `results` in the configuration, or change that one"
        raise InputError(f"{path} cannot be written ({error.strerror}): {remedy}") from error
    _held.append(file)
    os.environ[VARIABLE] = str(path.parent.resolve())
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        remedy = "wait until it has ended, or name another folder as `results` in the configuration"
        raise InputError(f"another snakemake is making {results}: {remedy}") from error
    except OSError as error:
        log.warning("%s cannot be locked (%s): run one snakemake at a time on it", results, error.strerror)
        return
    queued = [f"{socket.gethostname()}:{queued_as}"] if queued_as else []
    for entry in _read(file).split():
        machine, _, name = entry.partition(":")
        if not _tells_of_the_dead(machine, path.parent):
            log.warning("if no snakemake makes %s on %s, cancel its jobs: scancel --name=%s", results, machine, name)
            queued.append(entry)
        elif not _cancel_jobs(name, say):
            queued.append(entry)
    try:
        _write(file, " ".join(queued))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): make room for it") from error
    if ended := _end_processes():
        say(f"Ended {ended} processes that a killed snakemake had left at work on {results}.")


def _end_processes() -> int:
    """No other Snakemake works on the results and this one has started nothing yet: their jobs are of dead ones."""
    found = [process for process in psutil.process_iter() if _results(process) == os.environ[VARIABLE]]
    left = found
    for number in (signal.SIGTERM, signal.SIGKILL):
        for job in left:
            with suppress(psutil.NoSuchProcess):
                job.send_signal(number)
        _, left = psutil.wait_procs(left, PATIENCE)
    return len(found)


def _results(process: psutil.Process) -> str | None:
    """The results that a process works on."""
    if process.pid == os.getpid():
        return None
    try:
        return process.environ().get(VARIABLE)
    except (psutil.Error, OSError):  # it has ended, or is somebody else's
        return None


def _cancel_jobs(name: str, say: Callable[[str], object]) -> bool:
    """Cancel the jobs of a name in SLURM's queue and wait for their end. Returns whether SLURM could be asked."""
    mine = (f"--name={name}", f"--user={os.getuid()}")
    queue = ("squeue", "--noheader", "--format=%A", *mine)
    jobs = _slurm(*queue)
    if jobs:
        say(f"Cancelling {len(jobs.split())} jobs that a killed snakemake has left in SLURM's queue.")
        if _slurm("scancel", *mine) is None:
            return False
        until = time.monotonic() + PATIENCE_WITH_SLURM
        while _slurm(*queue) and time.monotonic() < until:
            time.sleep(1)
    return jobs is not None


def _slurm(*command: str) -> str | None:
    """What a command of SLURM prints; None where it fails, or there is no SLURM."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_WITH_SLURM).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _read(file: int) -> str:
    return os.pread(file, 10_000, 0).decode().strip()


def _write(file: int, text: str) -> None:
    """Replace what stands in an open file, if that is something else."""
    if text != _read(file):
        os.ftruncate(file, os.pwrite(file, text.encode(), 0))
