"""The progress of a sweep in a notebook: one display of the cell, redrawn in place."""

from __future__ import annotations

import importlib
import io
import threading
import time
from typing import Any, Self

from rich.console import Console as Terminal
from rich.text import Text

from raykd.cli.console import Console, announced
from raykd.cli.live_view import draw
from raykd.cli.progress import Event, Progress

REDRAWN_EVERY_S = 0.5
WIDTH = 110
"""Characters of a line of the display."""
MOST_LINES = 20
"""Announcements that are kept above the view, the last ones."""

_HTML = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:normal;'
    "font-family:Menlo,'DejaVu Sans Mono',consolas,'Courier New',monospace\">{code}</pre>"
)


class NotebookView(Console):
    """The view of the command line as HTML; it needs IPython, and no widgets."""

    def __init__(self) -> None:
        self._state = Progress()
        self._announced: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True, name="raykd display")
        self._display: Any = None  # a handle of IPython

    def __enter__(self) -> Self:
        display: Any = importlib.import_module("IPython.display").display  # it has no types
        self._display = display(self, display_id=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Draw a last time; what is shown stays in the notebook."""
        self._over.set()
        self._thread.join()
        self._display.update(self)

    def handle(self, event: Event) -> None:
        """Take in one event; it is drawn with the others."""
        with self._lock:
            self._state.update(event)
            self._announced += announced(self._state, event)
            del self._announced[:-MOST_LINES]

    def _redraw(self) -> None:
        while not self._over.wait(REDRAWN_EVERY_S):
            self._display.update(self)

    def _drawn(self) -> Terminal:
        # Drawn for no terminal, and not as rich would by itself in a notebook.
        page = Terminal(
            file=io.StringIO(), record=True, width=WIDTH, force_jupyter=False, color_system=None
        )
        with self._lock:
            for text in self._announced:
                page.print(Text(text))
            if self._state.name:
                page.print(draw(self._state, time.time()))
        return page

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        """The view of this moment, as text and as HTML."""
        text = self._drawn().export_text(clear=True)
        html = self._drawn().export_html(inline_styles=True, code_format=_HTML)
        return {"text/plain": text, "text/html": html}
