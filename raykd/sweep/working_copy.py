"""The folder on this machine in which a run of a store is worked on, or read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from raykd.errors import SetupError
from raykd.home_folder import user_cache
from raykd.results.run_copy import fetch
from raykd.results.run_store import RunStore, Stamp
from raykd.results.store_address import above, last_part
from raykd.results.store_lease import StoreLease
from raykd.sweep.run_folder import lock
from raykd.whole_file import whole_file

_ASIDE = ".copy"


def working_folder(address: str) -> Path:
    """Where runs are on this machine that a store holds: in ``RAYKD_RUNS``, else the user's cache.

    Args:
        address: The folder of run folders in the store.

    Raises:
        SetupError: Neither is there, or it cannot be written.
    """
    own, cache = os.environ.get("RAYKD_RUNS"), user_cache()
    if own:
        base = Path(own)
    elif cache is not None:
        base = cache / "runs"
    else:
        raise SetupError(
            f"there is no home folder to work in on the runs of {address}",
            hint="set RAYKD_RUNS to a folder that outlives this process",
        )
    place = address.partition("?")[0].rstrip("/").partition("://")[2]
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", place).strip("-")[:60]
    folder = base / f"{readable}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise SetupError(
            f"cannot make {folder} to work in: {exc.strerror or exc}",
            hint="set RAYKD_RUNS to a folder that can be written",
        ) from exc
    return folder


class WorkingCopy:
    """A run folder on this machine, and what is known of its copy in a store.

    Args:
        run: The run folder; need not be there yet.
        address: That of the run in the store.
    """

    def __init__(self, run: Path, address: str) -> None:
        self.run = run
        self.address = address
        self._aside = run.with_name(run.name + _ASIDE)
        self._file = self._aside / "known.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it: no other process of this machine works on it.

        Raises:
            SetupError: One does.
        """
        try:
            self._aside.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise SetupError(f"cannot make {self._aside}: {exc.strerror or exc}") from exc
        with lock(self._aside, self.address):
            yield

    def recorded(self) -> tuple[tuple[str, ...], Mapping[str, Stamp]]:
        """Who held the run and left the folder as the last one, and what the store had then."""
        try:
            plain = json.loads(self._file.read_text(encoding="utf-8"))
            files = {name: (int(size), int(time)) for name, (size, time) in plain["files"].items()}
            return tuple(map(str, plain["owners"])), files
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return (), {}

    def record(self, owners: Collection[str], files: Mapping[str, Stamp]) -> None:
        """Put down who holds the run, and what the store has.

        Raises:
            SetupError: It cannot be written.
        """
        try:
            with whole_file(self._file, durable=False) as part:
                plain = json.dumps({"owners": [*owners], "files": files})
                part.write_text(plain, encoding="utf-8")
        except OSError as exc:
            raise SetupError(f"cannot write {self._file}: {exc.strerror or exc}") from exc

    def forget(self) -> None:
        """The folder is not the last state of the run, or will not be for a while."""
        self._file.unlink(missing_ok=True)


def of_address(address: str) -> WorkingCopy:
    """The working copy of a run in a store.

    Raises:
        SetupError: There is no place for it.
    """
    return WorkingCopy(working_folder(above(address)) / last_part(address), address)


def to_read(address: str, without: Collection[str]) -> Path:
    """A run of a store as a folder of this machine.

    Args:
        address: The run.
        without: Folders of it that are not needed.

    Raises:
        SpecError: It is no address.
        SetupError: The store does not answer, or there is no run.
    """
    store, copy = RunStore(address), of_address(address)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(copy.held())
        except SetupError:
            if not copy.run.is_dir():
                raise
            return copy.run  # the sweep that works on it here is ahead of the store
        owners, _ = copy.recorded()
        if not owners or StoreLease(store, 0.0).last() not in owners or not copy.run.is_dir():
            copy.forget()
            fetch(store, copy.run, without)
    return copy.run
