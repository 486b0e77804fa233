"""Good configurations are planned, bad ones are told what is wrong with them: whichever can be made up."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from copies import copy_workflow
from hypothesis import HealthCheck, Phase, given, settings
from schema_strategies import SCHEMA, Spoilt, anything, configurations, spoilt

from rotvar.study import configuration

many = settings(
    max_examples=int(os.environ.get("ROTVAR_FUZZ", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def sentences(config: Any) -> list[str]:
    """The problems of a configuration; each must be a sentence on one line, of a length that can be read."""
    found = configuration.problems(config, SCHEMA)
    for problem in found:
        assert problem.endswith(".") and problem.isprintable() and len(problem) < 500, problem
    return found


@many
@given(configurations)
def test_good_configurations_have_no_problem(config: dict[str, Any]) -> None:
    assert sentences(config) == []


@many
@given(spoilt())
def test_bad_configurations_are_told_the_place(one: Spoilt) -> None:
    found = sentences(one.config)
    assert found
    assert any(one.key.split("\n")[0] in problem for problem in found)


@many
@given(anything)
def test_whatever_yaml_says_is_good_or_has_a_sentence(config: Any) -> None:
    sentences(config)


# in Snakemake itself


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[dict[str, Any]], tuple[int, str]]]:
    """The exit status of a dry run with a configuration, and what it says."""
    folder = copy_workflow(tmp_path_factory.mktemp("fuzz") / "rotvar")
    (folder / "mirror").mkdir()
    command = [sys.executable, str(Path(__file__).with_name("dry_runs.py"))]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin and worker.stdout

        def run(config: dict[str, Any]) -> tuple[int, str]:
            (folder / "config.yaml").write_text(yaml.safe_dump(config))
            print(json.dumps([]), file=worker.stdin, flush=True)
            status, said = json.loads(worker.stdout.readline())
            return status, said

        yield run
        worker.stdin.close()
    assert sorted(file.name for file in folder.parent.iterdir()) == ["rotvar"]
    assert {file.name for file in folder.iterdir()} == {
        ".snakemake", "Snakefile", "config.yaml", "mirror", "profiles", "slurm", "workflow",
    }  # fmt: skip


few = settings(many, max_examples=10, phases=set(Phase) - {Phase.shrink})  # a dry run takes a second


def smaller(config: dict[str, Any]) -> dict[str, Any]:
    """The same study of two of each at most, which Snakemake plans in a second."""
    trainings = dict(list(config["trainings"].items())[:2])
    seeds = config.get("seeds", [0])[:2]
    return config | {name: config[name][:2] for name in ("datasets", "models")} | dict(trainings=trainings, seeds=seeds)


@few
@given(configurations.map(smaller))
def test_good_configurations_are_planned(
    dry_run: Callable[[dict[str, Any]], tuple[int, str]], config: dict[str, Any]
) -> None:
    status, said = dry_run(config)
    assert status == 0, said
    assert "write_report" in said


@few
@given(spoilt())
def test_bad_configurations_are_not(dry_run: Callable[[dict[str, Any]], tuple[int, str]], one: Spoilt) -> None:
    status, said = dry_run(one.config)
    assert status == 1
    errors = [line for line in said.splitlines() if line.startswith("Error in the configuration: ")]
    assert errors
    assert any(one.key.split("\n")[0] in line for line in errors)
    assert "Traceback" not in said and "Building DAG" not in said
