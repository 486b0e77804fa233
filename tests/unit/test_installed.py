"""What `pip install .` installs: the whole library, with its types."""

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from copies import ROOT

UNTRACKED = ("__pycache__", "*.egg-info")


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it, built from a copy, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns(*UNTRACKED))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", ".", folder=folder)
    (wheel,) = folder.glob("rotvar-*.whl")
    venv.create(folder / "venv", with_pip=False)
    run(*pip, "install", "--no-deps", "--no-index", "--target", packages(folder / "venv"), wheel, folder=folder)
    return folder / "venv"


def packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))


def files(library: Path) -> set[Path]:
    """All but what is compiled of them."""
    found = (file for file in library.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(library) for file in found}


def test_every_file_of_the_library_is_installed(installed: Path) -> None:
    assert files(packages(installed) / "rotvar") == files(ROOT / "workflow" / "scripts" / "rotvar")


def test_mypy_takes_its_types(installed: Path, tmp_path: Path) -> None:
    """Without py.typed it takes none, and everything is Any."""
    (tmp_path / "mine.py").write_text("from rotvar.errors import reason\n\nreveal_type(reason)\n")
    python = installed / "bin" / "python"
    shown = run(sys.executable, "-m", "mypy", "--python-executable", python, "mine.py", folder=tmp_path)
    assert 'Revealed type is "def (error: BaseException) -> str"' in shown.replace("builtins.", "")
