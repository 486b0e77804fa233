"""What a result's file says of where it comes from."""

import subprocess
import time

import torch

from rotvar.jobs import provenance


def test_record():
    facts = provenance.record(time.perf_counter() - 2, "a CPU", seed=3, N=40)
    assert (facts["seed"], facts["N"], facts["device"]) == (3, 40, "a CPU")
    assert 2 <= facts["seconds"] < 60
    assert facts["packages"]["torch"] in torch.__version__
    assert "python" in facts["packages"]


def test_the_commit_is_that_of_the_program(monkeypatch, tmp_path):
    (tmp_path / "rotvar").mkdir()
    module = tmp_path / "rotvar" / "provenance.py"
    module.touch()
    monkeypatch.setattr(provenance, "__file__", str(module))
    assert provenance.commit() is None
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True)
    head = found.stdout.strip()
    assert provenance.commit() == head
    module.write_text("changed\n")
    assert provenance.commit() == f"{head}-dirty"
