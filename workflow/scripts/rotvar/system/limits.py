"""What this process may take of the machine's memory: as control groups (a cluster's job, a container) and the shell
(`ulimit -v`, `ulimit -d`) allow."""

import resource
from collections.abc import Iterator
from pathlib import Path

_DEVICES, _GPUS = Path("/dev"), ("nvidia[0-9]*", "dxg")  # of Linux, and of Linux within Windows
_GROUPS, _SELF, _EVENTS = Path("/sys/fs/cgroup"), Path("/proc/self"), Path("/proc/vmstat")
_NONE = 2**62  # version 1 of control groups says so with a number of about 2**63
_SIZE, _RESIDENT, _SHARED, _DATA = 0, 1, 2, 5  # the entries of /proc/self/statm: address space, of which in memory, ...


def left() -> list[int]:
    """The bytes that each limit leaves; none where there is no limit, or no /proc."""
    if not (_SELF / "statm").exists():  # not Linux
        return []
    found = [limit - used for limit, used in _of_groups()]
    for kind, entry in ((resource.RLIMIT_AS, _SIZE), (resource.RLIMIT_DATA, _DATA)):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            found.append(limit - _pages(entry))
    return found


def keep() -> None:
    """From now on an allocation fails that would take this process alone beyond the limit of a control group: a program
    can say so. The kernel would kill the process instead, once the memory is used.

    Not where there is a GPU, whose driver reserves more than it uses.
    """
    if any(any(_DEVICES.glob(name)) for name in _GPUS) or not (_SELF / "statm").exists():
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    now, own = _pages(_DATA), _pages(_RESIDENT) - _pages(_SHARED)
    allowed = [now + max(limit - own, 0) for limit, _ in _of_groups()]
    allowed += [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    if allowed:
        resource.setrlimit(resource.RLIMIT_DATA, (min(allowed), hard))


def kills() -> int:
    """How many processes of this machine the kernel has killed because memory ran out; 0 where it does not say."""
    try:
        lines = _EVENTS.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _pages(entry: int) -> int:
    return int((_SELF / "statm").read_text().split()[entry]) * resource.getpagesize()


def _of_groups() -> Iterator[tuple[int, int]]:
    """The limit of the control group of this process and of each group around it, and what its processes use.

    Pages of files, which the kernel drops when memory is short, do not count as used.
    """
    for line in (_SELF / "cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":  # version 2
            top, names, of_all = _GROUPS, ("memory.max", "memory.current"), ""
        elif "memory" in controllers.split(","):  # version 1
            top, names, of_all = _GROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_"
        else:
            continue
        group = top / path.lstrip("/")
        for folder in [group, *group.parents]:
            try:
                limit, used = (int((folder / name).read_text()) for name in names)
                facts = dict(fact.split() for fact in (folder / "memory.stat").read_text().splitlines())
            except (OSError, ValueError):  # no such group, or no limit ("max")
                continue
            if limit < _NONE:
                yield limit, used - sum(int(facts.get(f"{of_all}{kind}_file", 0)) for kind in ("active", "inactive"))
