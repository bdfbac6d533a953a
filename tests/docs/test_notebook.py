"""The notebook runs from its first cell to its last, and is committed as it ran."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs/cld_in_a_notebook.ipynb"


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return sum("image/jpeg" in output.get("data", {}) for output in outputs)


@pytest.mark.slow
def test_it_runs(monkeypatch):
    """On one core; there is no data and no network to be had."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    committed = pictures(notebook)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    printed = "".join(
        output.text for cell in code_cells(notebook) for output in cell.outputs if "text" in output
    )
    assert "the gradient is as by hand: True" in printed
    assert pictures(notebook) == committed == 6


def test_it_is_committed_with_its_outputs_and_is_small():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(
        range(1, len(code_cells(notebook)) + 1)
    )
    assert NOTEBOOK.stat().st_size < 500_000
