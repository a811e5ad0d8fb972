"""Hands the events of a sweep to one logger, in a thread of its own that nothing waits for.

The event log is the queue: a logger receives what the log holds from where it last was, so that
memory is bounded however slow it is, and nothing is lost where it is down. How far it came is kept
next to its files; a resumed sweep continues from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raykd.errors import RaykdError, shortened
from raykd.loggers.base import Logger, Memory, tell
from raykd.loggers.feed import Event, LoggerFeed
from raykd.results.logger_record import LoggerRecord
from raykd.secrets import without_secrets
from raykd.whole_file import whole_file

BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""How long to wait after each failure in a row; after one more, a logger is switched off."""

KEEP_EVERY_S = 2.0
"""How often a logger's place is saved; what it received since may be sent again."""

LAST_WORDS_S = 2.0
"""How long a call of a logger may still take after it is to stop."""


@dataclasses.dataclass(slots=True)
class _Reached:
    """How far a logger came.

    Attributes:
        read: Bytes of the event log.
        sent: Messages.
        memory: What the logger wants to find again.
    """

    read: int = 0
    sent: int = 0
    memory: Memory = dataclasses.field(default_factory=dict)


class LoggerDelivery:
    """One logger and the thread that tells it.

    Args:
        name: As the file names the logger.
        make: Makes it.
        events: The event log.
        feed: Turns its events into messages; a new one.
        state: The file that keeps how far it came.
        off: Called once, with the reason, when it is switched off.
        backoff_s: See `BACKOFF_S`.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Logger[Any]],
        events: Path,
        feed: LoggerFeed,
        state: Path,
        off: Callable[[str], None],
        backoff_s: Sequence[float] = BACKOFF_S,
    ) -> None:
        self.name = name
        self._make = make
        self._events = events
        self._feed = feed
        self._state = state
        self._off = off
        self._backoff_s = backoff_s
        self._logger: Logger[Any] | None = None
        self._reached = _Reached()
        self._holds = False
        self._where = ""
        self._why = ""
        self._new = threading.Event()
        self._closing = threading.Event()
        self._hurry = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"raykd logger {name}")

    def start(self) -> None:
        """Begin to tell it what the log holds."""
        self._thread.start()

    def wake(self) -> None:
        """The log has grown."""
        self._new.set()

    def end(self) -> None:
        """Nothing comes any more; it receives the rest and is closed."""
        self._closing.set()
        self._new.set()

    def finish(self, limit_s: float) -> LoggerRecord:
        """Wait until it received everything, for at most so long; called once, after `end`.

        Args:
            limit_s: Seconds.
        """
        if not self._over.wait(limit_s):
            self._hurry.set()
            if not self._over.wait(LAST_WORDS_S):
                self._why = self._why or "it still had not answered when the sweep ended"
        unsent, why = self._unsent(), self._why
        if unsent and not why:
            why = "it was behind when the sweep ended"
        return LoggerRecord(
            name=self.name, place=self._where, sent=self._reached.sent, unsent=unsent,
            why=why if unsent else "",
        )  # fmt: skip

    def _unsent(self) -> int:
        """How many messages are left; of the first event, the feed may know it already."""
        rest = (event for event, _ in self._unread())
        held = int(self._holds and next(rest, None) is not None)
        return held + sum(self._feed.of(event) is not None for event in rest)

    def _run(self) -> None:
        try:
            done = self._work()
        except OSError as exc:  # the log cannot be read
            done, self._why = False, _describe(exc)
        if not done and not self._hurry.is_set():
            with contextlib.suppress(RaykdError):  # the log cannot be written: others say so
                self._off(self._why)
        self._over.set()

    def _work(self) -> bool:
        """Tell it everything; whether that went well."""
        self._restore()
        if not self._attempt(self._open) or not self._attempt(self._keep):
            return False
        while True:
            closing = self._closing.is_set()  # before the look: nothing comes after it
            self._new.clear()
            if not self._catch_up() or not self._attempt(self._keep):
                return False
            if closing:
                return self._attempt(self._close)
            self._new.wait()

    def _catch_up(self) -> bool:
        """Tell it what is new in the log."""
        kept = time.monotonic()
        logger = self._logger
        assert logger is not None
        for event, end in self._unread():
            message = self._feed.of(event)
            if message is not None:
                self._holds = True
                if self._hurry.is_set() or not self._attempt(
                    functools.partial(tell, logger, message)
                ):
                    return False
                self._reached.sent += 1
            self._reached.read, self._holds = end, False
            if time.monotonic() - kept > KEEP_EVERY_S:
                if not self._attempt(self._keep):
                    return False
                kept = time.monotonic()
        return True

    def _attempt(self, work: Callable[[], object]) -> bool:
        """Try it until it works or there were too many failures; whether it worked."""
        for pause in (*self._backoff_s, 0.0):
            try:
                work()
            except (Exception, SystemExit) as exc:  # whatever a library raises is its own affair
                self._why = _describe(exc)
            else:
                self._why = ""
                return True
            if not pause or self._hurry.wait(pause):
                break
        return False

    def _open(self) -> None:
        logger = self._make()
        logger.connect(self._reached.memory)
        self._where = without_secrets(logger.place)
        self._logger = logger

    def _keep(self) -> None:
        """Flush what it received, and note how far that is."""
        assert self._logger is not None
        self._logger.flush()
        self._reached.memory = dict(self._logger.memory())
        plain = dataclasses.asdict(self._reached)
        with whole_file(self._state) as part:
            part.write_text(json.dumps(plain), encoding="utf-8")

    def _close(self) -> None:
        assert self._logger is not None
        self._logger.close()

    def _restore(self) -> None:
        """Go to where an earlier driver was; the feed receives what that one had read."""
        try:
            plain = json.loads(self._state.read_text(encoding="utf-8"))
            sent = plain["sent"] if "sent" in plain else plain["told"]  # by an earlier raykd
            before = _Reached(plain["read"], sent, plain["memory"])
        except (OSError, ValueError, KeyError, TypeError):
            return  # never begun, or not to be read: from the beginning
        for event, end in self._unread():
            if end > before.read:
                break
            self._feed.of(event)
        self._reached = before

    def _unread(self) -> Iterator[tuple[Event, int]]:
        """What stands in the log after the place, each with where it ends."""
        with self._events.open("rb") as file:
            file.seek(self._reached.read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                try:
                    event = json.loads(line)
                except ValueError:  # cut by a full disk
                    continue
                if isinstance(event, Mapping):
                    yield event, file.tell()


def _describe(exc: BaseException) -> str:
    """The first line of an error, without secrets."""
    first = (str(exc).strip().splitlines() or [""])[0]
    return shortened(without_secrets(": ".join(filter(None, (type(exc).__name__, first)))), 200)
