"""Good configurations are planned, bad ones are told what is wrong with them: whichever can be made up."""

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from schema_strategies import SCHEMA, Spoilt, anything, configurations, spoilt

from rotvar import configuration

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
