"""Jobs share the GPUs of a machine: none takes what another has, and what a job had is free when it ends."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import torch
from conftest import require
from copies import ROOT

from rotvar import devices
from rotvar.errors import InputError
from rotvar.jobs import slots
from rotvar.system.interruption import Interrupted, noticed

GPUS = ["uuid-a", "uuid-b"]


@pytest.fixture(autouse=True)
def locks(monkeypatch, tmp_path):
    """The folder of the locks, which are looked at more often than usual."""
    monkeypatch.setattr(slots, "FOLDER", tmp_path)
    monkeypatch.setattr(slots, "PAUSE", 0.001)
    return tmp_path


HOLD = """
import sys, time
from pathlib import Path
from rotvar.jobs import slots
slots.FOLDER = Path(sys.argv[1])
with slots.taken(["uuid-a"], 1) as place:
    print(place, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(locks):
    """A process that has the one slot of uuid-a."""
    variables = os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    command = [sys.executable, "-c", HOLD, locks]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout.readline() == "0\n"
        yield process
        process.kill()


def places(count: int, per_gpu: int) -> list[int]:
    """What `count` jobs take that come one after another and stay."""
    if count == 0:
        return []
    with slots.taken(GPUS, per_gpu) as place:
        return [place, *places(count - 1, per_gpu)]


def test_a_gpu_without_a_job_goes_before_one_that_has_some():
    assert places(4, 2) == [0, 1, 0, 1]


def test_a_slot_is_free_after_the_block():
    for _ in range(3):
        assert places(2, 1) == [0, 1]
    with pytest.raises(ZeroDivisionError), slots.taken(GPUS, 1):
        raise ZeroDivisionError
    assert places(2, 1) == [0, 1]


def use(per_gpu: int, times: int) -> list[tuple[int, float, float]]:
    """Take a GPU some times, for some milliseconds: which, from when, until when."""
    found = []
    for _ in range(times):
        with slots.taken(GPUS, per_gpu) as place:
            began = time.monotonic()
            time.sleep(0.002)
            found.append((place, began, time.monotonic()))
    return found


@pytest.mark.parametrize("per_gpu", [1, 3])
def test_many_processes_at_once_never_take_more_than_there_are_slots(per_gpu):
    processes, times = 12, 25
    with get_context("fork").Pool(processes) as pool:
        used = [one for each in pool.starmap(use, [(per_gpu, times)] * processes, 1) for one in each]
    assert len(used) == processes * times
    # In order of time; where a job ends as another begins, the end comes first
    events = sorted(event for place, began, ended in used for event in [(began, 1, place), (ended, -1, place)])
    jobs, most = Counter(), Counter()
    for _, change, place in events:
        jobs[place] += change
        most[place] = max(most[place], jobs[place])
    assert most.keys() == {0, 1}
    assert max(most.values()) <= per_gpu


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_slot_is_free_when_its_process_has_died(number, holder):
    holder.send_signal(number)
    assert holder.wait() == -number
    with slots.taken(["uuid-a"], 1) as place:
        assert place == 0


def test_a_job_waits_for_a_slot_and_says_so(holder, caplog):
    killing = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {holder.pid}"])
    with caplog.at_level(logging.INFO, logger="rotvar"), slots.taken(["uuid-a"], 1) as place:
        assert place == 0
    assert holder.wait() == -signal.SIGKILL
    assert killing.wait() == 0
    waiting, free = caplog.messages
    assert waiting == "all GPUs have as many jobs as they take: waiting"
    assert re.fullmatch(r"a GPU is free after \d+ s", free)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_waits_can_be_asked_to_stop(number, holder):
    with (
        noticed(),  # the test itself goes on
        subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -{number:d} {os.getpid()}"]),
        pytest.raises(Interrupted, match="waiting for a free GPU") as stopped,
        slots.taken(["uuid-a"], 1),
    ):
        pytest.fail("the slot was taken")
    assert stopped.value.signal == number


def take_as_another_user(report: Connection) -> None:
    os.setuid(65534)
    try:
        report.send(places(1, 1))
    except BaseException as error:
        report.send(error)


def test_several_users_of_a_machine_share_its_slots(monkeypatch):
    """In a folder where, as in /tmp, none may touch the files of another, and whatever the umask."""
    require(os.getuid() == 0, "only root can become another user")
    before = os.umask(0o077)
    with TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(slots, "FOLDER", Path(folder))
        Path(folder).chmod(0o1777)
        assert places(2, 1) == [0, 1]  # root's files, which are free again
        os.umask(before)
        with slots.taken(GPUS, 1):
            ours, theirs = Pipe()
            other = get_context("fork").Process(target=take_as_another_user, args=[theirs])
            other.start()
            assert ours.recv() == [1]
            other.join()


def test_a_lock_that_cannot_be_had_is_one_sentence(locks):
    (locks / "rotvar-gpu-uuid-a-0.lock").mkdir()
    with pytest.raises(InputError, match=r"rotvar-gpu-uuid-a-0\.lock .*: remove it"), slots.taken(GPUS, 1):
        pytest.fail("it was taken")


# --- The device of a job ----------------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch):
    """A machine with two GPUs, as PyTorch describes them, and which of them is the current one."""
    current = SimpleNamespace(device=None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda gpu: SimpleNamespace(uuid=GPUS[gpu.index]))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Accelerator {device.index}")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda gpu: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90"])
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: setattr(current, "device", device))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return current


def test_jobs_compute_on_different_gpus_and_their_logs_say_on_which(machine, caplog):
    with caplog.at_level(logging.INFO, logger="rotvar"), slots.device(1, 1) as first:
        assert machine.device == first == torch.device("cuda", 0)
        with slots.device(1, 1) as second:
            assert machine.device == second == torch.device("cuda", 1)
    assert caplog.messages == ["computing on GPU 1 of 2: Accelerator 0", "computing on GPU 2 of 2: Accelerator 1"]


def test_processes_that_see_different_gpus_under_one_number_do_not_wait_for_each_other(machine, monkeypatch):
    """As two jobs of SLURM on one node do."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with slots.device(1, 1) as first:
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda gpu: SimpleNamespace(uuid=GPUS[1]))
        with slots.device(1, 1) as second:
            assert first == second == torch.device("cuda", 0)


def test_parts_of_a_gpu_are_told_apart_by_their_names(machine, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda gpu: SimpleNamespace(uuid=GPUS[0]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-8932f937/1/0,MIG-GPU-8932f937/2/0")
    assert slots.names([torch.device("cuda", 0)]) == ["MIG-GPU-8932f937_1_0"]


def test_without_a_gpu_a_job_computes_on_the_cpu_with_its_threads_and_its_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = torch.get_num_threads()
    try:
        with caplog.at_level(logging.INFO, logger="rotvar"), slots.device(2, 1) as device:
            assert device == torch.device("cpu")
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert caplog.messages == [f"no GPU: computing on the CPU, {devices.cpu()}, 2 threads"]
