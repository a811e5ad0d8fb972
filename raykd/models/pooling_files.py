"""Files of Sentence Transformers next to a model: how it makes vectors of texts.

They are written next to saved models, and read to refuse models that do it in another way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raykd.errors import DataError, SpecError
from raykd.models.generation_config import write_json
from raykd.models.weight_files import read_json, read_json_list

MODULES_FILE = "modules.json"
POOLING = "1_Pooling"
_PARTS = {"Transformer": "", "Pooling": POOLING}
_READ = (*_PARTS, "Normalize")
"""Modules that are read; what normalises vectors changes no cosine."""
_MODE, _MODES, _MEAN = "pooling_mode", "pooling_mode_", "mean"
_NAMES = {
    "cls_token": "cls", "max_tokens": "max", "mean_tokens": _MEAN,
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "weightedmean_tokens": "weightedmean",
    "lasttoken": "lasttoken",
}  # fmt: skip
"""Flags of older versions, and what newer ones call it."""


def write_pooling(folder: Path, width: int) -> None:
    """Say that a vector is the mean of the last hidden states of the tokens of a text.

    Args:
        folder: The model folder.
        width: Of the hidden states.

    Raises:
        OSError: The folder cannot be written.
    """
    modules = [
        {"idx": k, "name": str(k), "path": path, "type": f"sentence_transformers.models.{part}"}
        for k, (part, path) in enumerate(_PARTS.items())
    ]
    (folder / MODULES_FILE).write_text(json.dumps(modules, indent=2) + "\n", encoding="utf-8")
    (folder / POOLING).mkdir(exist_ok=True)
    mean = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    write_json(folder / POOLING / "config.json", {"word_embedding_dimension": width, **mean})


def check_pooling(name: str, folder: Path) -> None:
    """Refuse a model whose vectors of texts are not the mean of its last hidden states.

    Args:
        name: The model in the user's words.
        folder: Its folder; one without files of Sentence Transformers may be anything.

    Raises:
        SpecError: Vectors are pooled in another way, or a module such as Dense changes them.
        DataError: The files cannot be read.
    """
    places = [POOLING] if (folder / POOLING / "config.json").is_file() else []
    unsupported: list[str] = []
    if (folder / MODULES_FILE).is_file():
        modules = _modules(folder / MODULES_FILE)
        places = [path for kind, path in modules if kind == "Pooling"]
        unsupported += [f"a module {kind}" for kind, _ in modules if kind not in _READ]
    for place in places:
        modes = _pooled_by(read_json(folder / place / "config.json"))
        unsupported += [f"the pooling {mode}" for mode in sorted(modes - {_MEAN})]
    if unsupported:
        raise SpecError(
            f"'{name}' makes vectors of texts with {' and '.join(unsupported)} (its {MODULES_FILE} "
            f"and {POOLING}/config.json), but they are read as the mean of the last hidden states: "
            f"{', '.join(_READ)} with the pooling {_MEAN}",
            hint=f"use a model that pools by the {_MEAN}; to begin with the weights of this one "
            f"all the same, name a copy of its folder without {MODULES_FILE} and {POOLING}",
        )


def _modules(file: Path) -> list[tuple[str, str]]:
    """Class and folder of each module."""
    modules = read_json_list(file)
    if not all(isinstance(m, dict) and isinstance(m.get("type"), str) for m in modules):
        raise DataError(
            f"{file} holds something else than modules with a type each",
            hint="copy or download it again",
        )
    return [(m["type"].rpartition(".")[2], str(m.get("path", ""))) for m in modules]


def _pooled_by(config: Mapping[str, Any]) -> set[str]:
    """The ways to pool that a configuration names; the library's own where it names none."""
    stated = config.get(_MODE)
    if stated:
        return set(map(str, stated)) if isinstance(stated, list) else {str(stated)}
    flags = {key.removeprefix(_MODES): on for key, on in config.items() if key.startswith(_MODES)}
    return {_NAMES.get(flag, flag) for flag, on in flags.items() if on is True} or {_MEAN}
