"""The notebook of docs/ runs from its first cell to its last, and draws."""

import ast
from pathlib import Path

import nbformat
import pytest
from copies import ROOT
from nbclient import NotebookClient

from rotvar.columns import MEASURES
from rotvar.statistics.firing import RATES

NOTEBOOK = ROOT / "docs" / "reading_a_study.ipynb"


def pictures(notebook: nbformat.NotebookNode) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_it_reads_a_study_and_redraws_its_figures(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "workflow" / "scripts"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (study / "docs").mkdir()
    NotebookClient(notebook, resources={"metadata": {"path": study / "docs"}}).execute()  # raises where a cell does
    assert pictures(notebook) == 2


def test_it_stands_in_docs_with_the_output_of_this_version() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert pictures(notebook) == 2
    table, facts = (output["data"]["text/plain"] for cell in notebook.cells[:7] for output in cell.get("outputs", []))
    assert all(measure in table for measure in MEASURES if measure not in RATES)
    assert {"transformation", "firing_rate"} <= ast.literal_eval(facts)["configuration"].keys()
