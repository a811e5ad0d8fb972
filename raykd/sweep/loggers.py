"""The loggers of a sweep: which there are, when they get events, and what one that fails does."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raykd import params, registry
from raykd.errors import RaykdError
from raykd.loggers.base import Logger, Sweep
from raykd.loggers.delivery import LoggerDelivery
from raykd.loggers.feed import LoggerFeed
from raykd.params import Scalar
from raykd.results.event_log import EventLog, Listener
from raykd.results.logger_record import LOGGER_NOTE
from raykd.results.records import SweepResult
from raykd.results.serialization import to_dict
from raykd.results.verdict import verdict
from raykd.spec.schema import SweepSpec
from raykd.spec.schema_stages import Named

FOLDER = "loggers"
"""The folder of loggers in a run folder."""

END_S = 30.0
"""How long the end of a sweep waits for its loggers; of one that was stopped, a third of it."""


def check_loggers(spec: SweepSpec) -> None:
    """Refuse loggers that cannot work here.

    Raises:
        SetupError: With the reason and the place of the first one.
    """
    for number, named in enumerate(spec.loggers):
        try:
            kind: type[Logger[Any]] = registry.load("loggers", named.name)
            kind.check(_params(named))
        except RaykdError as exc:
            raise exc.at(f"{FOLDER}[{number}]") from exc


class Loggers:
    """Tells all loggers of a sweep, each in a thread of its own.

    Args:
        spec: The search space.
        run: The run folder.
    """

    def __init__(self, spec: SweepSpec, run: Path) -> None:
        self._spec = spec
        self._run = run
        self._deliveries: Sequence[LoggerDelivery] = ()

    def waking(self, listener: Listener) -> Listener:
        """A listener that also lets the loggers know that the log has grown."""

        def hear(event: Mapping[str, Any]) -> None:
            listener(event)
            for delivery in self._deliveries:
                delivery.wake()

        return hear

    def start(self, log: EventLog) -> None:
        """Begin to tell them.

        Args:
            log: Its listener is that of `waking`.
        """
        settings = dict(_flat(self._spec.as_dict()))
        for named in self._spec.loggers:
            folder = self._run / FOLDER / named.name
            sweep = Sweep(
                name=self._spec.name, run=self._run.name, folder=folder, settings=settings
            )
            delivery = LoggerDelivery(
                named.name,
                functools.partial(_make, named, sweep),
                self._run / "events.jsonl",
                LoggerFeed(with_steps=bool(self._spec.step_interval)),
                folder.parent / f"{named.name}.json",
                functools.partial(self._off, log, named.name),
            )
            self._deliveries = (*self._deliveries, delivery)
            delivery.start()

    def _off(self, log: EventLog, name: str, why: str) -> None:
        message = (
            f"logger {name} is switched off: {why}; the sweep continues, and raykd sweep --resume "
            f"{self._run} sends the logger what it missed"
        )
        log.emit("note", message=message, about=LOGGER_NOTE)

    def finish(self, log: EventLog, status: str, result: SweepResult) -> None:
        """Tell them the verdicts and what is left, and record what they were not sent.

        Args:
            log: The event log, after its last trial.
            status: How the sweep ended.
            result: What came out.
        """
        if not self._deliveries:
            return
        verdicts = {task.name: verdict(result, task.name) for task in result.tasks}
        sentences = {task: " ".join((v.headline, *v.details)) for task, v in verdicts.items()}
        log.emit("verdicts", status=status, verdicts=sentences)
        deliveries, self._deliveries = self._deliveries, ()
        for delivery in deliveries:
            delivery.end()
        until = time.monotonic() + (END_S if status == "done" else END_S / 3)
        for delivery in deliveries:
            record = delivery.finish(max(until - time.monotonic(), 0.0))
            log.emit("logger", **to_dict(record))


def _make(named: Named, sweep: Sweep) -> Logger[Any]:
    kind: type[Logger[Any]] = registry.load("loggers", named.name)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    return kind(_params(named), sweep)


def _params(named: Named) -> Any:  # a logger's parameters are its own affair
    return params.build(registry.params_of("loggers", named.name), named.params)


def _flat(plain: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Scalar]]:
    """Settings by their dotted place; lists as JSON, and without what is empty or of loggers."""
    for key, value in plain.items():
        where = f"{path}.{key}" if path else key
        if where == FOLDER or value in (None, {}, [], ""):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, where)
        else:
            yield where, json.dumps(value) if isinstance(value, list) else value
