"""Teachers on disk, with what was made of them, so that the next sweep starts at once.

One folder per teacher (`raykd.teachers.cache_keys.CacheKeys.teacher`)::

    KEY/about.json     what it is, for listing
    KEY/teacher.json   how it was trained, and the configuration type for type
    KEY/teacher/       its weights and tokenizer in Hugging Face layout, usable as a checkpoint
    KEY/parts/PART/    one of its parts: scores, a recorded signal, texts, analyses, a student

A teacher that was not trained here has no weights in the cache. Folders appear whole or not at all,
and nothing in them is pickled.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from raykd.data.base import Array, EvalReferences, PlainTokenizer, TokenizedDataset
from raykd.errors import DataError, SetupError
from raykd.models import weights
from raykd.models.base import ModelDims, RandomInitConfig
from raykd.models.file_arrays import FileArrays, FilePart, parts_of_safetensors, renamed_arrays
from raykd.models.files import write_aligned, write_readable
from raykd.models.model_factory import ModelFactory
from raykd.models.signals.ragged import Ragged
from raykd.models.weights import ModelState
from raykd.results.records import Evaluation, FinetuneTrial, SpeedRecord
from raykd.teachers import cache_index
from raykd.teachers.cache_index import PART, PARTS, TEACHER
from raykd.teachers.cached_signals import CachedSignal, SignalMetadata, overlaps
from raykd.teachers.locks import CacheLocks
from raykd.teachers.teacher_variants import AnalysisResult


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedTeacher:
    """How a teacher came about.

    Attributes:
        state: Its weights, None where it was not trained here; in the file without its tensors.
        history: Evaluations during fine-tuning.
        tried: Trainings of the search for its settings; empty without one.
        rows: Name of the rows that it was evaluated on.
        parameters: Its number of weights.
        seconds: Time it took.
        order: Names of its tensors as they follow each other; files sort them.
    """

    state: ModelState | None
    history: tuple[Evaluation, ...]
    rows: str
    parameters: int
    seconds: float
    order: tuple[str, ...] = ()
    tried: tuple[FinetuneTrial, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPart:
    """A part other than a recording.

    Attributes:
        value: It.
        seconds: Time it took.
    """

    value: Any
    seconds: float


_TYPES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        TrainedTeacher, StoredPart, SignalMetadata, TokenizedDataset, EvalReferences,
        PlainTokenizer, ModelFactory,
        ModelState, RandomInitConfig, ModelDims, Evaluation, FinetuneTrial, AnalysisResult,
        SpeedRecord,
    )
}  # fmt: skip


def write_teacher(
    folder: Path,
    trained: TrainedTeacher,
    about: cache_index.TeacherMetadata,
    locks: CacheLocks,
    tokenizer: Callable[[Path], None],
) -> None:
    """Write a teacher, all of it or nothing.

    Args:
        folder: Its folder.
        trained: It.
        about: What listings show of it.
        locks: Those of the cache.
        tokenizer: Writes its tokenizer into a model folder.

    Raises:
        SetupError: The disk is full or the folder cannot be written.
    """
    with _DiskErrors(folder), locks.atomic_write(folder) as draft:
        cache_index.write_metadata(draft, about)
        bare = trained
        if trained.state is not None:
            weights.save(trained.state, draft / TEACHER)
            tokenizer(draft / TEACHER)
            order = tuple(trained.state.tensors)
            bare = replace(trained, state=replace(trained.state, tensors={}), order=order)
        _write_plain(draft, "teacher", bare)


def read_teacher(folder: Path) -> TrainedTeacher | None:
    """How a teacher was trained, without its weights; None when it is not there or damaged."""
    teacher: TrainedTeacher | None = _read_plain(folder, "teacher", TrainedTeacher)
    if teacher is None or teacher.state is None:
        return teacher
    try:
        with safe_open(folder / TEACHER / weights.WEIGHTS_FILE, framework="numpy") as opened:
            opened.keys()
    except (OSError, SafetensorError):
        return None
    return teacher


def read_state(folder: Path, trained: TrainedTeacher) -> ModelState:
    """The weights of a teacher as they were when they were written; they stay in their file.

    Raises:
        SetupError: They cannot be read.
    """
    assert trained.state is not None
    try:
        return weights.in_folder(trained.state, folder / TEACHER, trained.order)
    except (DataError, KeyError) as exc:
        hint = "delete its folder; it will be made again"
        raise SetupError(f"cannot read the teacher: {exc}", hint=hint) from exc


def write_part(folder: Path, key: str, name: str, value: StoredPart, locks: CacheLocks) -> None:
    """Write a part that is no recording.

    Args:
        folder: That of the teacher.
        key: Of the part.
        name: What it is.
        value: It.
        locks: Those of the cache.

    Raises:
        SetupError: The disk is full or the folder cannot be written.
    """
    with _DiskErrors(folder), locks.atomic_write(folder / PARTS / key) as draft:
        _write_plain(draft, "part", value)
        cache_index.name_part(draft, name)


def read_part(folder: Path, key: str) -> StoredPart | None:
    """A part, None when it is not there or damaged."""
    part: StoredPart | None = _read_plain(folder / PARTS / key, "part", StoredPart)
    cache_index.touch(folder / PARTS / key / PART)
    return part


def write_signal(
    folder: Path,
    key: str,
    name: str,
    signal: CachedSignal,
    blocks: Sequence[Array],
    locks: CacheLocks,
) -> None:
    """Write a recorded signal, block by block.

    Args:
        folder: That of the teacher.
        key: Of the part.
        name: What it is.
        signal: The signal.
        blocks: Row numbers of every block.
        locks: Those of the cache.

    Raises:
        SetupError: The disk is full or the folder cannot be written.
    """
    starts = np.asarray([0, *(int(rows[-1]) + 1 for rows in blocks)], np.int64)
    with _DiskErrors(folder), locks.atomic_write(folder / PARTS / key) as draft:
        _write_plain(draft, "part", replace(signal.metadata, starts=starts))
        for k, rows in enumerate(blocks):
            arrays = signal.read(int(rows[0]), int(rows[-1]) + 1)
            plain = {own: np.asarray(array, order="C") for own, array in arrays.items()}
            write_readable(draft / f"{k:05d}.safetensors", partial(save_file, plain))
        cache_index.name_part(draft, name)


def read_signal(folder: Path, key: str) -> CachedSignal | None:
    """A recorded signal, None when it is not there or damaged; its values are read when asked."""
    place = folder / PARTS / key
    metadata = _read_plain(place, "part", SignalMetadata)
    if metadata is None:
        return None
    files = [place / f"{k:05d}.safetensors" for k in range(len(metadata.starts) - 1)]
    try:
        for file in files:
            with safe_open(file, framework="numpy") as opened:  # reads the table of contents
                opened.keys()
    except (OSError, SafetensorError):
        return None
    cache_index.touch(place / PART)

    def read(begin: int, end: int) -> dict[str, Array]:
        arrays = {}
        for own, offsets in metadata.offsets.items():
            part = Ragged(offsets=offsets, starts=metadata.starts, chunks=())
            some = [_rows(files[k], own, a, b) for k, a, b in overlaps(part, begin, end)]
            arrays[own] = some[0] if len(some) == 1 else np.concatenate(some)
        return arrays

    return CachedSignal(metadata=metadata, read=read)


def _rows(file: Path, name: str, first: int, last: int) -> Array:
    try:
        with safe_open(file, framework="numpy") as opened:
            array: Array = opened.get_slice(name)[first:last]
            return array
    except (OSError, SafetensorError) as exc:
        raise SetupError(
            f"cannot read {file}: {exc}", hint="delete its folder; it will be made again"
        ) from exc


class _DiskErrors:
    """Turns what a disk refuses into one message."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.parent

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | SafetensorError | SetupError):
            raise SetupError(
                f"cannot write the prepared teacher to {self._folder}: {error}",
                hint="free some space, or choose another folder with RAYKD_CACHE",
            ) from error


def _write_plain(folder: Path, name: str, value: Any) -> None:
    arrays: dict[str, FilePart | Array] = {}
    plain = _flatten(value, arrays)
    write_aligned(folder / f"{name}.safetensors", arrays, frozenset())
    (folder / f"{name}.json").write_text(json.dumps(plain), encoding="utf-8")


def _read_plain(folder: Path, name: str, kind: type[Any]) -> Any:
    """What was written, None when it is not there, damaged, or something else."""
    try:
        plain = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        arrays = FileArrays(_parts(folder / f"{name}.safetensors"))
        value = _restore(plain, arrays)
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError):
        return None
    return value if isinstance(value, kind) else None


def _parts(path: Path) -> dict[str, FilePart]:
    with safe_open(path, framework="numpy") as opened:  # checks the table of contents
        opened.keys()
    return {name: part for name, (_, part) in parts_of_safetensors(path).items()}


def _flatten(value: Any, arrays: dict[str, FilePart | Array]) -> Any:
    """Plain data for JSON; arrays are moved to `arrays` and replaced by their names.

    Those of models stay in their files until they are written.

    `_restore` gives every value back with its type: lists as lists, tuples as tuples, and keys of
    mappings as they were.

    Raises:
        TypeError: A value has no form here.
    """
    if isinstance(value, np.ndarray | np.generic):
        name = f"a{len(arrays)}"
        arrays[name] = np.asarray(value, order="C")  # keeps single numbers as they are
        return {"$number" if isinstance(value, np.generic) else "$array": name}
    if isinstance(value, FileArrays):
        names = {key: f"a{len(arrays) + k}" for k, key in enumerate(value)}
        arrays.update({name: value.where(key) for key, name in names.items()})
        return {"$files": list(names.items())}
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
        return np.array(arrays[plain["$array"]])  # out of the file
    if "$files" in plain:
        return renamed_arrays(arrays, dict(plain["$files"]))
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
