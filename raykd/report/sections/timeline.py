"""Timeline: trials on slots, teacher preparation, slot starts, what came and went, idle time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from raykd.report.charts import GREY, Figure, arm_styles, duration, figure, plain
from raykd.report.section import Section, template
from raykd.results.records import SweepResult, TrialResult

DRIVER = "driver"
MIN_PAUSE = 1.0  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineRecord:
    """The chart, and how long the slots had nothing to do."""

    heading: str
    chart: Figure


def record(result: SweepResult) -> TimelineRecord | None:
    """None when nothing with a time happened."""
    trials = [t for t in result.trials if t.started > 0 and t.seconds > 0]
    interruptions = [s for s in result.spans if s["kind"] == "pause"]
    spans = [s for s in result.spans if s["end"] > s["start"] and s["kind"] != "pause"]
    if not trials and not spans:
        return None
    start = min([*(t.started for t in trials), *(s["start"] for s in spans)])
    end = max([*(t.started + t.seconds for t in trials), *(s["end"] for s in spans)])
    stood = math.fsum(p["end"] - p["start"] for p in interruptions)
    heading = f"{duration(result.worked or end - start)} in all"
    if stood >= MIN_PAUSE:
        heading += f", without the {duration(stood)} before it was resumed"
    idle = idle_share(trials, interruptions)
    if idle is not None:
        heading += f"; slots were idle {idle * 100:.0f} % of the time between their trials"
    return TimelineRecord(heading=heading, chart=_chart(result, trials, spans, start))


def render(r: TimelineRecord) -> str:
    """The chart."""
    return template("timeline", r)


def idle_share(
    trials: list[TrialResult], interruptions: Sequence[Mapping[str, Any]] = ()
) -> float | None:
    """Share of the time between a slot's first and last trial in which it ran none.

    Args:
        trials: All trials.
        interruptions: Spans in which the sweep did not run, which are nobody's idle time.
    """
    by_slot: dict[int, list[TrialResult]] = {}
    for trial in trials:
        by_slot.setdefault(trial.slot, []).append(trial)
    span = busy = 0.0
    for own in by_slot.values():
        first, last = min(t.started for t in own), max(t.started + t.seconds for t in own)
        span += last - first - math.fsum(_overlap(p, first, last) for p in interruptions)
        busy += math.fsum(t.seconds for t in own)
    return max(0.0, 1 - busy / span) if span > 0 else None


def _overlap(span: Mapping[str, Any], start: float, end: float) -> float:
    """Seconds of a span between two moments."""
    return max(0.0, min(float(span["end"]), end) - max(float(span["start"]), start))


def _chart(
    result: SweepResult, trials: list[TrialResult], spans: list[Mapping[str, Any]], start: float
) -> Figure:
    axis = _Axis.over(start, [*(t.started + t.seconds for t in trials), *(s["end"] for s in spans)])
    moments = [s for s in result.spans if s["end"] == s["start"]]
    chart = go.Figure()
    if spans:
        _add_spans(chart, spans, axis)
    if moments:
        _add_moments(chart, moments, axis)
    for arm in result.arms:
        if own := [t for t in trials if t.arm == arm]:
            _add_trials(chart, result, arm, own, axis)
    shown = [*spans, *moments]
    lanes = sorted({t.slot for t in trials} | {int(s.get("slot", -1)) for s in shown}, reverse=True)
    chart.update_layout(barmode="overlay", xaxis_title=f"{axis.unit} since the first of these")
    chart.update_yaxes(type="category", categoryorder="array",
                       categoryarray=[_lane(n) for n in lanes])  # fmt: skip
    rows = [(_lane(s.get("slot", -1)), s["name"], duration(s["start"] - start),
             duration(s["end"] - s["start"])) for s in shown]  # fmt: skip
    rows += [
        (_lane(t.slot), t.trial_id, duration(t.started - start), duration(t.seconds))
        for t in trials
    ]
    return figure(
        chart,
        key="timeline",
        title="What ran when",
        finding="One lane per slot; hatched bars are the teacher's preparation and slot starts, "
        "diamonds nodes and slots that came, went or were waited for.",
        columns=("lane", "what", "start", "time"),
        rows=rows,
        height=150 + 34 * len(lanes),
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """Time since the first thing that is shown.

    Attributes:
        start: When that was.
        per: Seconds in a unit.
        unit: Its name.
    """

    start: float
    per: float
    unit: str

    @classmethod
    def over(cls, start: float, ends: list[float]) -> _Axis:
        """The axis that holds everything, in a unit that fits."""
        span = max(ends) - start
        if span >= 3 * 3600:
            return cls(start, 3600.0, "hours")
        return cls(start, 60.0, "minutes") if span >= 300 else cls(start, 1.0, "seconds")

    def at(self, moment: float) -> float:
        """Where a moment stands."""
        return (moment - self.start) / self.per

    def hover(self, what: str) -> str:
        """What is shown of a mark under the pointer."""
        return "%{customdata}: " + what + "%{x:.2f} " + self.unit + "<extra></extra>"


def _add_spans(chart: go.Figure, spans: list[Mapping[str, Any]], axis: _Axis) -> None:
    chart.add_bar(
        base=[axis.at(s["start"]) for s in spans],
        x=[(s["end"] - s["start"]) / axis.per for s in spans],
        y=[_lane(s.get("slot", -1)) for s in spans],
        orientation="h", name="preparation", customdata=[plain(s["name"]) for s in spans],
        hovertemplate=axis.hover(""),
        marker={"color": GREY, "pattern": {"shape": "/"}},
    )  # fmt: skip


def _add_moments(chart: go.Figure, moments: list[Mapping[str, Any]], axis: _Axis) -> None:
    chart.add_scatter(
        x=[axis.at(s["start"]) for s in moments],
        y=[_lane(s.get("slot", -1)) for s in moments], mode="markers", name="events",
        customdata=[plain(s["name"]) for s in moments],
        hovertemplate=axis.hover("at "),
        marker={"symbol": "diamond", "size": 10, "color": GREY,
                "line": {"width": 1, "color": "#ffffff"}},
    )  # fmt: skip


def _add_trials(
    chart: go.Figure, result: SweepResult, arm: str, trials: list[TrialResult], axis: _Axis
) -> None:
    style = arm_styles(result.arms)[arm]
    chart.add_bar(
        base=[axis.at(t.started) for t in trials], x=[t.seconds / axis.per for t in trials],
        y=[_lane(t.slot) for t in trials], orientation="h", name=plain(arm),
        customdata=[plain(t.trial_id) for t in trials],
        hovertemplate=axis.hover(""),
        marker={
            "color": style.colour,
            "line": {"width": 1, "color": "#ffffff"},
            "pattern": {"shape": style.pattern, "fillmode": "overlay", "solidity": 0.2, "size": 8,
                        "fgcolor": "rgba(255,255,255,0.45)"},
        },
    )  # fmt: skip


def _lane(slot: int) -> str:
    return DRIVER if slot < 0 else f"slot {slot}"


SECTION = Section(order=100, title="Timeline", record=record, render=render)
