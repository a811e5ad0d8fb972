"""The right to write to a run in a store: an object that its holder renews.

An object store has no locks. Two sweeps that begin within the same second both write the object;
the one that reads its own name there a moment later has it.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from raykd.errors import SetupError
from raykd.results.run_store import RunStore

LEASE = "lease.json"
"""Name of the object."""

SETTLE_S = 1.0
"""So long after it wrote its name, a sweep looks whether another one wrote over it."""


class LeaseLost(SetupError):
    """Another sweep writes to the run now."""


class StoreLease:
    """The right to write to a run; usable from several threads.

    Args:
        store: The folder of the run.
        lasts_s: So long after it was renewed last, another sweep may take it.
        settle_s: See `SETTLE_S`.

    Attributes:
        owner: Tells this holder from all others.
    """

    def __init__(self, store: RunStore, lasts_s: float, settle_s: float = SETTLE_S) -> None:
        self.owner = uuid.uuid4().hex
        self._store = store
        self._lasts_s = lasts_s
        self._settle_s = settle_s
        self._lock = threading.Lock()
        self._lost = ""
        self._released = False

    def last(self) -> str:
        """Who holds it, or held it last; empty where nobody ever did.

        Raises:
            SetupError: The store does not answer.
        """
        return str(self._read().get("owner", ""))

    def take(self, earlier: Collection[str] = ()) -> bool:
        """Take it.

        Args:
            earlier: Holders that this machine knows to be dead.

        Returns:
            Whether one of those was the last holder of all, so that nobody else wrote since.

        Raises:
            SetupError: Another sweep has it, or the store does not answer.
        """
        held = self._read()
        was_earlier = held.get("owner") in earlier
        if held.get("held") and not was_earlier:
            age = self._store.now() - (self._store.changed(LEASE) or 0.0)
            if age < (lasts_s := float(held.get("lasts_s", 0.0))):
                raise SetupError(
                    f"another sweep is writing to {self._store.address}: {_who(held)}, last heard "
                    f"of {max(age, 0.0):.0f} s ago",
                    hint="wait for it to end, or stop it, then resume; one that was killed or lost "
                    f"its machine gives way after {lasts_s:.0f} s",
                )
        self._write(held=True)
        time.sleep(self._settle_s)
        if (now := self._read()).get("owner") != self.owner:
            raise SetupError(
                f"another sweep is writing to {self._store.address}: {_who(now)}, which began just "
                "now",
                hint="wait for it to end, or stop it, then resume",
            )
        return was_earlier

    def renew(self) -> None:
        """Renew it, unless it was given back.

        Raises:
            LeaseLost: Another sweep has it.
            SetupError: The store does not answer.
        """
        with self._lock:
            if not self._released:
                self._look()
                self._write(held=True)

    def _look(self) -> None:
        self.check()
        held = self._read()
        if held and held.get("owner") != self.owner:
            self._lost = (
                f"another sweep writes to {self._store.address} now: {_who(held)}. This one was "
                f"not heard of for more than {self._lasts_s:.0f} s"
            )
        self.check()

    def check(self) -> None:
        """Raise if it was lost.

        Raises:
            LeaseLost: Another sweep has it.
        """
        if self._lost:
            raise LeaseLost(self._lost, hint="what this one did is in its folder on this machine")

    def release(self) -> None:
        """Give it back; who wrote last stays on record.

        Raises:
            SetupError: Another sweep has it, or the store does not answer.
        """
        with self._lock:
            self._look()
            self._released = True
            self._write(held=False)

    def _read(self) -> Mapping[str, Any]:
        content = self._store.read(LEASE)
        try:
            held = json.loads(content or b"{}")
        except ValueError:  # cut, or foreign: nobody is known to hold it
            return {}
        return held if isinstance(held, dict) else {}

    def _write(self, *, held: bool) -> None:
        who = {"process": os.getpid(), "machine": platform.node()}
        plain = {"owner": self.owner, **who, "time": time.time(), "lasts_s": self._lasts_s,
                 "held": held}  # fmt: skip
        self._store.write(LEASE, json.dumps(plain).encode())


def _who(held: Mapping[str, Any]) -> str:
    return f"process {held.get('process', '?')} on {held.get('machine', '?')}"
