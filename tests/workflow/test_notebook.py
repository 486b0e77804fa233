"""The notebook of docs/ runs from its first cell to its last, and draws."""

from pathlib import Path

import nbformat
import pytest
from copies import ROOT
from nbclient import NotebookClient

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


def test_it_stands_in_docs_with_its_output() -> None:
    assert pictures(nbformat.read(NOTEBOOK, as_version=4)) == 2
