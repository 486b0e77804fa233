"""Two runs of one study: one makes it, the other says so and leaves everything alone."""

import subprocess

import pytest
from amounts import times
from processes import Study, nothing_left, running
from watcher import Watcher

SAID = ("Error: another snakemake is making results", "Error: Directory cannot be locked.")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("attempt", range(times(short=1, long=10)))
def test_started_together_one_makes_the_study(attempt, tmp_path):
    study = Study(tmp_path / "rotvar", targets=("train",))
    with Watcher(study.results) as watcher, nothing_left(study):
        two = [study.begin(log=log) for log in ("one", "other")]
        statuses = [snakemake.wait(timeout=900) for snakemake in two]
    logs = [(study.folder / log).read_text() for log in ("one", "other")]
    assert statuses.count(0) == 1, logs
    refused = logs[1 - statuses.index(0)]
    assert any(sentence in refused for sentence in SAID), refused
    assert "Traceback" not in refused and "Finished jobid" not in refused
    assert "(100%) done" in logs[statuses.index(0)]
    assert watcher.partial == [] and study.litter() == []


def test_while_one_runs(tmp_path):
    """Another run is refused, a look at the plan is not; another study can be made beside it."""
    study = Study(tmp_path / "rotvar", targets=("train",))
    (study.folder / "beside.yaml").write_text((study.folder / "study.yaml").read_text() + "results: beside\n")
    with nothing_left(study):
        first = study.begin()
        assert running("train_model", first)
        second = study.begin(log="other")
        plan = subprocess.run([*study.command[:3], "-n", *study.command[5:], "tables"], cwd=study.folder)
        assert plan.returncode == 0
        assert second.wait(timeout=300) != 0
        assert any(sentence in (study.folder / "other").read_text() for sentence in SAID)
        assert first.wait(timeout=900) == 0, study.log
