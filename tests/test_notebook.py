"""The example notebook was executed as it is, and what it shows is what it gives now."""

from __future__ import annotations

import ast
import re

import nbformat
import pytest

import raykd
from docs_pages.run_notebook import code_cells, executed, hash_of, read
from raykd.notebook.run import Run
from raykd.notebook.sweep import read as read_space


def space(notebook):
    """The search space of the notebook."""
    names: dict[str, object] = {}
    exec(code_cells(notebook)[0].source, names)
    return names["space"]


def kinds(cell):
    """What a cell shows, kind by kind."""
    return [(output.output_type, sorted(output.get("data", ()))) for output in cell.outputs]


def test_the_outputs_are_those_of_the_cells():
    notebook = read()
    nbformat.validate(notebook)
    assert notebook.metadata["raykd"]["cells"] == hash_of(notebook), (
        "a cell was changed: python -m docs_pages.run_notebook, then make docs-pages"
    )
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert all(cell.outputs for cell in cells[1:])
    assert not re.search(r"/(tmp|home|root|work)/", nbformat.writes(notebook))


def test_progress_is_one_display_of_its_cell():
    (shown,) = next(c for c in code_cells(read()) if "raykd.sweep" in c.source).outputs
    assert shown.output_type == "display_data"
    assert "done" in shown.data["text/plain"]
    assert "text/html" in shown.data


def test_what_the_cells_use_is_there():
    notebook = read()
    spec, _ = read_space(space(notebook))
    assert spec.name == "notebook"
    known = {"raykd": set(raykd.__all__), "run": {*dir(Run), "folder", "result"}}
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.attr in known.get(node.value.id, {node.attr}), node.attr


@pytest.mark.slow
def test_executed_now_it_shows_the_same_kinds_of_things():
    before = [kinds(cell) for cell in code_cells(read())]
    assert [kinds(cell) for cell in code_cells(executed(read()))] == before
