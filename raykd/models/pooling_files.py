"""Writes what Sentence Transformers needs beside a saved model to make vectors of texts with it."""

from __future__ import annotations

import json
from pathlib import Path

from raykd.models.generation_config import write_json

MODULES_FILE = "modules.json"
POOLING = "1_Pooling"
_PARTS = {"Transformer": "", "Pooling": POOLING}


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
