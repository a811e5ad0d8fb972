"""The look of all charts: one plotly template, one style per arm, and the figure with its numbers.

Colours of text and grid come from the page's style sheet, so charts follow dark mode and print.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import markupsafe
import plotly.graph_objects as go

from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.serialization import json_safe

GREY = "#8a8a8a"
MAX_DECADES = 3  # of a log axis, for ticks within a decade
# Okabe and Ito's palette without black (invisible on a dark page) and yellow (on a light one).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_PATTERNS = ("", "x", "|", "-", ".", "+")

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": _FONT, "size": 13, "color": "#333333"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 60, "r": 40, "t": 50, "b": 50},
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": "#111111"}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        "xaxis": {"gridcolor": "#dddddd", "zeroline": False, "automargin": True},
        "yaxis": {"gridcolor": "#dddddd", "zeroline": False, "automargin": True},
        # Upright next to the chart: across its head it would lie over the legend.
        "modebar": {
            "orientation": "v",
            "bgcolor": "rgba(0,0,0,0)",
            "color": "#8a8a8a",
            "activecolor": "#0072B2",
        },
        "colorway": list(_COLOURS),
    }
)


@dataclass(frozen=True, slots=True)
class Style:
    """How one arm looks in every chart: never by colour alone.

    Attributes:
        colour: Of its lines and marks.
        symbol: Of its marks.
        dash: Of its lines.
        pattern: Of its bars.
    """

    colour: str
    symbol: str
    dash: str
    pattern: str


def arm_styles(arms: Sequence[str]) -> dict[str, Style]:
    """A style per arm in the order of the file; the arm without teacher is grey.

    Of 36 arms no two have the same colour and dash, nor the same colour and pattern.
    """
    styles: dict[str, Style] = {}
    seen = {True: 0, False: 0}
    for i, arm in enumerate(arms):
        is_none = arm.rpartition("/")[2] in METHODS_WITHOUT_TEACHER
        k = seen[is_none]
        seen[is_none] += 1
        lap = k if is_none else k + k // len(_COLOURS)  # a colour comes again with another dash
        styles[arm] = Style(
            colour=GREY if is_none else _COLOURS[k % len(_COLOURS)],
            symbol=_SYMBOLS[i % len(_SYMBOLS)],
            dash=_DASHES[lap % len(_DASHES)],
            pattern=_PATTERNS[lap % len(_PATTERNS)],
        )
    return styles


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A chart on the page.

    Attributes:
        key: Unique id of its element.
        title: What is drawn.
        finding: One sentence on what it shows, also its description for screen readers.
        spec: Data and layout for plotly.
        height: Pixels.
        columns: Head of the table of its numbers.
        rows: The numbers, as shown.
    """

    key: str
    title: str
    finding: str
    spec: Mapping[str, Any]
    height: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figure(
    chart: go.Figure,
    *,
    key: str,
    title: str,
    finding: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    height: int = 340,
) -> Figure:
    """Finish a plotly figure: the page's template, no title (the caption has it), fixed size."""
    chart.update_layout(template=TEMPLATE, title=None, height=height)
    return Figure(
        key=f"plot-{slug(key)}",  # sections have ids, too
        title=title,
        finding=finding,
        spec=json.loads(chart.to_json()),
        height=height,
        columns=tuple(columns),
        rows=tuple(tuple(row) for row in rows),
    )


def plain(text: object) -> str:
    """User text for plotly, which reads a little HTML in its strings."""
    return html.escape(str(text), quote=False)


def slug(text: str) -> str:
    """Text as an element id. Distinct texts keep distinct ids unless they differ in punctuation."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-") or "x"


def as_script_json(value: Any) -> markupsafe.Markup:
    """Plain data as JSON that is safe inside a script element, whatever strings it holds."""
    dumped = json.dumps(json_safe(value), ensure_ascii=True, allow_nan=False, sort_keys=True)
    escaped = dumped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return markupsafe.Markup(escaped)


def line(x: Sequence[Any], y: Sequence[Any], name: str, style: Style, **more: Any) -> go.Scatter:
    """A line of one arm."""
    return go.Scatter(
        x=list(x),
        y=list(y),
        name=plain(name),
        mode=more.pop("mode", "lines+markers"),
        line={"color": style.colour, "dash": style.dash, "width": 2, **more.pop("line", {})},
        marker={"color": style.colour, "symbol": style.symbol, "size": 7},
        **more,
    )


def reference_line(
    chart: go.Figure, value: float, text: str, *, axis: str, dash: str, above: int = 0
) -> None:
    """A labelled line across the chart at a value of the ``x`` or ``y`` axis.

    Args:
        chart: What it is drawn into.
        value: Where.
        text: The label.
        axis: ``x`` or ``y``.
        dash: How it is drawn.
        above: Pixels by which the label is raised, over those of other lines.
    """
    add = chart.add_vline if axis == "x" else chart.add_hline
    position = "top" if axis == "x" else "top right"
    add(value, line={"color": GREY, "dash": dash, "width": 1.5}, annotation_text=plain(text),
        annotation_position=position, annotation_yshift=above)  # fmt: skip


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two positive values; decades alone when many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    leading = (1, 2, 5) if len(decades) <= MAX_DECADES else (1,)
    # Made from text, as 2 * 10.0**-5 is not the number that is written 2e-05.
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in leading]
    return [t for t in ticks if low * 0.8 <= t <= high * 1.25]


def short(value: object) -> str:
    """A parameter or number as the tables show it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds in words: ``41 s``, ``12 min``, ``3.4 h``."""
    if seconds != seconds:
        return "n/a"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def hours(seconds: float) -> str:
    """Seconds as hours, with digits enough to tell short searches apart."""
    return f"{seconds / 3600:.2f}" if seconds >= 3600 else f"{seconds / 3600:.2g}"


def size(num_bytes: float) -> str:
    """Bytes in words: ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} TB"
