"""Runs of Snakemake: one at a time makes a study's results, and one that was killed is in nobody's way.

What tells the living from the dead is a lock of the kernel (flock): it goes with the process that holds it, however
that ends, on a network file system too.
"""

import fcntl
import logging
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from rotvar.errors import InputError

log = logging.getLogger("rotvar")

PATIENCE = 10.0  # seconds that a job gets to keep its state and end
VARIABLE = "ROTVAR_RESULTS"  # in the environment of every job: the results it works on

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
        shutil.rmtree(folder / "locks", ignore_errors=True)
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)


def begin(results: str | Path) -> int:
    """Make this process the only one that makes the study in the folder `results`, until it ends.

    Jobs of one that was killed may still be running on this machine: they are asked to end, and then ended, but not
    where the file system has no locks to tell that it was killed. Returns how many processes that were. Raises
    InputError where another one lives, and where `results` cannot be written to.
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
        return 0
    return _end_jobs_of_the_dead()


def _end_jobs_of_the_dead() -> int:
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
