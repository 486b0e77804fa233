"""Where a result comes from: what its file says of the program, the machine and the time that made it."""

import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "numba", "pandas", "pyarrow", "safetensors", "scikit-learn")


def record(began: float, device: str, **facts: Any) -> dict[str, Any]:
    """`facts` with the device, package versions, the git commit and the seconds since `began` (time.perf_counter())."""
    return facts | {
        "device": device,
        "packages": {"python": platform.python_version()} | versions(),
        "commit": commit(),
        "seconds": round(time.perf_counter() - began, 3),
    }


def versions() -> dict[str, str]:
    """The versions of the packages that results depend on, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The git commit of this program, with "-dirty" if files differ from it; None outside a git checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None
    return found.stdout.strip()
