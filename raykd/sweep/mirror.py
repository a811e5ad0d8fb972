"""Keeps a copy of a run in a store while a sweep works on it on this machine."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from raykd.errors import SetupError
from raykd.results.run_copy import RunCopy, fetch, is_run, no_run
from raykd.results.run_store import RunStore
from raykd.results.store_address import below
from raykd.results.store_lease import SETTLE_S, StoreLease
from raykd.sweep.working_copy import WorkingCopy, of_address, working_folder
from raykd.waiting import Waiting

EVERY_S = 30.0
"""How often what changed is copied."""

LEASE_ROUNDS, LEAST_LEASE_S = 10, 5.0
"""Another machine may continue when a sweep was not heard of for so many rounds of copying."""

_BEGIN = ("sweep_started", "sweep_resumed")
_WORTH_A_COPY = ("stage", "teacher_ready", "report_written")
"""Events after which it is copied at once."""


class Mirror:
    """The copy of a run in a store; a context manager that holds the run there.

    Within it, `copying` goes around the sweep, whose events go to `handle`.

    Args:
        address: The run to continue, or the folder of runs for a new one.
        tell: Called with what there is to say, also from another thread.
        is_run: Whether it is a run to continue.

    Attributes:
        folder: The run folder on this machine, or that of run folders.
        tell: As given.

    Raises:
        SpecError: It is no address.
        SetupError: The store does not answer.
    """

    def __init__(
        self, address: str, tell: Callable[[str], None], *, is_run: bool, settle_s: float = SETTLE_S
    ) -> None:
        self.tell = tell
        self.folder = of_address(address).run if is_run else working_folder(address)
        self._store = RunStore(address)
        self._is_run = is_run
        self._settle_s = settle_s
        self._every_s = _every_s()
        self._held = contextlib.ExitStack()
        self._closing, self._wake = threading.Event(), threading.Event()
        self._waiting: Waiting | None = None
        self._fault: SetupError | None = None
        self._error: Exception | None = None
        self._over: threading.Event | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undone:
            undone.push(self._held)
            if self._is_run:
                self._hold(self.folder)
            else:  # before anything is begun
                self._store.now()
            undone.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._held.close()

    def address_of(self, run: str | Path) -> str:
        """The address of a run folder of `folder`."""
        address = self._store.address
        return address if self._is_run else below(address, Path(run).name)

    def handle(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the sweep.

        Raises:
            SetupError: It began, and cannot be copied; nothing was paid for.
        """
        if event["event"] in _BEGIN and not event.get("replayed"):
            self._begin(Path(event["folder"]))
        elif event["event"] in _WORTH_A_COPY:
            self._wake.set()

    def check(self) -> None:
        """Raise what has to end the sweep: that another one writes there, or a mistake.

        Raises:
            LeaseLost: Another sweep has the run.
        """
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def copying(self) -> Iterator[None]:
        """Copy what is done in the block, to its end.

        Raises:
            SetupError: The end of it could not be copied.
        """
        try:
            yield
        except BaseException as exc:
            why = self._finish()
            if why is not None and why is not exc:
                self.tell(
                    f"{why.message} ({why.hint})" if isinstance(why, SetupError) else f"{why}"
                )
            raise
        if (why := self._finish()) is not None:
            raise why

    def _hold(self, run: Path) -> None:
        """Take the run in the store, and have it on this machine as it is there."""
        copy = WorkingCopy(run, self.address_of(run))
        self._held.enter_context(copy.held())
        store = RunStore(copy.address)
        self._check_place(store)
        lasts_s = max(LEASE_ROUNDS * self._every_s, LEAST_LEASE_S)
        lease = StoreLease(store, lasts_s, self._settle_s)
        owners, known = copy.recorded()
        if is_last := run.is_dir() and lease.last() in owners:
            copy.record((*owners, lease.owner), known)
        else:
            copy.forget()
        is_last = lease.take(owners if is_last else ()) and is_last
        self._held.callback(self._release, lease)
        self._renew(lease)
        if self._is_run and not is_last:
            copy.forget()
            known = fetch(store, run)
        copy.record((lease.owner,), known)
        self._copied, self._lease, self._record = (
            RunCopy(store, run, known, lease.check),
            lease,
            copy,
        )

    def _check_place(self, store: RunStore) -> None:
        """A run to continue has to be there; a new one is named by the second in which it began."""
        if self._is_run == is_run(store):
            return
        if self._is_run:
            raise no_run(store)
        raise SetupError(
            f"there is a run at {store.address} already, which began in the same second",
            hint="give the command again",
        )

    def _renew(self, lease: StoreLease) -> None:
        """Renew the lease in a thread of its own: one file may take longer than it lasts."""
        over = threading.Event()
        self._held.callback(over.set)

        def run() -> None:
            while not over.wait(self._every_s):
                with contextlib.suppress(SetupError):  # the copying says so
                    lease.renew()

        threading.Thread(target=run, daemon=True, name="raykd lease").start()

    def _release(self, lease: StoreLease) -> None:
        with contextlib.suppress(SetupError):  # it ends by itself
            lease.release()

    def _begin(self, run: Path) -> None:
        if not self._is_run:
            self._hold(run)
        self._copied.look()
        self._copy()
        self.tell(
            f"the run is copied to {self.address_of(run)} every {self._every_s:g} s; it is worked "
            f"on in {run}"
        )
        self._over = threading.Event()
        threading.Thread(
            target=self._work, args=(self._over,), daemon=True, name="raykd mirror"
        ).start()

    def _copy(self) -> None:
        self._lease.renew()
        try:
            self._copied.copy()
        finally:
            self._record.record((self._lease.owner,), self._copied.known)

    def _work(self, over: threading.Event) -> None:
        try:
            while self._error is None:
                self._wake.wait(self._every_s)
                self._wake.clear()
                is_last = self._closing.is_set()
                self._try()
                if is_last:
                    return
        except Exception as exc:  # a mistake: raised by `check` in the main thread
            self._error = exc
        finally:
            over.set()

    def _try(self) -> None:
        try:
            self._copy()
        except SetupError as exc:
            self._failed(exc)
            return
        if self._fault is not None:
            self.tell(f"the run is copied to {self._record.address} again")
        self._fault = self._waiting = None

    def _failed(self, why: SetupError) -> None:
        try:
            self._lease.check()
        except SetupError as lost:
            self._error = lost
            return
        self._fault = why
        if self._waiting is None:
            since = time.strftime("%H:%M:%S")
            self.tell(
                f"the run is not copied to its store since {since}: {why.message}; the sweep "
                f"continues in {self._record.run}, and copying is tried again every "
                f"{self._every_s:g} s"
            )
            self._waiting = Waiting(
                f"the store {self._record.address}", f"{why.message}; the sweep continues in "
                f"{self._record.run}", self.tell, None,
            )  # fmt: skip
        self._waiting.still()

    def _finish(self) -> Exception | None:
        """Copy a last time; why that is not possible."""
        if self._over is None:
            return None
        self._closing.set()
        self._wake.set()
        waiting = Waiting(
            f"the last copy to {self._record.address}",
            f"Ctrl-C leaves it; the run is whole in {self._record.run}", self.tell, None,
        )  # fmt: skip
        while not self._over.wait(1.0):
            waiting.still()
        if self._error is not None or self._fault is None:
            return self._error
        address, run = self._record.address, self._record.run
        return SetupError(
            f"the end of the run could not be copied to its store: {self._fault.message}",
            hint=f"it is whole in {run}; raykd sweep --resume '{address}' on this machine copies "
            "it as soon as the store answers",
        )


def _every_s() -> float:
    """How often what changed is copied: ``RAYKD_MIRROR_S``, else half a minute.

    Raises:
        SetupError: The variable is no number of seconds.
    """
    text = os.environ.get("RAYKD_MIRROR_S", str(EVERY_S))
    try:
        seconds = float(text)
        if seconds > 0:
            return seconds
    except ValueError:
        pass
    raise SetupError(
        f"RAYKD_MIRROR_S must be a number of seconds above 0, got '{text}'",
        hint="e.g. RAYKD_MIRROR_S=120",
    )
