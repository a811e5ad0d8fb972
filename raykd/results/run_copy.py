"""Copies a run folder to a store and back, so that a copy cut anywhere is a run folder of a moment.

What the event log names (students, outcomes, states) is copied before it, and what it no longer
needs is deleted after it. Log and studies are appended to meanwhile: one small object says how far
they went at one moment, and holds the files that have to be of the same moment. It is written after
all that it speaks of, and who fetches the run leaves off what came later.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from raykd.errors import SetupError
from raykd.results.run_store import RunStore, Stamp, stamp_of
from raykd.results.store_lease import LEASE
from raykd.results.student_mark import MARK

STUDENTS, STATES = "checkpoints", "state"
"""Folders of what is large; whoever only reads records may leave them out."""

MOMENT = "moment.json"
"""Name of the object."""

_APPENDED = ("studies.journal", "events.jsonl")
"""The log comes last: it names the others."""
_BEGINNING = ("spec.yaml", "resolved.json", "resolved.yaml", "env.json")
"""Written at the start, and again by a resumption."""
_DERIVED = ("trials.parquet", "report.html")
_OF_A_MOMENT = ("samplers", "loggers")
"""Files in these folders say how far the studies, or loggers in the log, are."""
_OWN = {LEASE, MOMENT, "lock"}
_PASSING = (".part", ".lock", ".draft")
"""Endings of files and folders that nobody needs who continues elsewhere."""
_FAR = (-1, -1)
_TRIES = 5


@dataclass(frozen=True, slots=True)
class _Moment:
    """What belongs together.

    Attributes:
        appended: Stamps of log and studies.
        files: Contents of `_OF_A_MOMENT`.
    """

    appended: Mapping[str, Stamp]
    files: Mapping[str, str]

    def text(self) -> bytes:
        sizes = {name: size for name, (size, _) in self.appended.items()}
        return json.dumps({"appended": sizes, "files": self.files}).encode()


class RunCopy:
    """The copy of a run folder in a store.

    Args:
        store: The folder of the run there.
        run: The run folder.
        known: What the store holds: the stamps of the files as they were copied.
        check: Called before every change of the store; what it raises ends the copying.
    """

    def __init__(
        self,
        store: RunStore,
        run: Path,
        known: Mapping[str, Stamp],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.known = dict(known)
        self._store = store
        self._run = run
        self._check = check
        self._moment = b""

    def look(self) -> None:
        """Take in what the store holds besides; it is replaced or deleted.

        Raises:
            SetupError: The store does not answer.
        """
        for name in self._store.listed():
            if _belongs(name):
                self.known.setdefault(name, _FAR)

    def copy(self) -> None:
        """Copy what changed, and delete what is gone.

        Raises:
            SetupError: The store cannot be written; the next call continues from there.
        """
        earlier = listed(self._run)
        moment = _moment(self._run)
        now = listed(self._run)
        late = {*_DERIVED, *(name for name in _BEGINNING if name in self.known)}
        self._copy_all([name for name in now if name not in late], now)
        for name, stamp in moment.appended.items():
            if self.known.get(name) != stamp:
                self._put(name, stamp)
        if (text := moment.text()) != self._moment:
            self._check()
            self._store.write(MOMENT, text)
            self._moment = text
        there = {*now, *earlier, *_APPENDED}
        for name in [name for name in self.known if name not in there]:
            self._delete(name)
        self._copy_all([name for name in now if name in late], now)

    def _copy_all(self, names: Collection[str], now: Mapping[str, Stamp]) -> None:
        """Copy those that changed; of a student that changed, nothing of the old one stays.

        Otherwise a cut could leave the weights of one with the mark of another.
        """
        changed = {name for name in names if self.known.get(name) != now[name]}
        students = {_student(name) for name in changed} - {""}
        for name in [name for name in self.known if _student(name) in students]:
            self._delete(name)
        changed |= {name for name in names if _student(name) in students}
        for name in sorted(changed, key=lambda name: _turn(name, now[name])):
            self._put(name)

    def _put(self, name: str, appended: Stamp | None = None) -> None:
        self._check()
        most = None if appended is None else appended[0]
        stamp = self._store.put(self._run / name, name, most)
        if stamp is not None:  # what went meanwhile is deleted the next time
            self.known[name] = appended or stamp

    def _delete(self, name: str) -> None:
        self._check()
        self._store.delete(name)
        del self.known[name]


def fetch(store: RunStore, run: Path, without: Collection[str] = ()) -> dict[str, Stamp]:
    """Make a run folder that of a store.

    Args:
        store: The folder of the run there.
        run: The run folder; what it holds already is not fetched again.
        without: Folders of the run that are left as they are.

    Returns:
        The stamps of its files.

    Raises:
        SetupError: The store does not answer, holds no run there, or the folder cannot be written.
    """
    sizes, files = _last_moment(store)  # before all that it speaks of
    there = {
        name: stored
        for name, stored in store.listed().items()
        if _belongs(name) and PurePosixPath(name).parts[0] not in without
    }
    if "events.jsonl" not in there:
        raise no_run(store)
    here = dict(_files(run))
    for name, stored in there.items():
        size, nanoseconds = here.get(name, _FAR)
        is_old = size != stored.size or abs(nanoseconds / 1e9 - stored.changed) > 1e-3
        if is_old or name in _APPENDED:
            store.get(name, run / name, stored.changed)
    try:
        stale = {name for name in here if PurePosixPath(name).parts[0] not in without}
        for name in (stale | set(_contents(run))) - set(there) - set(files):
            (run / name).unlink(missing_ok=True)
        for folder in (STUDENTS, STATES, "teachers"):
            (run / folder).mkdir(exist_ok=True)
        for name, size in sizes.items():
            if name in _APPENDED and name in there and size < there[name].size:
                os.truncate(run / name, size)
        for name, text in files.items():
            (run / name).parent.mkdir(exist_ok=True)
            (run / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"cannot write to {run}: {exc.strerror or exc}") from exc
    return {name: stamp for name, stamp in _files(run) if name in there}


def is_run(store: RunStore) -> bool:
    """Whether a folder of a store holds a run.

    Raises:
        SetupError: The store does not answer.
    """
    return store.changed("events.jsonl") is not None


def no_run(store: RunStore) -> SetupError:
    """What to raise where there is none."""
    return SetupError(
        f"there is no run at {store.address}",
        hint="give the address of the run itself, which raykd printed: ADDRESS/RUN",
    )


def listed(run: Path) -> dict[str, Stamp]:
    """The files of a run folder that are copied one by one, by their names relative to it."""
    return {name: stamp for name, stamp in _files(run) if name not in _APPENDED}


def _files(run: Path) -> Iterator[tuple[str, Stamp]]:
    for folder, folders, files in os.walk(run):
        inside = PurePosixPath(os.path.relpath(folder, run))
        folders[:] = [name for name in folders if _belongs(str(inside / name))]
        for file in files:
            name = str(inside / file)
            if _belongs(name) and (stamp := _stamp(run / name)):
                yield name, stamp


def _moment(run: Path) -> _Moment:
    """How far log and studies are; read until nothing that belongs to them changed meanwhile."""
    files = _contents(run)
    for _ in range(_TRIES):
        appended = {name: stamp for name in _APPENDED if (stamp := _stamp(run / name))}
        if (again := _contents(run)) == files:
            break
        files = again
    return _Moment(appended, files)


def _contents(run: Path) -> dict[str, str]:
    contents = {}
    for folder in _OF_A_MOMENT:
        for file in (run / folder).glob("*.json"):
            with contextlib.suppress(OSError, ValueError):  # it went meanwhile, or is cut
                contents[f"{folder}/{file.name}"] = file.read_text(encoding="utf-8")
    return contents


def _last_moment(store: RunStore) -> tuple[dict[str, int], dict[str, str]]:
    """Sizes of log and studies, and contents of files, as the store has them; empty for none."""
    try:
        plain = json.loads(store.read(MOMENT) or b"{}")
        sizes = {str(name): int(size) for name, size in plain.get("appended", {}).items()}
        files = {str(name): str(text) for name, text in plain.get("files", {}).items()}
    except (ValueError, TypeError, AttributeError):  # cut, or foreign
        return {}, {}
    return sizes, {name: text for name, text in files.items() if _is_of_a_moment(name)}


def _is_of_a_moment(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[0] in _OF_A_MOMENT and parts[1].endswith(".json")


def _belongs(name: str) -> bool:
    """Whether a file is an object of its own in a store."""
    parts = PurePosixPath(name).parts
    is_passing = parts[0] == "ray" or any(part.endswith(_PASSING) for part in parts)
    return not (is_passing or name in _OWN or _is_of_a_moment(name))


def _stamp(file: Path) -> Stamp | None:
    with contextlib.suppress(OSError):  # it went meanwhile
        return stamp_of(file.stat())
    return None


def _student(name: str) -> str:
    """The folder of the student that a file is of; empty for none."""
    return name.rpartition("/")[0] if name.startswith(f"{STUDENTS}/") else ""


def _turn(name: str, stamp: Stamp) -> tuple[object, ...]:
    """Students last, each with its mark first, which alone counts nothing; then by age."""
    return _student(name), PurePosixPath(name).name != MARK, stamp[1]
