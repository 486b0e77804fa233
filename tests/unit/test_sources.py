"""What the program's own sources may not do: hand text to a shell, run what a file says, read a pickle unchecked."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from copies import ROOT

PYTHON = sorted(
    file for folder in ("workflow", "benchmarks", "docs", "tests") for file in (ROOT / folder).rglob("*.py")
)
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]

# Functions that take a command for a shell, run text as a program, or read what may be one
FORBIDDEN = {
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn",
    "eval", "exec", "compile", "builtins.eval", "builtins.exec",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "joblib.load", "numpy.load", "shelve.open",
    "marshal.load", "marshal.loads", "pandas.read_pickle", "torch.hub.load", "torch.jit.load",
    "yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.full_load_all", "yaml.unsafe_load_all",
    "shutil.unpack_archive", "tempfile.mktemp",
}  # fmt: skip
# Methods of archives that write wherever their members say
EXTRACTING = {"extract", "extractall"}
STARTING = {"run", "Popen", "call", "check_call", "check_output"}  # of subprocess

# The exceptions
ALLOWED = {
    ("tests/unit/test_readme.py", "exec"),  # runs the programs of README.md and docs/library.md
    ("tests/unit/test_originals.py", "pickle.loads"),  # shows that the malicious pickles would run
    ("tests/unit/test_sweep.py", "pickle.loads"),  # of what it has pickled itself, as between processes
}


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    """What a call calls, as it is imported: "subprocess.run" of `from subprocess import run as r; r()`."""
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def faults(source: str) -> Iterator[tuple[int, str]]:
    """What a Python source does that it may not: the line, and what."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, options = full_name(node.func, names), {one.arg: one.value for one in node.keywords}
        shell = options.get("shell")
        if name in FORBIDDEN or name.replace("np.", "numpy.") in FORBIDDEN:
            yield node.lineno, name
        elif shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
            yield node.lineno, "shell=True"
        elif name.rpartition(".")[2] in EXTRACTING:
            yield node.lineno, name
        elif name == "torch.load" and ast.unparse(options.get("weights_only", ast.Constant(None))) != "True":
            yield node.lineno, "torch.load without weights_only=True"
        elif name in {f"subprocess.{starting}" for starting in STARTING}:
            command = node.args[0] if node.args else options.get("args")
            built = isinstance(command, ast.Call) and full_name(command.func, names).endswith((".format", ".join"))
            if built or isinstance(command, ast.JoinedStr | ast.BinOp | ast.Constant):
                yield node.lineno, "a command that is built as text"


@pytest.mark.parametrize("file", PYTHON, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_source_hands_text_to_a_shell_or_runs_a_file(file: Path) -> None:
    place = str(file.relative_to(ROOT))
    found = [(place, line, what) for line, what in faults(file.read_text()) if (place, what) not in ALLOWED]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import os; os.system('ls')",
        "from os import system as s; s('ls')",
        "import subprocess; subprocess.run(x, shell=True)",
        "import subprocess as sp; sp.run(f'ls {x}')",
        "from subprocess import Popen; Popen('ls ' + x)",
        "import subprocess; subprocess.check_output('ls {}'.format(x))",
        "import subprocess; subprocess.call(args='ls')",
        "import subprocess; subprocess.run(' '.join(x))",
        "subprocess.run(x, shell=y)",
        "eval(x)",
        "import pickle; pickle.load(file)",
        "import numpy as np; np.load(file)",
        "import yaml; yaml.load(text, yaml.Loader)",
        "import torch; torch.load(file)",
        "import torch; torch.load(file, weights_only=False)",
        "import tarfile; tarfile.open(x).extractall(y)",
        "tar.extract(member)",
    ],
)
def test_what_is_looked_for_is_found(source: str) -> None:
    assert len(list(faults(source))) == 1


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_rules_run_scripts_and_no_commands(file: Path) -> None:
    """A rule's shell, run and wrapper directives would."""
    text = file.read_text()
    assert not re.search(r"^\s*(shell|run|wrapper|notebook|cwl|template_engine)\s*:", text, re.MULTILINE)
    assert not re.search(r"\b(eval|exec|system|popen|getoutput)\s*\(|yaml\.(load|unsafe_load)\b|shell\s*=", text)


def test_the_report_escapes_by_default_and_builds_no_html_in_the_browser() -> None:
    folder = ROOT / "workflow" / "report"
    template, script = (folder / "report.html.j2").read_text(), (folder / "report.js").read_text()
    assert not re.search(r"\|\s*safe\b|autoescape\s+false", template)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setTimeout\(['\"`]", script
    )
    page = (ROOT / "workflow" / "scripts" / "rotvar" / "report" / "page.py").read_text()
    assert "autoescape=True" in page
