"""Progress in a notebook: one display that is updated in place, without widgets."""

from __future__ import annotations

import logging
import sys
import time
import warnings

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from raykd.cli.console import Silent
from raykd.notebook import progress
from raykd.notebook.kernel import in_notebook, without_advice
from raykd.notebook.progress import NotebookView
from raykd.notebook.sweep import _console
from tests.unit.cli.event_stream import EVERYTHING


@pytest.fixture
def shell():
    made = InteractiveShell.instance()
    yield made
    InteractiveShell.clear_instance()


def test_a_sweep_is_one_display_that_is_redrawn(shell, monkeypatch):
    monkeypatch.setattr(progress, "REDRAWN_EVERY_S", 0.005)
    with capture_output() as shown, NotebookView() as view:
        for event in EVERYTHING:
            view.handle(event)
            time.sleep(0.01)
    assert (shown.stdout, shown.stderr) == ("", "")
    first, *updates = shown._outputs
    assert len(updates) >= 2
    ids = {output["transient"]["display_id"] for output in shown._outputs}
    assert len(ids) == 1
    assert not first.get("update")
    assert all(output["update"] for output in updates)
    last = updates[-1]["data"]
    for words in ("run: runs/small-1", "note: [bold] was ignored", "completed", "kd", "70.0"):
        assert words in last["text/plain"]
        assert words in last["text/html"]
    assert last["text/html"].startswith("<pre")


def test_what_comes_from_data_is_no_markup(shell):
    with capture_output() as shown, NotebookView() as view:
        view.handle({"event": "note", "time": 0.0, "message": "<script>alert(1)</script>"})
    assert "<script>" not in shown._outputs[-1]["data"]["text/html"]


def test_a_terminal_is_no_notebook(shell, monkeypatch):
    assert not in_notebook()
    assert isinstance(_console(None), Silent)
    shell.kernel = object()
    assert in_notebook()
    assert isinstance(_console(None), NotebookView)
    assert isinstance(_console(False), Silent)
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_no_library_asks_for_widgets(caplog, recwarn):
    log = logging.getLogger("ray.widgets.util")
    before = (list(log.filters), list(warnings.filters))
    without_advice()
    with caplog.at_level(logging.INFO, logger=log.name):
        log.info("Missing packages: ['ipywidgets']. Run `pip install -U ipywidgets`")
        log.info("something else")
    warnings.warn("IProgress not found. Please update jupyter and ipywidgets.", stacklevel=1)
    log.filters[:], warnings.filters[:] = before
    assert caplog.messages == ["something else"]
    assert not [w for w in recwarn if "IProgress" in str(w.message)]
