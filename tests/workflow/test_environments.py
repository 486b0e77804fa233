"""With --use-conda a job has what its script imports, and no more, in the versions that the package asks for. No conda
is needed without it."""

import ast
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from copies import ROOT, copy_workflow, run_snakemake
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rattler import MatchSpec

SCRIPTS = ROOT / "workflow" / "scripts"
ENVIRONMENTS = {file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "workflow" / "envs").glob("*.yaml")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Where conda-forge's name of a package is not the module's, or not PyPI's
MODULES = {"PIL": "pillow", "sklearn": "scikit-learn"}
PACKAGES = {
    "matplotlib": {"matplotlib-base"},  # without Qt
    "seaborn": {"seaborn-base"},  # without statsmodels
    "torch": {"pytorch", "pytorch-gpu"},
    "triton": {"pytorch", "pytorch-gpu"},  # which the build for GPUs may bring; the library does without
}
# What no script imports: what the scripts are written in, the choice of a build, and what pandas imports for a table in
# Markdown and in LaTeX
UNIMPORTED = {"python", "cuda-version", "tabulate", "jinja2"}


def jobs() -> list[tuple[str, str]]:
    """Each script of the rules with each environment it may run in."""
    found = set()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(r"^ *rule ", file.read_text(), flags=re.MULTILINE):
            script = re.search(r'"\.\./scripts/(\w+)\.py"', rule)
            environment = re.search(r'^ *conda:\s+(?:(TORCH)|"\.\./envs/([\w-]+)\.yaml")$', rule, flags=re.MULTILINE)
            if script:
                assert environment, f"{script[0]} has no environment"
                names = ["torch-cpu", "torch-cuda"] if environment[1] else [environment[2]]
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


def needed(*files: Path) -> set[str]:
    """The distributions on PyPI that files import; their names are the modules', but for MODULES."""
    modules: set[str] = set().union(*(imported(file, set()) for file in files))
    return {MODULES.get(name, name) for name in modules - set(sys.stdlib_module_names) - {"rotvar", "snakemake"}}


def packages(environment: str) -> dict[str, str]:
    """The version that an environment asks for of each of its packages."""
    names = (spec.split() for spec in ENVIRONMENTS[environment]["dependencies"])
    return {name: version for name, version, *_ in names}


def test_torch_is_the_build_that_the_configuration_names():
    common = (ROOT / "workflow" / "rules" / "common.smk").read_text()
    assert """\nTORCH = f"../envs/torch-{config['conda']['torch']}.yaml"\n""" in common


def test_there_are_jobs_of_every_environment():
    assert {environment for _, environment in jobs()} == ENVIRONMENTS.keys()


@pytest.mark.parametrize(("script", "environment"), jobs())
def test_an_environment_names_what_each_of_its_scripts_imports(script, environment):
    available = packages(environment).keys()
    assert not {name for name in needed(SCRIPTS / f"{script}.py") if not PACKAGES.get(name, {name}) & available}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_names_no_more_than_its_scripts_import(environment):
    imports = needed(*(SCRIPTS / f"{script}.py" for script, name in jobs() if name == environment))
    used = set().union(*(PACKAGES.get(name, {name}) for name in imports))
    assert packages(environment).keys() - used - UNIMPORTED == set()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_comes_from_conda_forge_alone(environment):
    content = ENVIRONMENTS[environment]
    assert content.keys() == {"channels", "dependencies"}
    assert content["channels"] == ["conda-forge", "nodefaults"]
    assert all(isinstance(spec, str) for spec in content["dependencies"])  # there is no section of pip's


@pytest.mark.parametrize(
    "spec", sorted({spec for content in ENVIRONMENTS.values() for spec in content["dependencies"]})
)
def test_conda_understands_every_entry(spec):
    understood = MatchSpec(spec, strict=True)
    assert f"{understood.name.normalized} {understood.version}" == " ".join(spec.split()[:2])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_allows_the_versions_that_the_package_allows(environment):
    """The package can also be installed by pip: `pip install .`"""
    allowed = {"python": SpecifierSet(PROJECT["requires-python"])}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        allowed |= dict.fromkeys(PACKAGES.get(requirement.name, {requirement.name}), requirement.specifier)
    for name, version in packages(environment).items():
        if name != "cuda-version":
            assert SpecifierSet(version) == allowed[name], name


def test_pytorchs_build_is_that_of_the_device():
    """Left to itself, the solver takes the build of the machine that it runs on: a login node has no GPU."""
    builds = {name: set(ENVIRONMENTS[f"torch-{name}"]["dependencies"]) for name in ("cpu", "cuda")}
    assert builds["cpu"] - builds["cuda"] == {"pytorch >=2.11,<3 cpu*"}
    assert builds["cuda"] - builds["cpu"] == {"pytorch-gpu >=2.11,<3", "cuda-version >=12.9,<13"}


def test_without_use_conda_no_conda_is_called(tmp_path):
    folder = copy_workflow(tmp_path / "rotvar")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("conda", "mamba", "micromamba"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nexit 1\n")
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    data = "results/demo/data/digits.safetensors"
    run = run_snakemake(folder, "--cores", "1", "--workflow-profile", "demo", "--", data, PATH=path)
    assert run.returncode == 0, run.stderr
    assert (folder / data).exists()
    assert not (tmp_path / "called").exists()
