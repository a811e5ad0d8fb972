"""Builds the report: one HTML file from one or several run folders, and nothing else.

The same run folders give the same bytes; nothing in the file is loaded from a network.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import markupsafe
import plotly.offline

from raykd import registry
from raykd.errors import SetupError
from raykd.report.charts import duration, slug
from raykd.report.section import Section, environment
from raykd.results.export import as_data
from raykd.results.merge import load_runs
from raykd.results.records import SweepResult
from raykd.whole_file import whole_file

PLOTLY_FILE = "plotly.min.js"
PACKED = "plotly-packed"
"""The element that holds the library of the charts, packed: gzip, base64."""
SCRIPTS = ("tables", "report", "charts")
PlotlyJs = Literal["inline", "directory"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedSection:
    """A section as the page places it."""

    key: str
    title: str
    heading: str
    body: markupsafe.Markup


def build_report(
    run: str | Path | Sequence[str | Path],
    out: Path | None = None,
    plotlyjs: PlotlyJs = "inline",
    *,
    is_anonymous: bool = False,
) -> Path:
    """Write the report of a run, or the comparison of several.

    Args:
        run: Run folder, or several.
        out: The file; default ``report.html`` in the run folder, for several runs
            ``comparison.html`` next to the first.
        plotlyjs: ``inline`` for one self-contained file (about 2.5 MB), ``directory`` to put
            ``plotly.min.js`` next to it once (a report is then some 0.5 MB).
        is_anonymous: Leave out hosts, users, paths, addresses and command lines.

    Returns:
        The file.

    Raises:
        RaykdError: If a run folder cannot be read.
        SetupError: If the file cannot be written.
    """
    runs = [Path(run)] if isinstance(run, str | Path) else [Path(r) for r in run]
    result = load_runs(runs, is_anonymous=is_anonymous)
    target = out or (
        runs[0] / "report.html" if len(runs) == 1 else runs[0].parent / "comparison.html"
    )
    page = render_page(result, plotlyjs)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if plotlyjs == "directory":
            _replace(target.parent / PLOTLY_FILE, plotly.offline.get_plotlyjs())
        _replace(target, page)
    except OSError as exc:
        raise SetupError(
            f"cannot write the report to {target}: {exc.strerror or exc}",
            hint="free some space or give another place: raykd report RUN --out FILE",
        ) from exc
    return target


def render_page(result: SweepResult, plotlyjs: PlotlyJs = "inline") -> str:
    """The page as text."""
    page: dict[str, Any] = {
        **head(result),
        "sections": render_sections(result),
        "css": markupsafe.Markup(_asset("report.css")),
        "scripts": [markupsafe.Markup(_asset(f"{name}.js")) for name in SCRIPTS],
        "plotly": _plotly_tag(plotlyjs),
        "data": as_data(result),
    }
    return environment().get_template("page.html").render(r=page)


def head(result: SweepResult) -> dict[str, Any]:
    """What stands above the sections, in any format."""
    return {
        "title": result.name,
        "run": result.run,
        "subtitle": _subtitle(result),
        "interrupted": result.interrupted or not result.finished,
        "facts": _facts(result),
    }


def sections() -> tuple[tuple[str, Section[Any]], ...]:
    """Every section there is with its name, in page order."""
    by_name = [(name, registry.load("sections", name)) for name in registry.names("sections")]
    return tuple(sorted(by_name, key=lambda pair: (pair[1].order, pair[0])))


def render_sections(result: SweepResult) -> list[RenderedSection]:
    """The sections that have something to say about this sweep."""
    return drawn(result, {name: section.render for name, section in sections()})


def drawn(result: SweepResult, draw: Mapping[str, Callable[[Any], str]]) -> list[RenderedSection]:
    """The sections that have something to say, in page order.

    Args:
        result: The records.
        draw: What turns the record of a section into text, by its name; others are left out.
    """
    shown = []
    for name, section in sections():
        record = section.record(result) if name in draw else None
        if record is not None:
            shown.append(
                RenderedSection(
                    key=slug(name),
                    title=section.title,
                    heading=record.heading,
                    body=markupsafe.Markup(draw[name](record)),
                )
            )
    return shown


def _facts(result: SweepResult) -> str:
    parts = [f"{len(result.tasks)} task{'s' * (len(result.tasks) != 1)}"]
    parts += [f"{len(result.arms)} arms", f"{len(result.trials)} trials"]
    if result.started:
        began = datetime.datetime.fromtimestamp(result.started, tz=datetime.UTC)
        parts.append(f"started {began:%Y-%m-%d %H:%M} UTC")
    if result.finished:
        took = duration(result.worked or result.finished - result.started)
        parts.append(f"took {took}")
        stood = math.fsum(s["end"] - s["start"] for s in result.spans if s["kind"] == "pause")
        if stood >= 1:
            parts[-1] += f" (without the {duration(stood)} before it was resumed)"
    return ", ".join(parts)


def _subtitle(result: SweepResult) -> str:
    """Who learns from whom, from the records: a description may be of another version of the file.

    The description itself stands in the section Reproduce.
    """
    teachers = dict.fromkeys(_model(t.model, t.parameters) for t in result.teachers)
    students = dict.fromkeys(_model(t.student, t.student_parameters) for t in result.tasks)
    if not teachers or not students:
        return ""
    rows = [t.rows["train"] for t in result.tasks if "train" in t.rows]
    text = f"Teacher: {'; '.join(teachers)}. Student: {'; '.join(students)}"
    if rows:
        span = f"{min(rows):,}" if min(rows) == max(rows) else f"{min(rows):,} to {max(rows):,}"
        text += f", trained on {span} rows"
    return text + "."


def _model(name: str, parameters: int) -> str:
    return f"{name} ({parameters:,} weights)" if parameters else name


def _plotly_tag(plotlyjs: PlotlyJs) -> markupsafe.Markup:
    if plotlyjs == "directory":
        return markupsafe.Markup(f'<script src="{PLOTLY_FILE}"></script>')
    packed = gzip.compress(plotly.offline.get_plotlyjs().encode(), mtime=0)
    text = base64.b64encode(packed).decode("ascii")
    return markupsafe.Markup(f'<script type="text/plain" id="{PACKED}">{text}</script>')


def _asset(name: str) -> str:
    return (resources.files("raykd.report") / "assets" / name).read_text(encoding="utf-8")


def _replace(target: Path, text: str) -> None:
    with whole_file(target) as part:
        part.write_text(text, encoding="utf-8")
