"""SIGTERM in a job of a cluster: what SLURM tells Snakemake, the script that Snakemake runs must hear."""

import os
import signal
import threading

import psutil


def forward_sigterm() -> None:
    """From now on, when this process is sent SIGTERM, so are the last of its descendants: scripts, not their shells.

    SLURM signals a job's first process alone, where it tracks processes by cgroup (as most clusters do), and that is
    Snakemake, which waits for its script to end; a training would be killed without having been warned. Whatever this
    process itself does on SIGTERM stays as it is, but it must have a handler. Only the main thread may call this.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)  # gets the number of every signal that has a handler
    threading.Thread(target=_forward, args=(reading,), daemon=True).start()


def _forward(reading: int) -> None:
    while numbers := os.read(reading, 1):
        if numbers[0] == signal.SIGTERM:
            # A shell that died would let Snakemake go, and the job end, before the script has saved its state
            for process in psutil.Process().children(recursive=True):
                try:
                    if not process.children():
                        process.terminate()
                except psutil.NoSuchProcess:
                    continue
