"""Turns the events of a sweep into messages for loggers; a repeated evaluation makes one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from raykd.loggers.base import LoggedTrial, Message, Scores, SweepEnd, TrialEnd

Event = Mapping[str, Any]  # one line of events.jsonl


@dataclass(slots=True)
class _TrialState:
    """A trial as far as it was sent.

    Attributes:
        trial: What it is.
        evaluated: The step of its last evaluation.
        stepped: The step of its last step metrics.
        ended: Whether its end was sent.
    """

    trial: LoggedTrial
    evaluated: int = -1
    stepped: int = -1
    ended: bool = False


class LoggerFeed:
    """Reads events in the order of the log.

    The same events give the same messages, so a resumed sweep brings a feed to where that of an
    earlier driver was by giving it what that one had read.

    Args:
        with_steps: Whether there are step metrics, which hold the loss terms then.
    """

    def __init__(self, *, with_steps: bool) -> None:
        self._with_steps = with_steps
        self._states: dict[str, _TrialState] = {}
        self._keys: dict[str, str] = {}
        self._teachers: dict[str, float] = {}
        self._handlers: Mapping[str, Callable[[Event], Message | None]] = {
            "teacher_ready": self._teacher_ready,
            "trial_started": self._trial_started,
            "trial_report": self._trial_report,
            "trial_steps": self._trial_steps,
            "trial_finished": self._trial_finished,
            "verdicts": self._verdicts,
        }

    def of(self, event: Event) -> Message | None:
        """The message of an event; None where it has none, or cannot be understood."""
        handler = self._handlers.get(str(event.get("event")))
        try:
            return None if handler is None else handler(event)
        except (AttributeError, LookupError, TypeError, ValueError):
            return None  # of another version of raykd, or edited

    def _teacher_ready(self, event: Event) -> Message | None:
        teacher = event["teacher"]
        place = " ".join(filter(None, (event["task"], teacher.get("name"))))
        values = {f"teacher/{place}/{n}": v for n, v in teacher["metrics"].items()}
        if values.items() <= self._teachers.items():
            return None  # it is ready again in every session
        self._teachers |= values
        return _scores(None, 0, event, values)

    def _trial_started(self, event: Event) -> Message | None:
        state = self._of(event)
        if state is None or _text(event["params"]) != _text(state.trial.params):
            state = self._new(event)
        elif not state.ended:
            return None  # another slot continues it
        state.ended = False
        return state.trial

    def _new(self, event: Event) -> _TrialState:
        """A new trial, under a key that is free."""
        name, key, number = str(event["trial_id"]), str(event["trial_id"]), 2
        while key in self._states:
            key, number = f"{name}-{number}", number + 1
        trial = LoggedTrial(
            key=key, task=event["task"], arm=event["arm"], stage=event["stage"],
            number=event["number"], params=event["params"], time=event["time"],
        )  # fmt: skip
        self._keys[name] = key
        self._states[key] = _TrialState(trial)
        return self._states[key]

    def _of(self, event: Event) -> _TrialState | None:
        key = self._keys.get(str(event["trial_id"]))
        return None if key is None else self._states[key]

    def _trial_report(self, event: Event) -> Message | None:
        state, entry = self._of(event), event["evaluation"]
        if state is None or entry["step"] <= state.evaluated:
            return None
        state.evaluated = entry["step"]
        values = {f"validation/{n}": v for n, v in entry["metrics"].items()}
        values["train/epoch"] = entry["epoch"]
        if not self._with_steps:
            values |= _losses(entry["terms"])
        return _scores(state.trial, entry["step"], event, values)

    def _trial_steps(self, event: Event) -> Message | None:
        state = self._of(event)
        if state is None or event["step"] <= state.stepped:
            return None
        state.stepped = event["step"]
        values = _losses(event["terms"]) | {f"train/{n}": v for n, v in event["values"].items()}
        return _scores(state.trial, event["step"], event, values)

    def _trial_finished(self, event: Event) -> Message | None:
        result = event["result"]
        state = self._of(result)
        if state is None or state.ended:
            return None
        state.ended = True
        metrics = {n if "/" in n else f"validation/{n}": v for n, v in result["metrics"].items()}
        return TrialEnd(
            trial=state.trial, time=event["time"], step=max(state.evaluated, 0),
            status=str(result["status"]), seconds=result["seconds"], metrics=_finite(metrics),
            error=result["error"],
        )  # fmt: skip

    def _verdicts(self, event: Event) -> Message:
        return SweepEnd(time=event["time"], status=event["status"], verdicts=event["verdicts"])


def _scores(
    trial: LoggedTrial | None, step: int, event: Event, values: Mapping[str, Any]
) -> Scores:
    return Scores(trial=trial, step=step, time=event["time"], values=_finite(values))


def _losses(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Means of loss terms by the names that loggers give them; ``loss`` is their sum."""
    named = {f"loss/{n}": v for n, v in terms.items() if n != "loss"}
    return named | ({"loss/total": terms["loss"]} if "loss" in terms else {})


def _text(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, default=str)


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among values: what is missing, NaN or infinite is left out."""
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
