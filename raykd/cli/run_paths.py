"""Run folders that a command line names: paths of this machine, and addresses in a store.

Whatever reads or writes a run folder works on paths. A run of a store is fetched before, and one
that a sweep works on is copied back meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykd.errors import SpecError
from raykd.results.store_address import is_address

if TYPE_CHECKING:
    from raykd.sweep.mirror import Mirror

Listen = Callable[[Mapping[str, Any]], None]

RECORDS = ("checkpoints", "state")
"""Folders of a run that whoever reads its records can do without."""
STUDENTS = ("state",)
"""The same of whoever reads its students, too."""


def run_to_read(text: str, without: Collection[str] = RECORDS) -> Path:
    """The folder of a run that was named; one of a store is fetched.

    Args:
        text: A path or an address.
        without: Folders of a run in a store that are not fetched.

    Raises:
        RaykdError: The store does not answer, or there is no run.
    """
    if not is_address(text):
        return Path(text)
    from raykd.sweep.working_copy import to_read

    return to_read(text, without)


def run_to_write(text: str) -> Path:
    """The folder of a run that a command adds to.

    Raises:
        SpecError: It is in a store, where the next fetch would not find what was added.
    """
    if is_address(text):
        raise SpecError(
            f"scores are written into the run folder, which {text} keeps in a store",
            hint="fetch it first, e.g. with aws s3 sync, and name the folder",
        )
    return Path(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepPaths:
    """Where a sweep works on this machine.

    Attributes:
        out: Folder of run folders.
        resume: Run folder to continue, None for a new one.
        start_from: Run folder whose configurations are tried first, or None.
        mirror: Keeps the copy in a store, None where the run stays here.
    """

    out: Path
    resume: Path | None
    start_from: Path | None
    mirror: Mirror | None = None

    def shown(self, run: str) -> str:
        """What a run folder is called by who continues it."""
        return run if self.mirror is None or not run else self.mirror.address_of(run)

    def check(self) -> None:
        """Raise what has to end the sweep."""
        if self.mirror is not None:
            self.mirror.check()

    @contextlib.contextmanager
    def kept(self, listen: Listen) -> Iterator[Listen]:
        """Copy the run while the block runs; yields what is to hear its events.

        Args:
            listen: Hears them, and notes on the copying.
        """
        if (mirror := self.mirror) is None:
            yield listen
            return
        one_at_a_time = threading.Lock()

        def hear(event: Mapping[str, Any]) -> None:
            with one_at_a_time:
                listen(event)

        def heard(event: Mapping[str, Any]) -> None:
            hear(event)
            mirror.handle(event)

        mirror.tell = lambda text: hear({"event": "note", "time": time.time(), "message": text})
        with mirror.copying():
            yield heard


@contextlib.contextmanager
def sweep_paths(
    out: str, resume: str | None, start_from: str | None, note: Callable[[str], None], *, runs: bool
) -> Iterator[SweepPaths]:
    """Where a sweep works; a run of a store is held there, and is on this machine, in the block.

    Args:
        out: Folder of run folders.
        resume: Run to continue, or None.
        start_from: Run whose configurations are tried first, or None.
        note: Called with what there is to say.
        runs: Whether the sweep is run, and not only looked at.

    Raises:
        RaykdError: The store does not answer, there is no run, or another sweep has it.
    """
    started = None if start_from is None else run_to_read(start_from)
    named = out if resume is None else resume
    if runs and is_address(named):
        from raykd.sweep.mirror import Mirror

        with Mirror(named, note, is_run=resume is not None) as mirror:
            continued = None if resume is None else mirror.folder
            yield SweepPaths(out=mirror.folder, resume=continued, start_from=started, mirror=mirror)
    else:
        continued = None if resume is None else run_to_read(resume)
        yield SweepPaths(out=Path(out), resume=continued, start_from=started)
