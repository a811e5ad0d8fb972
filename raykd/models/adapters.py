"""Opens adapters (PEFT): merges one into the model that it belongs to, in a folder of its own."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from raykd.errors import DataError, RaykdError, SpecError
from raykd.models import weights
from raykd.models.checkpoint import read_checkpoint
from raykd.models.families.base import ModelFamily, family_of, kind_of
from raykd.models.lora import TASK_TYPES, check_installed
from raykd.models.resolve import read_config, resolve
from raykd.models.weight_files import read_json
from raykd.models.weight_names import listed
from raykd.models.weights import ADAPTER_CONFIG, CONFIG_FILE

_SMALL = ("*.json", "*.txt", "*.model")
_NOT_COPIED = (CONFIG_FILE, ADAPTER_CONFIG, weights.GENERATION_FILE)


def merged(folder: Path) -> Path:
    """A folder of the model that an adapter and its base make, until the process ends.

    Args:
        folder: Of the adapter.

    Raises:
        SpecError: It does not say which model and task it belongs to, or there is no such model.
        DataError: It does not fit that model, or cannot be merged.
        SetupError: The package peft is not installed.
    """
    stamps = tuple((p.name, p.stat().st_mtime_ns) for p in sorted(folder.iterdir()))
    return _merged(folder.resolve(), stamps)


@functools.cache
def _merged(folder: Path, stamps: tuple[tuple[str, int], ...]) -> Path:
    check_installed()
    adapter = read_json(folder / ADAPTER_CONFIG)
    base = _base(folder, adapter)
    try:
        base_folder = resolve(base)
        family = family_of(read_config(base_folder)["model_type"])
        own = _own_config(folder)
        kind = _kind(folder, adapter, own)
        tensors = _tensors(folder)
        num_labels = _num_labels(tensors, family, read_config(base_folder))
        begun = read_checkpoint(base, kind=kind, num_labels=num_labels)
    except RaykdError as exc:
        raise type(exc)(
            f"'{folder}' is an adapter of '{base}': {exc.message}",
            hint=exc.hint or f"base_model_name_or_path of its {ADAPTER_CONFIG} says so",
        ) from exc
    model = weights.restore(begun.state)
    state = weights.capture(_filled(folder, base, model, tensors))
    # What neither of the two brings was drawn at random.
    brought = {name.removeprefix("base_model.model.") for name in tensors}
    drawn = {name for name in begun.fresh if name not in brought}
    kept = {name: state.tensors[name] for name in state.tensors if name not in drawn}
    names = {k: own[k] for k in ("id2label", "label2id") if k in own}
    place = Path(tempfile.mkdtemp(prefix="raykd-adapter-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    config = {**state.config, **names}
    weights.save(
        weights.ModelState(family=state.family, config=config, tensors=kept, bf16=state.bf16), place
    )
    for source in (base_folder, folder):
        for file in (f for pattern in _SMALL for f in source.glob(pattern)):
            if file.name not in _NOT_COPIED and not file.name.endswith(".index.json"):
                shutil.copy(file, place)
    return place


def _base(folder: Path, adapter: Mapping[str, Any]) -> str:
    base, revision = adapter.get("base_model_name_or_path"), adapter.get("revision")
    if not isinstance(base, str) or not base:
        raise SpecError(
            f"'{folder}' is an adapter (PEFT) that does not say of which model",
            hint=f"write its folder or name as base_model_name_or_path into {ADAPTER_CONFIG}",
        )
    return f"{base}@{revision}" if revision and not Path(base).is_dir() else base


def _own_config(folder: Path) -> dict[str, Any]:
    """The configuration of the whole model, where one lies beside the adapter."""
    return read_config(folder) if (folder / CONFIG_FILE).is_file() else {}


def _kind(folder: Path, adapter: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    task = adapter.get("task_type")
    if own:
        return kind_of(own)
    kind = next((kind for kind, name in TASK_TYPES.items() if name == task), None)
    if kind is None:
        raise SpecError(
            f"task_type of its {ADAPTER_CONFIG} is {json.dumps(task)}",
            hint=f"it has to be one of {', '.join(dict.fromkeys(TASK_TYPES.values()))}",
        )
    return kind


def _tensors(folder: Path) -> dict[str, Tensor]:
    from peft import load_peft_weights

    try:
        found: dict[str, Tensor] = load_peft_weights(str(folder), device="cpu")
    except Exception as exc:
        raise DataError(
            f"the weights of the adapter cannot be read: {exc}",
            hint="copy or download all of its files again",
        ) from exc
    return found


def _num_labels(tensors: Mapping[str, Tensor], family: ModelFamily, base: Mapping[str, Any]) -> int:
    """Outputs of the head that the adapter brings, or of the one that the base has."""
    for name, tensor in tensors.items():
        if name.endswith(f".{family.classifier}.weight"):
            return len(tensor)
    return len(base.get("id2label") or {0: "", 1: ""})


def _filled(folder: Path, base: str, model: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The model with the adapter added to its weights.

    Raises:
        DataError: It has weights that have no place there, or lacks some; or it is of a kind that
            is no change of weights.
    """
    from peft import PeftConfig, PeftModel, set_peft_model_state_dict

    try:
        wrapped = PeftModel(model, PeftConfig.from_pretrained(str(folder)))
        result = set_peft_model_state_dict(wrapped, dict(tensors))
        lost = list(result.unexpected_keys)
        lost += [name for name in result.missing_keys if ".lora_" in name]
        if not lost:
            return wrapped.merge_and_unload(safe_merge=True)
    except Exception as exc:  # whatever the library says of a file that it cannot use
        said = " ".join(str(exc).split())[:300]
        raise DataError(
            f"the adapter '{folder}' cannot be merged into '{base}': {said}",
            hint="does it belong to that model? adapters that are no change of weights (prompts, "
            "prefixes) cannot be used",
        ) from exc
    raise DataError(
        f"the adapter '{folder}' does not fit '{base}': no place for or value of {listed(lost)}",
        hint=f"base_model_name_or_path of its {ADAPTER_CONFIG} names another model than it was "
        "trained with",
    )
