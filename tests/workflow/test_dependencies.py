"""What is installed is what is used: declared, pinned exactly, and under licences that fit an MIT program."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, distributions, packages_distributions
from pathlib import Path

import pytest
from conftest import require
from copies import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Modules of this repository: the library, the benchmarks, and what tests share, in modules and folders of them
OURS = {"rotvar"} | {file.stem for name in ("benchmarks", "tests") for file in (ROOT / name).rglob("*.py")}
OURS |= {folder.name for folder in (ROOT / "tests").rglob("*") if folder.is_dir()}

# What is needed without being imported: the file that makes use of it, and the words it does so with
USED_BY = {
    "snakemake-executor-plugin-slurm": ("slurm/config.yaml", "executor: slurm"),
    "tabulate": ("workflow/scripts/rotvar/tables.py", ".to_markdown("),
    "pytest-timeout": ("pyproject.toml", "\ntimeout = "),
    "pytest-mpl": ("pyproject.toml", "--mpl"),
    "pytest-xdist": ("Makefile", "pytest -n "),
    "ruff": ("Makefile", "\truff check"),
    "mypy": ("Makefile", "\tmypy"),
    "snakefmt": ("Makefile", "\tsnakefmt"),
    "pandas-stubs": ("pyproject.toml", "[tool.mypy]"),
    "types-pyyaml": ("pyproject.toml", "[tool.mypy]"),
    "types-psutil": ("pyproject.toml", "[tool.mypy]"),
    "types-tqdm": ("pyproject.toml", "[tool.mypy]"),
    "ipykernel": ("docs/reading_a_study.ipynb", '"kernelspec"'),
}

# Licences, as packages write them, that let an MIT program import them and be passed on. Weak copyleft (MPL, LGPL) asks
# for changes to the package itself alone, which nobody makes here. NVIDIA's libraries are not free: PyTorch's CUDA
# build brings them, their licence allows that use, this project passes none of them on, and PyTorch's CPU build needs
# none. Not here: GPL and AGPL, which would bind whoever passes on this program together with such a package. They would
# do no harm in a tool that tests run as a program of its own; none has them. If one ever does, name it, and say so.
FITTING = re.compile(
    r"\b(MIT(-CMU)?|BSD|0BSD|ISC|Apache|PSF|Python Software Foundation|Zlib|CC0|Unlicense|Public Domain|HPND|"
    r"MPL|Mozilla|LGPL|LicenseRef-NVIDIA|NVIDIA Proprietary)",
    re.IGNORECASE,
)
BINDING = re.compile(r"\b(A?GPL|GNU (Affero )?General Public|SSPL|EUPL|CeCILL|Commons Clause|Business Source|CC-BY-NC)")
# What the metadata of a package leaves out or puts so that a program misreads it: its licence, read in its LICENSE file
READ_BY_HAND = {
    "conda-inject": "MIT",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",  # an empty package that names the others
    "snakemake-interface-common": "MIT",
    "snakemake-interface-logger-plugins": "MIT",
    "snakemake-interface-report-plugins": "MIT",
    "snakemake-interface-scheduler-plugins": "MIT",
    "snakemake-interface-storage-plugins": "MIT",
    "docutils": "Public Domain AND BSD-2-Clause",  # GPL is one file for Emacs, which its packages leave out
}


# What PyTorch brings where it can use it, and what is used nowhere else
BROUGHT_BY_PYTORCH = {"triton"}


def requirements(file: Path) -> dict[str, Requirement]:
    """The requirements of a file that hold on this machine, by name."""
    lines = (line.split(" #")[0].strip() for line in file.read_text().splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in found if one.marker is None or one.marker.evaluate()}


DECLARED = requirements(ROOT / "requirements.in")
PINNED = requirements(ROOT / "requirements.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@cache
def needed(names: frozenset[str]) -> frozenset[str]:
    """These installed packages and all that they need on this machine."""
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [(name, frozenset(DECLARED[name].extras)) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        for text in distribution(name).requires or []:
            one = Requirement(text)
            environments = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if one.marker is None or any(one.marker.evaluate(environment) for environment in environments):
                waiting.append((canonicalize_name(one.name), frozenset(one.extras)))
    return frozenset(found)


def programs(*folders: str) -> Iterator[str]:
    """The Python in these folders of the repository: modules, rules, notebooks."""
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            yield file.read_text()
        for file in (ROOT / folder).rglob("*.ipynb"):
            for cell in json.loads(file.read_text())["cells"]:
                if cell["cell_type"] == "code":
                    yield "".join(line for line in cell["source"] if not line.startswith("%"))


def rules() -> Iterator[str]:
    """The import statements of the Snakefile and the rules, which are Python but for the rules themselves."""
    for file in (ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")):
        yield "\n".join(re.findall(r"^ *((?:import|from) .+)$", file.read_text(), re.MULTILINE))


def examples() -> list[str]:
    """The programs in the README and the pages of docs/."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [block for page in pages for block in re.findall(r"```python\n(.+?)```", page.read_text(), re.DOTALL)]


def imported(sources: Iterator[str] | list[str]) -> set[str]:
    """The packages that sources import, other than the standard library and this repository's modules."""
    modules = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    names = {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names) - OURS
    homes = packages_distributions()
    return {canonicalize_name(homes[name][0] if name in homes else name) for name in names}


def test_every_import_is_declared() -> None:
    benchmarks = set(requirements(ROOT / "benchmarks" / "requirements.txt"))
    used = imported([*programs("workflow", "tests", "docs"), *rules(), *examples()])
    assert used - set(DECLARED) - BROUGHT_BY_PYTORCH == set()
    assert imported(programs("benchmarks")) - set(DECLARED) - benchmarks == set()


def test_everything_declared_is_used() -> None:
    used = imported([*programs("workflow", "tests", "docs", "benchmarks"), *rules(), *examples()])
    for name, (file, words) in USED_BY.items():
        assert words in (ROOT / file).read_text(), f"{file} does not use {name}"
    assert set(DECLARED) - used - set(USED_BY) == set()
    assert set(USED_BY) & used == set()


def test_the_installed_library_asks_for_what_it_imports() -> None:
    """And for what it uses without importing it; nothing else."""
    asked = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    used = imported(programs("workflow/scripts/rotvar"))
    silent = {name for name, (file, _) in USED_BY.items() if file.startswith("workflow/scripts/rotvar/")}
    assert asked == (used - BROUGHT_BY_PYTORCH) | silent


def test_every_package_is_pinned_exactly() -> None:
    loose = [str(one) for one in PINNED.values() if not re.fullmatch(r"==[0-9][^*,]*", str(one.specifier)) or one.url]
    assert loose == []
    assert set(DECLARED) <= set(PINNED)


def test_nothing_is_pinned_that_nothing_needs() -> None:
    assert set(PINNED) == needed(frozenset(DECLARED))


def test_what_is_installed_is_what_is_pinned() -> None:
    installed = {canonicalize_name(one.name): one.version for one in distributions()}
    wrong = {name: installed.get(name) for name, one in PINNED.items() if installed.get(name) not in one.specifier}
    assert wrong == {}
    more = sorted(set(installed) - set(PINNED) - {"pip", "setuptools", "wheel"})
    require(not more, f"these are installed besides: {', '.join(more)}")


def licences(name: str) -> list[str]:
    """What the metadata of an installed package says of its licence."""
    metadata = distribution(name).metadata
    given = [metadata.get("License-Expression") or ""]
    given += [
        one.rpartition("::")[2].strip() for one in metadata.get_all("Classifier", []) if one.startswith("License")
    ]
    given += [(metadata.get("License") or "").strip().partition("\n")[0]]
    return [one for one in given if one and one not in ("UNKNOWN", "Other/Proprietary License", "DFSG approved")]


@pytest.mark.parametrize("name", sorted(PINNED))
def test_the_licence_fits(name: str) -> None:
    given = [READ_BY_HAND[name]] if name in READ_BY_HAND else licences(name)
    print(f"{name}: {'; '.join(given)}")
    assert any(FITTING.search(one) for one in given), f"{name}: {given} is no licence that fits; read its LICENSE file"
    assert not any(BINDING.search(one) for one in given), (
        f"{name}: {given} binds whoever passes on this program with it"
    )


def test_licences_are_read_by_hand_where_they_must_be() -> None:
    """When a package's metadata says it clearly, its line here goes."""
    for name in READ_BY_HAND.keys() & set(PINNED):
        given = licences(name)
        assert not any(FITTING.search(one) for one in given) or any(BINDING.search(one) for one in given), name


@pytest.mark.parametrize(
    "licence",
    ["GPL-3.0-or-later", "GNU General Public License v3 (GPLv3)", "AGPL-3.0", "GNU Affero General Public License v3",
     "MIT AND GPL-2.0-only", "SSPL-1.0"],
)  # fmt: skip
def test_a_binding_licence_is_recognized(licence: str) -> None:
    assert BINDING.search(licence)


def test_a_weak_one_is_not_taken_for_it() -> None:
    assert not BINDING.search("LGPL-2.1-or-later")
