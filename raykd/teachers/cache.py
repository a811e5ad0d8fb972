"""Prepared tasks on disk, so that the next sweep with the same teacher starts at once.

One folder per fingerprint: ``prepared.json`` (structure), ``arrays.safetensors`` (its arrays),
``outputs/`` (recorded outputs, a file per block, read and written one by one), ``teacher/`` (the
fine-tuned teacher in Hugging Face layout) and ``about.json`` (for listing). Nothing is pickled.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from raykd.data.base import Array, Encoded, References, TokenText
from raykd.errors import SetupError
from raykd.models import weights
from raykd.models.base import Anatomy, ModelShape
from raykd.models.files import write_readable
from raykd.models.source import ModelSource
from raykd.models.weights import ModelState
from raykd.results.records import Evaluation
from raykd.teachers import shelf
from raykd.teachers.derive import Findings
from raykd.teachers.prepared import Prepared
from raykd.teachers.ragged import Ragged
from raykd.teachers.recorded import Block, RecordedOutputs

OUTPUTS = "outputs"

_TYPES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Prepared, Encoded, References, TokenText, Ragged, RecordedOutputs, ModelSource, ModelState,
        ModelShape, Anatomy, Evaluation, Findings,
    )
}  # fmt: skip


def store(
    folder: Path,
    prepared: Prepared,
    teacher: ModelState,
    blocks: Iterable[Block] | None = None,
    identity: Mapping[str, str] | None = None,
) -> Path:
    """Write a prepared task under ``folder/<fingerprint>``, all of it or nothing.

    Args:
        folder: The cache.
        prepared: The task; without the values of recorded outputs where `blocks` are given.
        teacher: The fine-tuned teacher.
        blocks: Its recorded outputs.
        identity: What the fingerprint was made of, by name.

    Returns:
        The folder of the fine-tuned teacher.

    Raises:
        SetupError: The disk is full or the folder cannot be written.
    """
    target = folder / prepared.fingerprint
    if blocks is None:
        blocks = prepared.recorded.chunks() if prepared.recorded is not None else ()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name:
            new = Path(name) / "entry"
            (new / OUTPUTS).mkdir(parents=True)
            arrays: dict[str, Array] = {}
            plain = _flatten(prepared.bare(), arrays)
            write_readable(new / "arrays.safetensors", partial(save_file, arrays))
            count = 0
            for block in blocks:
                numbered = {str(k): np.asarray(a, order="C") for k, a in enumerate(block)}
                write_readable(
                    new / OUTPUTS / f"{count:05d}.safetensors", partial(save_file, numbered)
                )
                count += 1
            (new / "prepared.json").write_text(
                json.dumps({"blocks": count, "prepared": plain}), encoding="utf-8"
            )
            weights.save(teacher, new / "teacher")
            shelf.describe(new, prepared.task, prepared.metrics, identity or {})
            if target.exists():
                shutil.rmtree(target)
            new.rename(target)
    except (OSError, SafetensorError) as exc:
        raise SetupError(
            f"cannot write the prepared teacher to {folder}: {exc}",
            hint="free some space, or choose another folder with RAYKD_CACHE",
        ) from exc
    return target / "teacher"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A prepared task in the cache.

    Attributes:
        bare: The task without the values of recorded outputs.
        files: A file for each block of them.
    """

    bare: Prepared
    files: tuple[Path, ...]

    def blocks(self) -> Iterator[Block]:
        """Recorded outputs, read one block at a time.

        Raises:
            SetupError: A file cannot be read.
        """
        for file in self.files:
            try:
                found = load_file(file)
            except (OSError, SafetensorError) as exc:
                raise SetupError(
                    f"cannot read {file}: {exc}", hint="delete its folder; it will be made again"
                ) from exc
            yield tuple(found[str(k)] for k in range(len(found)))

    def whole(self) -> Prepared:
        """The task with all recorded outputs in memory."""
        if self.bare.recorded is None:
            return self.bare
        return replace(self.bare, recorded=self.bare.recorded.with_chunks(self.blocks()))


def find(folder: Path, fingerprint: str) -> Entry | None:
    """The entry of a fingerprint, None when it is not there or cannot be read whole."""
    entry = folder / fingerprint
    try:
        plain = json.loads((entry / "prepared.json").read_text(encoding="utf-8"))
        arrays = load_file(entry / "arrays.safetensors")
        prepared = _restore(plain["prepared"], arrays)
        files = tuple(entry / OUTPUTS / f"{k:05d}.safetensors" for k in range(plain["blocks"]))
        for file in files:
            with safe_open(file, framework="numpy") as opened:  # reads the table of contents
                opened.keys()
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(prepared, Prepared) or prepared.fingerprint != fingerprint:
        return None
    shelf.touch(entry)
    return Entry(bare=prepared, files=files)


def load(folder: Path, fingerprint: str) -> Prepared | None:
    """The prepared task of a fingerprint in memory, None when it is not there or damaged."""
    entry = find(folder, fingerprint)
    return entry.whole() if entry is not None else None


def _flatten(value: Any, arrays: dict[str, Array]) -> Any:
    """Plain data for JSON; arrays are moved to `arrays` and replaced by their names.

    `_restore` gives every value back with its type: lists as lists, tuples as tuples, and keys of
    mappings as they were.

    Raises:
        TypeError: A value has no form here.
    """
    if isinstance(value, np.ndarray | np.generic):
        name = f"a{len(arrays)}"
        arrays[name] = np.asarray(value, order="C")  # keeps single numbers as they are
        return {"$number" if isinstance(value, np.generic) else "$array": name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {
            "$type": type(value).__name__,
            "fields": {name: _flatten(v, arrays) for name, v in fields.items()},
        }
    if isinstance(value, Mapping):
        return {"$map": [[_flatten(k, arrays), _flatten(v, arrays)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        mark = "$list" if isinstance(value, list) else "$tuple"
        return {mark: [_flatten(v, arrays) for v in value]}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be kept in the cache")


def _restore(plain: Any, arrays: Mapping[str, Array]) -> Any:
    if not isinstance(plain, dict):
        return plain
    if "$array" in plain:
        return arrays[plain["$array"]]
    if "$number" in plain:
        return arrays[plain["$number"]][()]
    if "$type" in plain:
        fields = {name: _restore(v, arrays) for name, v in plain["fields"].items()}
        return _TYPES[plain["$type"]](**fields)
    if "$map" in plain:
        return {_restore(k, arrays): _restore(v, arrays) for k, v in plain["$map"]}
    if "$list" in plain:
        return [_restore(v, arrays) for v in plain["$list"]]
    return tuple(_restore(v, arrays) for v in plain["$tuple"])
