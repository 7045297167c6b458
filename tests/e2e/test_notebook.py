"""The walkthrough runs from its first cell to its last."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "walkthrough.ipynb"


def shown(notebook: NotebookNode) -> list[str]:
    """What the code cells print and return, without pictures."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.get("text") or output["data"]["text/plain"] for output in outputs]


def test_the_walkthrough_runs_and_shows_what_is_committed(tmp_path: Path) -> None:
    committed, notebook = (nbformat.read(NOTEBOOK, as_version=4) for _ in range(2))
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert shown(notebook) == shown(committed)
    assert "20,000 profiles" in "".join(shown(notebook))
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))


def test_the_notebook_as_committed_shows_the_chart_and_no_folder_of_anybodys_machine() -> None:
    text = NOTEBOOK.read_text()
    assert "image/png" in text
    assert "/tmp" not in text
    assert "/home" not in text
