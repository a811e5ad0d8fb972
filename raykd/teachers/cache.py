"""Prepared tasks on disk, so that the next sweep with the same teacher starts at once.

One folder per fingerprint: ``prepared.json`` (structure), ``arrays.safetensors`` (arrays),
``teacher/`` (the fine-tuned teacher in Hugging Face layout) and ``about.json`` (for listing).
Nothing in it is pickled.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from raykd.data.base import Array, Encoded, References
from raykd.errors import SetupError
from raykd.models import weights
from raykd.models.base import Anatomy, ModelShape
from raykd.models.source import ModelSource
from raykd.models.weights import ModelState
from raykd.results.records import Evaluation
from raykd.teachers import shelf
from raykd.teachers.derive import Findings
from raykd.teachers.prepare import Prepared
from raykd.teachers.ragged import Ragged
from raykd.teachers.recorded import RecordedOutputs

_TYPES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Prepared, Encoded, References, Ragged, RecordedOutputs, ModelSource, ModelState, ModelShape,
        Anatomy, Evaluation, Findings,
    )
}  # fmt: skip


def store(folder: Path, prepared: Prepared, teacher: ModelState) -> Path:
    """Write a prepared task under ``folder/<fingerprint>``, all of it or nothing.

    Returns:
        The folder of the fine-tuned teacher.

    Raises:
        SetupError: The disk is full or the folder cannot be written.
    """
    target = folder / prepared.fingerprint
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name:
            new = Path(name) / "entry"
            new.mkdir()
            arrays: dict[str, Array] = {}
            plain = _flatten(prepared, arrays)
            save_file(arrays, new / "arrays.safetensors")
            (new / "prepared.json").write_text(json.dumps(plain))
            weights.save(teacher, new / "teacher")
            shelf.describe(new, prepared.task, prepared.metrics)
            if target.exists():
                shutil.rmtree(target)
            new.rename(target)
    except (OSError, SafetensorError) as exc:
        raise SetupError(
            f"cannot write the prepared teacher to {folder}: {exc}",
            hint="free some space, or choose another folder with RAYKD_CACHE",
        ) from exc
    return target / "teacher"


def load(folder: Path, fingerprint: str) -> Prepared | None:
    """The prepared task of a fingerprint, None when it is not there or cannot be read whole."""
    entry = folder / fingerprint
    try:
        plain = json.loads((entry / "prepared.json").read_text())
        arrays = load_file(entry / "arrays.safetensors")
        prepared = _restore(plain, arrays)
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(prepared, Prepared) or prepared.fingerprint != fingerprint:
        return None
    shelf.touch(entry)
    return prepared


def _flatten(value: Any, arrays: dict[str, Array]) -> Any:
    """Plain data for JSON; arrays are moved to `arrays` and replaced by their names."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = np.asarray(value, order="C")  # keeps single numbers as they are
        return {"$array": name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {
            "$type": type(value).__name__,
            "fields": {name: _flatten(v, arrays) for name, v in fields.items()},
        }
    if isinstance(value, Mapping):
        return {"$map": [[k, _flatten(v, arrays)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        return {"$tuple": [_flatten(v, arrays) for v in value]}
    return value


def _restore(plain: Any, arrays: Mapping[str, Array]) -> Any:
    if not isinstance(plain, dict):
        return plain
    if "$array" in plain:
        return arrays[plain["$array"]]
    if "$type" in plain:
        fields = {name: _restore(v, arrays) for name, v in plain["fields"].items()}
        return _TYPES[plain["$type"]](**fields)
    if "$map" in plain:
        return {k: _restore(v, arrays) for k, v in plain["$map"]}
    return tuple(_restore(v, arrays) for v in plain["$tuple"])
