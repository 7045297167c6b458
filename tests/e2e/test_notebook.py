"""The walkthrough runs from its first cell to its last."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "walkthrough.ipynb"


def test_the_walkthrough_runs_and_draws_the_funnel(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "20,000 profiles" in printed
    assert "demo_spring_sale_20261101_000000_2.csv" in printed
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_the_notebook_as_committed_shows_the_chart_and_no_folder_of_anybodys_machine() -> None:
    text = NOTEBOOK.read_text()
    assert "image/png" in text
    assert "/tmp" not in text
    assert "/home" not in text
