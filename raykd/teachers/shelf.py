"""What lies in the cache of prepared teachers, and which of it may go.

Every entry has an ``about.json`` beside its data, so that listing reads no weights; it is touched
whenever the entry is used.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

ABOUT = "about.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheEntry:
    """One prepared teacher.

    Attributes:
        folder: Where it lies.
        task: Task name.
        metrics: Its scores.
        identity: What its fingerprint was made of, by name.
        nbytes: Bytes on disk.
        used: When it was made or read last, seconds since the epoch.
    """

    folder: Path
    task: str
    metrics: Mapping[str, float]
    identity: Mapping[str, str]
    nbytes: int
    used: float


def describe(
    folder: Path, task: str, metrics: Mapping[str, float], identity: Mapping[str, str]
) -> None:
    """Note what an entry is."""
    about = {"task": task, "metrics": dict(metrics), "identity": dict(identity)}
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")


def touch(folder: Path) -> None:
    """Note that an entry was used now; one that cannot be written is left as it is."""
    try:
        os.utime(folder / ABOUT, (time.time(), time.time()))
    except OSError:
        return


def entries(folder: Path) -> tuple[CacheEntry, ...]:
    """Everything in a cache, the one used last first; what cannot be read is passed over."""
    found = []
    for about in folder.glob(f"*/{ABOUT}"):
        try:
            plain = json.loads(about.read_text(encoding="utf-8"))
            found.append(
                CacheEntry(
                    folder=about.parent,
                    task=str(plain["task"]),
                    metrics=dict(plain["metrics"]),
                    identity=dict(plain["identity"]),
                    nbytes=sum(p.stat().st_size for p in about.parent.rglob("*") if p.is_file()),
                    used=about.stat().st_mtime,
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return tuple(sorted(found, key=lambda entry: -entry.used))


def differences(folder: Path, task: str, identity: Mapping[str, str]) -> tuple[str, ...]:
    """In what the most similar entry of a task differs from what is wanted; empty without any."""
    found = [
        tuple(name for name, value in identity.items() if entry.identity.get(name) != value)
        for entry in entries(folder)
        if entry.task == task
    ]
    return min(found, key=len, default=())


def prune(folder: Path, keep: int, spare: Collection[str] = ()) -> tuple[CacheEntry, ...]:
    """Delete what was not used for longest until at most so many bytes are left.

    Args:
        folder: The cache.
        keep: Bytes that may stay; 0 deletes everything.
        spare: Fingerprints of entries that are needed now.

    Returns:
        What was deleted.
    """
    gone = []
    total = 0
    for entry in entries(folder):
        total += entry.nbytes
        if total > keep and entry.folder.name not in spare:
            shutil.rmtree(entry.folder, ignore_errors=True)
            gone.append(entry)
            total -= entry.nbytes
    return tuple(gone)
