"""Draws a figure of the report with matplotlib, which needs no browser: SVG, PNG and PDF.

It reads what plotly draws in the page, as far as the report uses it: points, lines, bars, contours,
several axes next to each other, lines across and labels.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raykd.report.charts import GREY, Figure

WIDTH = 720
"""Pixels, as wide as a column of the page."""
DOTS = 200
"""Per inch of a PNG."""
LONGEST_NAME = 20
"""Characters of a name along an axis."""
_PIXEL = 1 / 96  # inch
_POINT = 0.75  # a pixel in points
_STYLE: dict[Any, Any] = {
    "font.size": 9.5, "axes.grid": True, "grid.color": "#dddddd", "grid.linewidth": 0.6,
    "axes.edgecolor": "#bbbbbb", "axes.axisbelow": True, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "text.parse_math": False,
    "svg.hashsalt": "raykd", "pdf.fonttype": 42, "hatch.linewidth": 0.6,
    "font.family": "DejaVu Sans",
}  # fmt: skip
"""The look, and what makes files the same every time; fonts that journals take (TrueType)."""
_MARKS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P",
          "star": "*", "hexagon": "h", "x-thin": "x"}  # fmt: skip
_DASHES: Mapping[str, Any] = {
    "solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (9, 3)),
    "longdashdot": (0, (9, 3, 2, 3)),
}  # fmt: skip
_METADATA: Mapping[str, Mapping[str, Any]] = {
    "svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None},
}  # fmt: skip


def draw(figure: Figure, path: Path, format: str) -> None:
    """Write a figure.

    Args:
        figure: What is drawn; its title and finding are for a caption, and not in the file.
        path: The file.
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: It has a trace that is none of those that the report uses.
        OSError: The file cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(_STYLE):
        canvas = Canvas(figsize=(WIDTH * _PIXEL, figure.height * _PIXEL))
        places = _places(canvas, figure)
        for trace in figure.spec["data"]:
            _TRACES.get(trace["type"], _refuse)(places[trace.get("xaxis", "x")], trace)
        for place in places.values():
            place.finish()
        layout = figure.spec["layout"]
        for shape in layout.get("shapes", ()):
            _line_across(places["x"], shape)
        for note in layout.get("annotations", ()):
            _label(places["x"], note)
        _legend(places["x"], figure)
        canvas.savefig(
            path, format=format, dpi=DOTS, bbox_inches="tight", metadata=dict(_METADATA[format])
        )


@dataclass
class _PlotAxis:
    """One axis of a chart, and the names that stand along it in place of numbers."""

    layout: Mapping[str, Any]
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names += [str(name) for name in self.layout.get("categoryarray") or ()]

    def numbers(self, values: Any) -> Any:  # what plotly takes for a column
        """Values as numbers; names are numbered in the order in which they come."""
        column = _array(values)
        if self.layout.get("type") != "category" and not any(isinstance(v, str) for v in column):
            return np.array([np.nan if v is None else float(v) for v in column])
        self.names += [n for n in dict.fromkeys(map(str, column)) if n not in self.names]
        return np.array([float(self.names.index(str(v))) for v in column])


@dataclass
class _Plot:
    """A pair of axes.

    Attributes:
        axes: Those of matplotlib.
        x: Across.
        y: Up.
    """

    axes: Any
    x: _PlotAxis
    y: _PlotAxis

    def finish(self) -> None:
        """Titles, scales, ticks and limits; after everything is drawn, as names are known then."""
        for name, axis in (("x", self.x), ("y", self.y)):
            of = getattr(self.axes, f"{name}axis")
            of.set_label_text(_plain((axis.layout.get("title") or {}).get("text", "")))
            if axis.layout.get("type") == "log":
                getattr(self.axes, f"set_{name}scale")("log")
                of.set_minor_locator(_no_ticks())
            ticks = axis.layout.get("tickvals")
            if axis.names:
                of.set_ticks(range(len(axis.names)), [_cut(_plain(n)) for n in axis.names])
                getattr(self.axes, f"set_{name}lim")(-0.5, len(axis.names) - 0.5)
            elif ticks is not None:
                texts = _array(axis.layout.get("ticktext") or ticks)
                of.set_ticks(_array(ticks), [_plain(text) for text in texts])
            if limits := axis.layout.get("range"):
                is_log = axis.layout.get("type") == "log"
                ends = [10.0**end if is_log else float(end) for end in limits]
                getattr(self.axes, f"set_{name}lim")(*ends)
            if axis.layout.get("showticklabels") is False or axis.layout.get("visible") is False:
                of.set_tick_params(**{"labelleft" if name == "y" else "labelbottom": False})
        if any(len(name) > 8 for name in self.x.names):
            self.axes.tick_params(axis="x", labelrotation=20)


def _places(canvas: Any, figure: Figure) -> dict[str, _Plot]:
    """The axes of a figure by the name that traces give of them."""
    layout = figure.spec["layout"]
    used = dict.fromkeys(["x", *(trace.get("xaxis", "x") for trace in figure.spec["data"])])
    places: dict[str, _Plot] = {}
    for name in used:
        x, y = layout.get(f"xaxis{name[1:]}") or {}, layout.get(f"yaxis{name[1:]}") or {}
        across, up = x.get("domain", (0, 1)), y.get("domain", (0, 1))
        box = (across[0], up[0], across[1] - across[0], up[1] - up[0])
        shared = places["x"].axes if y.get("matches") == "y" else None
        axes = canvas.add_axes(box, sharey=shared)
        places[name] = _Plot(axes, _PlotAxis(x), _PlotAxis(y))
    return places


def _scatter(place: _Plot, trace: Mapping[str, Any]) -> None:
    x, y = place.x.numbers(trace["x"]), place.y.numbers(trace["y"])
    mode = trace.get("mode", "lines")
    line, marker = trace.get("line") or {}, trace.get("marker") or {}
    opacity = trace.get("opacity", 1.0)
    if "lines" in mode:
        place.axes.plot(
            x, y, color=_colour(line.get("color", GREY)), alpha=opacity,
            linestyle=_DASHES[line.get("dash", "solid")], linewidth=line.get("width", 2) * _POINT,
            drawstyle="steps-post" if line.get("shape") == "hv" else "default",
        )  # fmt: skip
    if "markers" in mode and len(x):
        _points(place, trace, (x, y), marker, opacity * marker.get("opacity", 1.0))
    for x_at, y_at, text in zip(x, y, trace.get("text") or (), strict=False):
        place.axes.annotate(_plain(text), (x_at, y_at), (0, 7), textcoords="offset points",
                            ha="center", fontsize=8)  # fmt: skip
    if error := trace.get("error_x"):
        ends = [_array(error["arrayminus"]), _array(error["array"])]
        place.axes.errorbar(
            x, y, xerr=ends, fmt="none", ecolor=_colour(error["color"]), capsize=4,
            elinewidth=error["thickness"] * _POINT, capthick=error["thickness"] * _POINT,
        )  # fmt: skip


def _points(
    place: _Plot, trace: Mapping[str, Any], at: Any, marker: Mapping[str, Any], opacity: float
) -> None:
    symbol = str(marker.get("symbol", "circle"))
    mark = _MARKS[symbol.removesuffix("-open")]
    colours = marker.get("color", GREY)
    is_scale = not isinstance(colours, str) and not isinstance(_array(colours)[0], str)
    look: dict[str, Any] = {"linewidths": (marker.get("line") or {}).get("width", 0) * 0.4}
    if is_scale:
        look |= {"c": _array(colours), "cmap": "viridis"}
    elif mark == "x":
        look = {"color": _colours(colours), "linewidths": 1.2}
    elif symbol.endswith("-open"):
        look = {"facecolors": "none", "edgecolors": _colours(colours), "linewidths": 1.2}
    else:
        look |= {"facecolors": _colours(colours), "edgecolors": GREY}
    size = (marker.get("size", 6) * _POINT) ** 2
    drawn = place.axes.scatter(*at, s=size, marker=mark, alpha=opacity, zorder=3, **look)
    if is_scale and marker.get("showscale"):
        title = ((marker.get("colorbar") or {}).get("title") or {}).get("text", "")
        place.axes.figure.colorbar(drawn, ax=place.axes, label=_plain(title))


def _bar(place: _Plot, trace: Mapping[str, Any]) -> None:
    is_across = trace.get("orientation") == "h"
    x, y = place.x.numbers(trace["x"]), place.y.numbers(trace["y"])
    base = _array(trace["base"]) if "base" in trace else np.zeros(len(x))
    marker = trace["marker"]
    shape = (marker.get("pattern") or {}).get("shape", "")
    look = {
        "color": _colour(marker["color"]), "hatch": shape * 3, "edgecolor": "#ffffff",
        "linewidth": (marker.get("line") or {}).get("width", 0) * 0.6,
    }  # fmt: skip
    if is_across:
        drawn = place.axes.barh(y, x, left=base, **look)
    else:
        drawn = place.axes.bar(x, y, bottom=base, **look)
    if "text" in trace:
        texts = [_plain(text) for text in _array(trace["text"])]
        place.axes.bar_label(drawn, texts, padding=3, fontsize=8)


def _contour(place: _Plot, trace: Mapping[str, Any]) -> None:
    """A surface; where nothing was tried it is filled in along a row, as plotly connects gaps."""
    x, y = place.x.numbers(trace["x"]), place.y.numbers(trace["y"])
    z = _filled(np.ma.masked_invalid(_array(trace["z"]).astype(float)), x)
    colours = "Blues_r" if trace.get("reversescale") else "Blues"
    drawn = place.axes.contourf(x, y, z, levels=12, cmap=colours)
    title = ((trace.get("colorbar") or {}).get("title") or {}).get("text", "")
    place.axes.figure.colorbar(drawn, ax=place.axes, label=_plain(title))


def _filled(z: Any, x: Any) -> Any:  # (rows, columns), masked
    """Missing values interpolated along rows, then along columns."""
    grid = z.filled(np.nan)
    for lines, at in ((grid, x), (grid.T, np.arange(len(grid)))):
        for line in lines:
            known = np.isfinite(line)
            if known.any():
                line[~known] = np.interp(np.asarray(at)[~known], np.asarray(at)[known], line[known])
    return grid


def _refuse(place: _Plot, trace: Mapping[str, Any]) -> None:
    raise ValueError(f"a trace of type {trace['type']} cannot be drawn: add it to {__name__}")


_TRACES = {"scatter": _scatter, "bar": _bar, "contour": _contour}


def _line_across(place: _Plot, shape: Mapping[str, Any]) -> None:
    line = shape.get("line") or {}
    look = {"color": _colour(line.get("color", GREY)), "linewidth": line.get("width", 1) * _POINT,
            "linestyle": _DASHES[line.get("dash", "solid")]}  # fmt: skip
    if "domain" in str(shape.get("yref")):
        place.axes.axvline(shape["x0"], **look)
    elif "domain" in str(shape.get("xref")):
        place.axes.axhline(shape["y0"], **look)
    else:
        place.axes.plot([shape["x0"], shape["x1"]], [shape["y0"], shape["y1"]], **look)


def _label(place: _Plot, note: Mapping[str, Any]) -> None:
    """A text at a value, or at a share of an axis."""
    at = place.axes.transData
    if "domain" in str(note.get("yref")):
        at = place.axes.get_xaxis_transform()
    elif "domain" in str(note.get("xref")):
        at = place.axes.get_yaxis_transform()
    shift = (note.get("xshift", 0) * _POINT, note.get("yshift", 0) * _POINT)
    across = {"left": "left", "right": "right"}.get(note.get("xanchor", ""), "center")
    up = {"bottom": "bottom", "top": "top"}.get(note.get("yanchor", ""), "center")
    place.axes.annotate(
        _plain(note["text"]), (note["x"], note["y"]), shift, xycoords=at,
        textcoords="offset points", ha=across, va=up, fontsize=8, color="#555555",
        annotation_clip=False,
    )  # fmt: skip


def _legend(place: _Plot, figure: Figure) -> None:
    """One entry for each name that the page's legend has."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    named = [t for t in figure.spec["data"] if t.get("name") and t.get("showlegend") is not False]
    if figure.spec["layout"].get("showlegend") is False or len(figure.spec["data"]) < 2:
        return
    entries: list[Any] = []
    for trace in named:
        marker, line = trace.get("marker") or {}, trace.get("line") or {}
        label, symbol = _plain(trace["name"]), str(marker.get("symbol", "circle"))
        if trace["type"] == "bar":
            shape = (marker.get("pattern") or {}).get("shape", "")
            entries.append(Patch(facecolor=_colour(marker["color"]), hatch=shape * 3,
                                 edgecolor="#ffffff", label=label))  # fmt: skip
            continue
        mode = trace.get("mode", "lines")
        colour = _colour(line.get("color") or marker.get("color") or GREY)
        entries.append(
            Line2D([], [], label=label, color=colour,
                   linestyle=_DASHES[line.get("dash", "solid")] if "lines" in mode else "none",
                   marker=_MARKS[symbol.removesuffix("-open")] if "markers" in mode else "",
                   markersize=5)
        )  # fmt: skip
    if entries:
        place.axes.figure.legend(
            handles=entries, loc="lower left", bbox_to_anchor=(0, 1.02), ncols=len(entries)
        )


def _array(values: Any) -> Any:  # a list, or plotly's packed form of an array
    if isinstance(values, Mapping):
        numbers = np.frombuffer(base64.b64decode(values["bdata"]), np.dtype(values["dtype"]))
        shape = str(values.get("shape", "")).split(",") if values.get("shape") else [-1]
        return numbers.reshape([int(n) for n in shape])
    return np.array(values, dtype=object)


def _colours(colours: str | Sequence[str]) -> Any:
    return _colour(colours) if isinstance(colours, str) else [_colour(c) for c in _array(colours)]


def _colour(name: str) -> Any:
    """A colour as matplotlib takes it: a name, ``#rrggbb``, or plotly's ``rgb(r, g, b)``."""
    parts = re.findall(r"[\d.]+", name) if name.startswith("rgb") else []
    if not parts:
        return name.lower()
    return tuple(float(p) / 255 for p in parts[:3]) + tuple(float(p) for p in parts[3:4])


def _plain(text: object) -> str:
    """A text without the little HTML that plotly reads in its strings."""
    return html.unescape(re.sub(r"</?(?:b|i|br|sub|sup)/?>", " ", str(text)))


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
