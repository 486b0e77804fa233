"""Under --use-conda a job has what its script imports."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from copies import ROOT

SCRIPTS = ROOT / "workflow" / "scripts"
# Where the name of the package in conda-forge is not that of the module
PACKAGES = {
    "matplotlib": {"matplotlib-base"},
    "PIL": {"pillow"},
    "seaborn": {"seaborn-base"},
    "sklearn": {"scikit-learn"},
    "torch": {"pytorch", "pytorch-gpu"},
}


def jobs() -> list[tuple[str, str]]:
    """Each script of the rules with each environment it may run in."""
    found = set()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(r"^ *rule ", file.read_text(), flags=re.MULTILINE):
            script = re.search(r'"\.\./scripts/(\w+)\.py"', rule)
            environment = re.search(r'"\.\./envs/(.+)\.yaml"', rule)
            if script:
                assert environment, f"{script[0]} has no environment"
                name = environment[1]
                names = ["torch-cpu", "torch-cuda"] if "{" in name else [name]
                found |= {(script[1], each) for each in names}
    return sorted(found)


def imported(file: Path, seen: set[Path]) -> set[str]:
    """The modules that a file imports, directly or through the library, by their first name."""
    seen.add(file)
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        path = SCRIPTS.joinpath(*name.split("."))
        for module in (path.with_suffix(".py"), path / "__init__.py"):
            if module.exists() and module not in seen:
                found |= imported(module, seen)
    return found | {name.split(".")[0] for name in names}


def test_there_are_jobs_of_every_environment():
    assert {environment for _, environment in jobs()} == {f.stem for f in (ROOT / "workflow" / "envs").glob("*.yaml")}


@pytest.mark.parametrize(("script", "environment"), jobs())
def test_the_environment_names_what_the_script_imports(script, environment):
    content = yaml.safe_load((ROOT / "workflow" / "envs" / f"{environment}.yaml").read_text())
    available = {package.split()[0] for package in content["dependencies"]}
    needed = imported(SCRIPTS / f"{script}.py", set()) - set(sys.stdlib_module_names) - {"rotvar", "snakemake"}
    missing = {module for module in needed if not PACKAGES.get(module, {module}) & available}
    assert not missing
