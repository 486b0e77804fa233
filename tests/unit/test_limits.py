"""What limits leave of the memory, and that they are kept by saying so."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from copies import ROOT

from rotvar.system import limits

MB = 2**20


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """This process is one of 300 MB of addresses, 100 MB of them data, in the given control groups of `tmp_path`."""

    def make(cgroup: str) -> None:
        pages = resource.getpagesize()
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "statm").write_text(f"{300 * MB // pages} 1 1 1 0 {100 * MB // pages} 0\n")
        (tmp_path / "self" / "cgroup").write_text(cgroup)
        monkeypatch.setattr(limits, "_SELF", tmp_path / "self")
        monkeypatch.setattr(limits, "_GROUPS", tmp_path)

    return make


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"memory.{name}").write_text(f"{content}\n")


def of(process: Callable[[str], None], cgroup: str) -> list[int]:
    process(cgroup)
    return limits.left()


def test_the_limits_of_control_groups_count(tmp_path, process):
    """A job of a cluster: its own group sets no limit, the one around it does. Cached files can go."""
    group(tmp_path / "slurm" / "job_7", max="max", current=10, stat="anon 10")
    stat = "anon 300\ninactive_file 60\nactive_file 40\nshmem 5"
    (tmp_path / "slurm" / "memory.max").write_text("1000\n")
    (tmp_path / "slurm" / "memory.current").write_text("400\n")
    (tmp_path / "slurm" / "memory.stat").write_text(stat)
    assert of(process, "0::/slurm/job_7\n") == [700]


def test_those_of_the_first_version_too(tmp_path, process):
    """With the other controllers beside it, and a second hierarchy without memory."""
    stat = "inactive_file 1\ntotal_inactive_file 30\ntotal_active_file 20"
    group(tmp_path / "memory" / "container", limit_in_bytes=1000, usage_in_bytes=400, stat=stat)
    lines = "9:name=systemd:/\n4:cpu,memory:/container\n0::/\n"
    assert of(process, lines) == [650]


def test_version_1_has_a_number_for_no_limit(tmp_path, process):
    group(tmp_path / "memory", limit_in_bytes=9223372036854771712, usage_in_bytes=400, stat="total_active_file 20")
    assert of(process, "4:memory:/\n") == []


def test_no_limits_no_linux(tmp_path, process, monkeypatch):
    assert of(process, "0::/nowhere\n") == []
    monkeypatch.setattr(limits, "_SELF", tmp_path / "no_proc")
    assert limits.left() == []


@pytest.mark.parametrize(("limit", "used"), [(resource.RLIMIT_AS, 300), (resource.RLIMIT_DATA, 100)])
def test_the_limits_of_the_shell_count(limit, used, process, monkeypatch):
    allowed = {limit: (500 * MB, resource.RLIM_INFINITY)}
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda asked: allowed.get(asked, unlimited))
    assert of(process, "0::/\n") == [(500 - used) * MB]


def test_what_a_group_does_not_allow_is_a_memory_error():
    """The kernel would kill the process when the memory is used."""
    program = """
from pathlib import Path
from rotvar.system import limits
limits._DEVICES = Path("nowhere")
limits._of_groups = lambda: [(200_000_000 + limits._pages(limits._RESIDENT) - limits._pages(limits._SHARED), 0)]
limits.keep()
kept = bytearray(100_000_000)
try:
    bytearray(150_000_000)
except MemoryError:
    print("refused")
"""
    scripts = ROOT / "workflow" / "scripts"
    run = subprocess.run([sys.executable, "-c", program], cwd=scripts, capture_output=True, text=True)
    assert run.stdout == "refused\n", run.stderr


@pytest.mark.parametrize(
    ("device", "kept"), [("nvidia0", False), ("nvidia3", False), ("dxg", False), ("nvidiactl", True)]
)
def test_a_process_with_a_gpu_keeps_to_no_group(device, kept, tmp_path, monkeypatch):
    """The driver reserves more memory than it uses. A container may have another GPU than the machine's first."""
    (tmp_path / device).touch()
    limited = []
    monkeypatch.setattr(limits, "_DEVICES", tmp_path)
    monkeypatch.setattr(limits, "_of_groups", lambda: [(200 * MB, 0)])
    monkeypatch.setattr(resource, "setrlimit", lambda *arguments: limited.append(arguments))
    limits.keep()
    assert bool(limited) == kept


def test_what_the_kernel_killed_is_counted(tmp_path, monkeypatch):
    assert limits.kills() >= 0
    (tmp_path / "vmstat").write_text("pgfault 8\noom_kill 3\noom_kill_other 5\n")
    monkeypatch.setattr(limits, "_EVENTS", tmp_path / "vmstat")
    assert limits.kills() == 3
    monkeypatch.setattr(limits, "_EVENTS", tmp_path / "nothing")
    assert limits.kills() == 0
