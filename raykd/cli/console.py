"""Shows a stream of events: a live view on a terminal, lines without one, or JSON.

Every event is a mapping with ``event`` (its kind) and ``time`` (seconds since the epoch). The live
view and the lines go to stderr; JSON goes to stdout, one object per line. Events of an earlier
driver, marked ``replayed``, are counted and not written.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self, TextIO

from raykd.cli.output import SHOWN, Format, Output
from raykd.cli.progress import (
    Event,
    Progress,
    about,
    describe_cluster,
    describe_node,
    duration,
    parameters,
    time_left,
)  # fmt: skip
from raykd.errors import visible

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

SUMMARY_EVERY_S = 30.0


class Console(ABC):
    """Takes events as they come; used as a context manager around a sweep."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave nothing unwritten."""
        sys.stderr.flush()

    @abstractmethod
    def handle(self, event: Event) -> None:
        """Take in one event; may be called from several threads, one at a time."""


class Silent(Console):
    """Shows nothing (``-q``)."""

    def handle(self, event: Event) -> None:
        """Drop the event."""


class JsonLines(Console):
    """One object per event on stdout."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def handle(self, event: Event) -> None:
        """Write the event; flushed, since another program may be waiting for it."""
        if event.get("replayed"):
            return
        text = json.dumps(event, ensure_ascii=False, default=str)
        print(text, file=self._stream, flush=True)


class Lines(Console):
    """One line per finished trial, one per step of a teacher, a summary at most every 30 s."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._state = Progress()
        self._summary_at = 0.0
        self._phase = ("", "")

    def handle(self, event: Event) -> None:
        """Write what is worth a line."""
        lines = self.of(event)
        if event.get("replayed"):
            return
        for line in lines:
            stamp = duration(event["time"] - self._state.started)
            print(f"[{stamp}] {visible(line)}", file=self._stream)
        if (
            event["time"] - self._summary_at >= SUMMARY_EVERY_S
            and event["event"] != "sweep_finished"
        ):
            self._summary_at = event["time"]
            stamp = duration(event["time"] - self._state.started)
            print(f"[{stamp}] {_summary(self._state, event['time'])}", file=self._stream)
        self._stream.flush()

    def of(self, event: Event) -> list[str]:
        """Take in one event; the lines that it is worth, none for an earlier driver's."""
        self._state.update(event)
        return [] if event.get("replayed") else self._lines(event)

    def _lines(self, event: Event) -> list[str]:
        kind = event["event"]
        if kind == "sweep_started":
            self._summary_at = event["time"]
            tasks, arms = len(event["tasks"]), ", ".join(event["arms"])
            return [
                f"run: {event.get('folder', event.get('run', ''))}",
                f"{event['name']}: {tasks} tasks, arms {arms}, {self._state.planned} trials",
            ]
        if kind == "sweep_resumed":
            return [f"run: {event.get('folder', event.get('run', ''))}, resumed"]
        if kind == "teacher_progress":
            phase = (event["task"], event["phase"])
            if phase == self._phase:
                return []
            self._phase = phase
            assert self._state.preparation is not None
            return [self._state.preparation.describe()]
        if kind == "teacher_ready":
            score = self._state.score(event["task"], self._state.teachers[event["task"]])
            how = "from the cache" if event["teacher"]["cached"] else "prepared"
            how = how if event["teacher"].get("parameters", 1) else "read as it was given"
            named = f" {name}" if (name := event["teacher"].get("name")) else ""
            return [f"teacher{named} of {event['task']} {how}: {event['record']['metric']} {score}"]
        if kind == "trial_finished":
            return [_finished(self._state, event)]
        line = _line(event)
        return [] if line is None else [line]


def _line(event: Event) -> str | None:
    """What is shown of an event that says everything itself, None for one that is not shown."""
    kind = event["event"]
    if kind == "stage":
        return f"{event['task']}: {event['stage']}"
    if kind in ("note", "stopping"):
        return f"note: {event['message']}"
    if kind == "cluster" and event["nodes"] > 1:
        return describe_cluster(event)
    if kind == "waiting":
        return str(event["message"])
    if kind == "node":
        return describe_node(event)
    if kind == "slot" and event["state"] == "lost":
        where = f" on {event['node']}" if event["node"] else ""
        return f"slot {event['slot']}{where} was lost"
    if kind == "sweep_finished":
        why = f": {event['error']}" if event.get("error") else ""
        return f"{event['status']} after {about(event['seconds'])}{why}"
    return None


def _finished(state: Progress, event: Event) -> str:
    result = event["result"]
    arm = state.arm(result["task"], result["arm"])
    done = f"{arm.done}/{state.trials}"
    if result["stage"] == "confirm":
        done = f"{arm.confirmed}/{state.confirm_runs} confirmed"
    searched = {name: result["params"][name] for name in result["searched"]}
    parts = [
        f"{result['trial_id']} {result['status']}",
        result["error"]
        if result["status"] == "failed"
        else state.score(result["task"], result["objective"]),
        parameters(searched),
        f"not {' and '.join(result['violated'])}" if result.get("violated") else "",
        f"({result['arm']} {done})",
    ]
    return visible("  ".join(part for part in parts if part))


def _summary(state: Progress, now: float) -> str:
    parts = [f"{state.ended} of {state.planned} trials"]
    starting = sum(slot == "starting" for slot in state.slots.values())
    if starting and not state.trials_started:
        parts.append(f"{starting} slots are starting")
    if state.preparation is not None:
        made = state.preparation
        amount = f" {made.done:g}/{made.total:g} {made.unit}" if made.total else ""
        parts.append(made.describe() + amount)
    parts += [
        f"{name} best {state.score(task, arm.best)}"
        for (task, name), arm in state.arms.items()
        if task == state.task and arm.best is not None
    ]
    left = state.seconds_left(now)
    if left is not None:
        parts.append(time_left(left))
    return "; ".join(parts)


class Logged(Console):
    """Writes every event to the log file, and hands it on.

    What lines would show is written as such; everything else is there for those who look closer.

    Args:
        shown: The console that shows the events.
    """

    def __init__(self, shown: Console) -> None:
        self._shown = shown
        self._lines = Lines()
        self._log = logging.getLogger(SHOWN)

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        """End what shows the events."""
        self._shown.__exit__(*raised)

    def handle(self, event: Event) -> None:
        """Write and hand on."""
        for line in self._lines.of(event):
            self._log.log(_level(event), "%s", line)
        if not event.get("replayed"):
            what = {key: value for key, value in event.items() if key not in ("event", "time")}
            self._log.debug("%s %s", event["event"], json.dumps(what, default=str))
        self._shown.handle(event)


def _level(event: Event) -> int:
    if event["event"] in ("note", "stopping", "waiting"):
        return logging.WARNING
    failed = event["event"] == "sweep_finished" and event["status"] == "failed"
    return logging.ERROR if failed else logging.INFO


class LiveView(Console):
    """One view that is redrawn in place."""

    def __init__(self, console: RichConsole | None = None) -> None:
        from rich.console import Console as Terminal
        from rich.live import Live

        self._state = Progress()
        self._lock = threading.Lock()
        self._terminal = console or Terminal(stderr=True)
        # stdout carries the result only and must not be drawn into the view.
        self._live = Live(
            console=self._terminal,
            get_renderable=self.view,
            refresh_per_second=4,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Draw a last time and release the terminal."""
        self._live.stop()

    def handle(self, event: Event) -> None:
        """Take in one event; notes and failures stay above the view."""
        with self._lock:
            self._state.update(event)
        for text in announced(self._state, event):
            self._terminal.print(text, markup=False, highlight=False)

    def view(self) -> RenderableType:
        """The view of this moment; called by the redrawing thread, hence the lock."""
        from raykd.cli.live_view import draw

        with self._lock:
            return draw(self._state, time.time())


def announced(state: Progress, event: Event) -> Iterator[str]:
    """What stays above a view that is redrawn: where the run is, notes, nodes, failures.

    Args:
        state: It has taken the event in.
        event: The event.
    """
    kind = event["event"]
    if event.get("replayed"):
        return
    if kind in ("sweep_started", "sweep_resumed"):
        yield f"run: {visible(event.get('folder', event.get('run', '')))}"
    elif kind in ("note", "stopping", "waiting"):
        yield f"note: {visible(event['message'])}"
    elif kind == "cluster" and event["nodes"] > 1:
        yield describe_cluster(event)
    elif kind == "node":
        yield describe_node(event)
    elif kind == "trial_finished" and event["result"]["status"] == "failed":
        yield _finished(state, event)


def open_console(output: Output) -> Console:
    """The console that suits the format requested and the terminal."""
    console = _console(output)
    return Logged(console) if output.has_log_file else console


def _console(output: Output) -> Console:
    style = output.style(sys.stderr)
    if style is Format.JSON:
        return JsonLines()
    if output.quiet:
        return Silent()
    if style is Format.RICH and os.environ.get("TERM") != "dumb":
        return LiveView()
    return Lines()
