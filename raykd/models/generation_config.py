"""Writes how texts begin and end into the folder of a saved model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raykd.errors import SetupError

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"
SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
"""Entries of a configuration that say how text begins and ends."""


def say_tokens(folder: Path, tokens: Mapping[str, int | None]) -> None:
    """Write the special tokens that a model was trained with into its saved configuration.

    A model that generates text learns to end it with the token of the tokenizer that it was trained
    with; what its configuration said before was that of another one.

    Args:
        folder: A folder that `raykd.models.weights.save` wrote; models that write no text are left
            as they are.
        tokens: Ids by their names in a configuration.

    Raises:
        SetupError: The folder cannot be written.
    """
    try:
        if not (folder / GENERATION_FILE).is_file():
            return
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        stated = dict(tokens)
        if config.get("pad_token_id") is None and tokens["pad_token_id"] == tokens["eos_token_id"]:
            # A stand-in: named in the configuration, its vector would not learn any more.
            del stated["pad_token_id"]
        config |= stated
        write_json(folder / CONFIG_FILE, config)
        write_json(folder / GENERATION_FILE, generation_config(config | tokens))
    except OSError as exc:
        raise SetupError(
            f"cannot write the model to {folder}: {exc}",
            hint="free some space, or choose another folder",
        ) from exc


def generation_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """How a library generates text with the model: greedily, to the token that ends it."""
    ids = {name: config[name] for name in SPECIAL_TOKENS if config.get(name) is not None}
    return {"_from_model_config": False, **ids}


def write_json(path: Path, plain: Mapping[str, Any]) -> None:
    """Write a mapping as the library writes its configurations."""
    path.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n", encoding="utf-8")
