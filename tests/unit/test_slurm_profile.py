"""The profile of SLURM explains itself, and a user of a new cluster has three lines to see to."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROFILE = (ROOT / "slurm" / "config.yaml").read_text().splitlines()
RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))


def test_every_entry_has_a_comment() -> None:
    entries = [number for number, line in enumerate(PROFILE) if re.match(r"[a-z-]+:", line)]
    assert len(entries) >= 8
    assert [PROFILE[number] for number in entries if not PROFILE[number - 1].startswith("# ")] == []


def test_the_readme_names_the_lines_that_are_marked() -> None:
    marked = [re.search(r"^  (?:# )?(\w+): .*# \((\d)\)", line) for line in PROFILE]
    names = {match[2]: match[1] for match in marked if match}
    assert names == {"1": "slurm_partition", "2": "slurm_account", "3": "constraint"}
    section = (ROOT / "README.md").read_text().split("\n## Several GPUs, a cluster\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == list(names.values())


def test_the_groups_that_can_be_uncommented_are_of_rules_that_there_are() -> None:
    start = PROFILE.index("# groups:")
    option = yaml.safe_load("\n".join(line.removeprefix("# ") for line in PROFILE[start:]))
    assert option.keys() == {"groups", "resources", "set-resource-scopes"}
    text = "".join(file.read_text() for file in RULES)
    rules = re.findall(r"^ *(?:rule|use rule \w+ as) (\w+)(?: with)?:$", text, re.M)
    assert "measure_transformation" in rules and "measure_variance" in rules
    assert option["groups"].keys() <= set(rules)


@pytest.mark.parametrize("file", RULES, ids=[file.stem for file in RULES])
def test_what_a_cluster_is_like_stands_in_the_profile_alone(file: Path) -> None:
    """Retries too: those of a rule and of the profile would be multiplied."""
    assert not re.search(r"\bretries\b|slurm_|constraint=|\bqos\b", file.read_text())
