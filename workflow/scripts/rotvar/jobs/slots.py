"""Which of several GPUs a job computes on: one that is free while other jobs compute on the others."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from rotvar import devices
from rotvar.errors import InputError
from rotvar.system import interruption

log = logging.getLogger("rotvar")

# The same for all users and programs of a machine, and for no other machine. The folder of temporary files need not be:
# a shell, Snakemake or a cluster may set another for each job.
FOLDER = Path("/tmp")
PAUSE = 0.5  # seconds between two looks for a free slot

Slot = tuple[int, FileLock]  # the place of its GPU among the visible ones, and the file that is locked


@contextmanager
def device(threads: int, per_gpu: int) -> Iterator[torch.device]:
    """The device of a job, for the block: a visible GPU on which fewer than `per_gpu` jobs compute, or, where there is
    none, the CPU with `threads` threads.

    Waits for a GPU as `taken` does, and raises what that raises.
    """
    torch.set_num_threads(threads)
    visible = devices.visible()
    if visible[0].type == "cpu":
        yield visible[0]
        return
    with taken(names(visible), per_gpu) as place:
        torch.cuda.set_device(visible[place])
        log.info("computing on GPU %d of %d: %s", place + 1, len(visible), devices.describe(visible[place]))
        yield visible[place]


def names(gpus: Sequence[torch.device]) -> list[str]:
    """A name of each of the visible GPUs that it has in all processes of the machine. Its number will not do: CUDA
    numbers the GPUs that a process sees."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if chosen.startswith("MIG-"):  # parts of GPUs, of which CUDA shows a process the first
        return [chosen.split(",")[0].replace("/", "_")]
    return [str(torch.cuda.get_device_properties(gpu).uuid) for gpu in gpus]


@contextmanager
def taken(gpus: Sequence[str], per_gpu: int) -> Iterator[int]:
    """Take one of the `gpus` for the block, with no more than `per_gpu` processes on it at a time; give its place.

    Each GPU has `per_gpu` slots, which are files that a process locks. The system unlocks them when the process ends,
    however it ends. A GPU without a job goes before one that has some. Where all slots are taken it waits for one.
    Raises Interrupted if it is asked to stop meanwhile, and InputError if a file cannot be locked.
    """
    place, lock = _wait(
        [
            (place, FileLock(FOLDER / f"rotvar-gpu-{gpus[place]}-{slot}.lock", mode=0o666))  # any user may lock it
            for slot, place in product(range(per_gpu), range(len(gpus)))
        ]
    )
    try:
        yield place
    finally:
        lock.release()


def _wait(slots: Sequence[Slot]) -> Slot:
    """The first slot that is free, now or later, locked."""
    began, waiting = time.monotonic(), False
    with interruption.noticed() as request:
        while True:
            found = _free(slots)
            if request:
                raise interruption.Interrupted("asked to stop while waiting for a free GPU", request.signal)
            if found:
                if waiting:
                    log.info("a GPU is free after %.0f s", time.monotonic() - began)
                return found
            if not waiting:
                log.info("all GPUs have as many jobs as they take: waiting")
                waiting = True
            time.sleep(PAUSE)


def _free(slots: Sequence[Slot]) -> Slot | None:
    """The first slot that is free, locked."""
    for slot in slots:
        try:
            slot[1].acquire(blocking=False)
        except Timeout:
            continue
        except OSError as error:
            raise InputError(
                f"{slot[1].lock_file} says whether a GPU is in use, and cannot be locked ({error}): remove it, or ask "
                "its owner to"
            ) from error
        return slot
    return None
