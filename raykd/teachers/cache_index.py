"""The index of the teachers' cache: listing and LRU eviction.

Every teacher and every part of it has an ``about.json`` next to its data, so that listing reads no
weights; it is touched whenever the thing is used.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raykd.teachers.locks import DRAFT, GONE, CacheLocks, rename_away
from raykd.whole_file import whole_file

ABOUT = PART = "about.json"
TEACHER = "teacher"
"""Folder of a teacher's weights."""
PARTS = "parts"
"""Folder of what was made of a teacher."""
AUGMENTED = "augmented"
"""Folder of rows that were made of other rows, next to the teachers."""


ANSWERS = "answers"
"""Folder of what teachers behind addresses answered, next to the teachers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherMetadata:
    """What a listing shows of a teacher.

    Attributes:
        task: Task name.
        metrics: Its scores.
        identity: What its name was made of, by name.
    """

    task: str
    metrics: Mapping[str, float]
    identity: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheItem:
    """Something in the cache that can be deleted by itself.

    Attributes:
        path: Where it is.
        name: What it is.
        nbytes: Bytes on disk.
        used: When it was made or read last, seconds since the epoch.
    """

    path: Path
    name: str
    nbytes: int
    used: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheEntry:
    """One teacher.

    Attributes:
        folder: Where it is.
        about: What it is.
        weights: Bytes of its weights; 0 where it was not trained here.
        parts: What was made of it: scores, recorded signals, texts, analyses.
        nbytes: Bytes on disk, of everything.
        used: When it was made or read last, seconds since the epoch.
    """

    folder: Path
    about: TeacherMetadata
    weights: int
    parts: tuple[CacheItem, ...]
    nbytes: int
    used: float

    @property
    def task(self) -> str:
        """Task name."""
        return self.about.task

    @property
    def recordings(self) -> int:
        """Bytes of what was made of it."""
        return sum(part.nbytes for part in self.parts)


def write_metadata(folder: Path, about: TeacherMetadata) -> None:
    """Write the metadata of a teacher."""
    plain = {
        "task": about.task, "metrics": dict(about.metrics), "identity": dict(about.identity)
    }  # fmt: skip
    (folder / ABOUT).write_text(json.dumps(plain), encoding="utf-8")


def add_metrics(folder: Path, metrics: Mapping[str, float]) -> None:
    """Add scores of a teacher to what a listing shows, which lacks them where it is read-only."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        plain = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if metrics.keys() <= plain["metrics"].keys():
            return
        plain["metrics"] = {**metrics, **plain["metrics"]}
        with whole_file(folder / ABOUT, durable=False) as draft:
            draft.write_text(json.dumps(plain), encoding="utf-8")


def name_part(folder: Path, name: str) -> None:
    """Write the name of a part of a teacher."""
    (folder / PART).write_text(json.dumps({"name": name}), encoding="utf-8")


def touch(about: Path) -> None:
    """Note that something was used now; what cannot be written is left as it is."""
    try:
        os.utime(about, (time.time(), time.time()))
    except OSError:
        return


def entries(folder: Path) -> tuple[CacheEntry, ...]:
    """Every teacher in a cache, the one used last first; what cannot be read is passed over."""
    listed = []
    for about in folder.glob(f"*/{ABOUT}"):
        if about.parent.name.startswith("."):
            continue
        try:
            plain = json.loads(about.read_text(encoding="utf-8"))
            listed.append(
                CacheEntry(
                    folder=about.parent,
                    about=TeacherMetadata(
                        task=str(plain["task"]),
                        metrics=dict(plain["metrics"]),
                        identity=dict(plain["identity"]),
                    ),
                    weights=_size(about.parent / TEACHER),
                    parts=tuple(_parts(about.parent)),
                    nbytes=_size(about.parent),
                    used=about.stat().st_mtime,
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return tuple(sorted(listed, key=lambda entry: -entry.used))


def _parts(folder: Path) -> Iterator[CacheItem]:
    for about in sorted((folder / PARTS).glob(f"*/{PART}")):
        if about.parent.name.startswith("."):
            continue
        try:
            name = str(json.loads(about.read_text(encoding="utf-8"))["name"])
            used = about.stat().st_mtime
        except (OSError, ValueError, KeyError, TypeError):
            continue
        yield CacheItem(path=about.parent, name=name, nbytes=_size(about.parent), used=used)


def augmented(folder: Path) -> tuple[CacheItem, ...]:
    """Rows that were made of other rows, the ones used last first."""
    files = [
        CacheItem(path=path, name="augmented rows", nbytes=_size(path), used=path.stat().st_mtime)
        for path in (folder / AUGMENTED).glob("*.json")
    ]
    return tuple(sorted(files, key=lambda kept: -kept.used))


def answers(folder: Path) -> tuple[CacheItem, ...]:
    """Answers of teachers behind addresses, which were paid for: nothing here deletes them."""
    files = [
        CacheItem(
            path=path, name=f"answers of {path.name.rsplit('.', 2)[0]}", nbytes=_size(path),
            used=path.stat().st_mtime,
        )
        for path in (folder / ANSWERS).glob("*.jsonl")
    ]  # fmt: skip
    return tuple(sorted(files, key=lambda kept: -kept.used))


def leftovers(folder: Path, locks: CacheLocks) -> tuple[CacheItem, ...]:
    """What processes that were killed left half written or half deleted.

    Raises:
        OSError: The cache cannot be written, so that nobody can tell.
    """
    drafts = [
        path
        for place in (folder, folder / AUGMENTED, *folder.glob(f"*/{PARTS}"))
        for path in place.glob(".*")
        if path.name.startswith((DRAFT, GONE))
    ]
    with locks.deleting():
        drafts = [path for path in drafts if locks.is_left_over(path)]
    return tuple(
        CacheItem(path=path, name="left half written", nbytes=_size(path), used=_stamp(path))
        for path in drafts
    )


def total(folder: Path) -> int:
    """Bytes that a cache holds."""
    return _size(folder)


def differences(folder: Path, task: str, identity: Mapping[str, str]) -> tuple[str, ...]:
    """In what the most similar teacher of a task differs from what is wanted; empty without any."""
    candidates = [
        tuple(name for name, value in identity.items() if entry.about.identity.get(name) != value)
        for entry in entries(folder)
        if entry.task == task
    ]
    return min(candidates, key=len, default=())


def prune(folder: Path, keep: int, spare: Collection[str] = ()) -> tuple[CacheItem, ...]:
    """Delete what was not used for longest until at most so many bytes are left.

    Recordings go before the teacher that they are of. What another process reads or makes stays;
    what was left half written goes in any case.

    Args:
        folder: The cache.
        keep: Bytes that may stay; 0 deletes everything.
        spare: Names of teachers that are needed now.

    Returns:
        What was deleted.

    Raises:
        OSError: The cache cannot be written.
    """
    if not folder.is_dir():
        return ()
    locks = CacheLocks(folder)
    removable = list(leftovers(folder, locks))
    for kept in removable:
        _delete(kept.path)
    left = 0
    for kept, key in _by_use(folder):
        if not kept.path.exists():
            continue  # with its teacher
        left += kept.nbytes
        if left <= keep or key in spare:
            continue
        with locks.deleting():
            if key and locks.is_used(key):
                continue
            moved = rename_away(kept.path)
        removable.append(replace(kept, nbytes=_size(moved)))
        _delete(moved)
        left -= kept.nbytes
    return tuple(removable)


def _by_use(folder: Path) -> list[tuple[CacheItem, str]]:
    """Everything that can go, with the teacher it belongs to, in the order in which it stays."""
    by_key = []
    for entry in entries(folder):
        own = entry.nbytes - entry.recordings
        name = f"the teacher of {entry.task}"
        by_key.append(
            (
                CacheItem(path=entry.folder, name=name, nbytes=own, used=entry.used),
                entry.folder.name,
            )
        )
        # A part is used whenever its teacher is, or before.
        by_key += [
            (CacheItem(path=part.path, name=f"{part.name} of {entry.task}", nbytes=part.nbytes,
                  used=min(part.used, entry.used)), entry.folder.name)
            for part in entry.parts
        ]  # fmt: skip
    by_key += [(kept, "") for kept in augmented(folder)]
    return sorted(by_key, key=lambda pair: -pair[0].used)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    if path.is_file():
        return _bytes(path)
    return sum(_bytes(p) for p in path.rglob("*"))


def _bytes(path: Path) -> int:
    """Bytes of a file, 0 for what is none or went away meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _stamp(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
