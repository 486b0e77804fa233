"""A real SLURM on this machine, as root: three nodes of two stand-in GPUs each, on loopback, without systemd.

    python tests/integration/slurm/cluster.py COMMAND ...    runs a command while it is up

SLURM reads its configuration from /etc/slurm alone, so nothing is done where there is another cluster's.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ETC = Path("/etc/slurm")
SPOOL = Path("/var/spool/rotvar-slurm")
CONFIGURATION = ("slurm.conf", "gres.conf", "cgroup.conf")
NODES = ("n1", "n2", "n3")
PROGRAMS = ("slurmctld", "slurmd", "srun", "munged")


def obstacle() -> str | None:
    """Why there can be no test cluster on this machine; None where there can."""
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        return f"there is no {', '.join(missing)} (Debian: apt-get install slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "a cluster of SLURM is started by root alone"
    ours = (HERE / "slurm.conf").read_text().splitlines()[0]
    for file in (ETC / "slurm.conf", Path("/etc/slurm-llnl/slurm.conf")):
        if file.exists() and not file.read_text().startswith(ours):
            return f"{file} is the configuration of another cluster"
    if (ETC / "slurm.conf").exists() and _answers("sinfo"):
        return "the tests' cluster is up already, by another run"
    return None


@contextmanager
def cluster() -> Iterator["Cluster"]:
    """The cluster, up; whatever happens in the block, it is taken down.

    Raises RuntimeError, with what its logs say, where it does not come up.
    """
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, SPOOL, ignore_errors=True)
        shutil.rmtree(SPOOL, ignore_errors=True)
        (SPOOL / "slurmctld").mkdir(parents=True)
        for number in range(2):
            os.mknod(SPOOL / f"nvidia{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))  # as /dev/null
        shutil.copy(HERE / "prolog.sh", SPOOL)
        for record in ("began", "ended"):
            (SPOOL / record).touch()
        for name in CONFIGURATION:
            stack.callback((ETC / name).unlink, missing_ok=True)
            shutil.copy(HERE / name, ETC)
        if not _answers("munge", "-n"):  # SLURM's authentication
            Path("/run/munge").mkdir(exist_ok=True)
            shutil.chown("/run/munge", "munge", "munge")
            _start(stack, "munged", "--foreground", user="munge", group="munge", extra_groups=[])
            wait(lambda: _answers("munge", "-n"), "munge")
        found = Cluster(stack)
        try:
            found.start()
            yield found
        finally:
            found.stop()


class Cluster:
    """The daemons: slurmctld, and a slurmd for each node."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.slurmd: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the daemons; wait for the nodes."""
        _start(self.stack, "slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        try:
            wait(lambda: all(self.state(node) == "idle" for node in NODES), "idle nodes")
        except TimeoutError as error:
            raise RuntimeError(f"SLURM did not come up ({error}):\n{self.logs()}") from error

    def start_node(self, node: str) -> None:
        """Start a node, or start it again after it was lost."""
        (SPOOL / node).mkdir(exist_ok=True)
        self.slurmd[node] = _start(self.stack, "slurmd", "-D", "-N", node)

    def state(self, node: str) -> str:
        """As `sinfo` says it: idle, mixed, down, ...; nothing as long as nothing answers."""
        return run("sinfo", "--noheader", "--nodes", node, "--format=%T", check=False).split("\n")[0]

    def lose_node(self, node: str) -> None:
        """The power goes: slurmd and all that it started die at once."""
        for pid in [self.slurmd[node].pid, *processes(node)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.slurmd[node].wait()

    def stop(self) -> None:
        """End the jobs and wait for it: the daemons would leave them running."""
        run("scancel", "--user=root", check=False)
        deadline = time.monotonic() + 20
        while any(map(processes, NODES)) and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid in chain(*map(processes, NODES)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for node, controller in product(NODES, ("freezer", "memory")):
            for folder in sorted(Path("/sys/fs/cgroup", controller, f"slurm_{node}").glob("**/"), reverse=True):
                with suppress(OSError):
                    folder.rmdir()

    def logs(self) -> str:
        """The last lines of every daemon's log."""
        logs = {file.name: file.read_text().splitlines()[-5:] for file in sorted(SPOOL.glob("*.log"))}
        return "\n".join(f"{name}: {line}" for name, lines in logs.items() for line in lines)

    def jobs(self) -> "list[Job]":
        """All jobs so far, in the order of their submission."""
        gpus: dict[str, set[str]] = {}
        for line in (SPOOL / "began").read_text().splitlines():
            number, _, gpu = line.split()
            gpus.setdefault(number, set()).add(gpu.removeprefix("GPU="))
        found = []
        for line in run("scontrol", "--oneliner", "show", "jobs").splitlines():
            entries = dict(entry.split("=", 1) for entry in line.split() if "=" in entry)
            if "JobId" not in entries:  # a sentence: there are no jobs
                continue
            number = entries["JobId"]
            rule, _, wildcards = entries.get("Comment", "").removeprefix("rule_").partition("_wildcards_")
            node = entries.get("NodeList", "").replace("(null)", "")
            found.append(Job(number, rule, wildcards, entries["JobState"], node, gpus.get(number, set()), entries))
        return found

    def ends(self) -> dict[str, list[dict[str, str]]]:
        """How each job ended, by its number: as many times as it did, for a job that began again has two ends."""
        found: dict[str, list[dict[str, str]]] = {}
        for line in (SPOOL / "ended").read_text().splitlines():
            entries = dict(entry.split("=", 1) for entry in line.split() if "=" in entry)
            found.setdefault(entries["JobId"], []).append(entries)
        return found


@dataclass(frozen=True)
class Job:
    """A job that Snakemake submitted: its SLURM number, rule and wildcards, where it is, which GPUs it saw."""

    number: str
    rule: str
    wildcards: str
    state: str  # PENDING, RUNNING, COMPLETED, ...
    node: str
    gpus: set[str]  # of each task: "0", "0,1", "none"
    entries: dict[str, str]  # all that `scontrol show job` says


def run(*command: str, check: bool = True) -> str:
    """What a command of SLURM says."""
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=60).stdout


def processes(node: str) -> list[int]:
    """What runs on a node, its jobs' daemons included: SLURM puts each node's processes into a cgroup of its own."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):  # it ended meanwhile
            if f"/slurm_{node}/" in file.read_text():
                found.append(int(file.parent.name))
    return found


def wait(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for a condition. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds} s")
        time.sleep(0.1)


def _answers(*command: str) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def _start(stack: ExitStack, *command: str, **options: Any) -> "subprocess.Popen[bytes]":
    """Start a daemon in the foreground; it is ended with the stack."""
    daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    stack.callback(_end, daemon)
    return daemon


def _end(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


if __name__ == "__main__":
    if reason := obstacle():
        sys.exit(f"Error: {reason}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the block
    with cluster():
        sys.exit(subprocess.run(sys.argv[1:]).returncode)
