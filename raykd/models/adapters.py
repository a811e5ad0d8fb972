"""Opens adapters (PEFT): merges one into the model that it belongs to, in a folder of its own."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raykd.errors import DataError, SpecError
from raykd.models import weights
from raykd.models.families.base import ModelFamily, family_of
from raykd.models.generation_config import CONFIG_FILE, GENERATION_FILE
from raykd.models.lora import TASK_TYPES, check_installed
from raykd.models.task_head import kind_of, with_task
from raykd.models.weight_files import ADAPTER_FILES, read_json
from raykd.models.weight_names import listed
from raykd.models.weights import ADAPTER_CONFIG
from raykd.own_folder import own_folder

_SMALL = ("*.json", "*.txt", "*.model", "*_Pooling/*.json")
_NOT_COPIED = (CONFIG_FILE, ADAPTER_CONFIG, GENERATION_FILE)


def base_of(folder: Path) -> str:
    """The folder or hub name of the model that an adapter belongs to.

    Raises:
        SpecError: It does not say so.
    """
    adapter = read_json(folder / ADAPTER_CONFIG)
    base, revision = adapter.get("base_model_name_or_path"), adapter.get("revision")
    if not isinstance(base, str) or not base:
        raise SpecError(
            f"'{folder}' is an adapter (PEFT) that does not say of which model",
            hint=f"write its folder or name as base_model_name_or_path into {ADAPTER_CONFIG}",
        )
    return f"{base}@{revision}" if revision and not Path(base).is_dir() else base


def merged(folder: Path, base: Path) -> Path:
    """A folder of the model that an adapter and its base make, until the process ends.

    Args:
        folder: Of the adapter.
        base: Of the model that it belongs to.

    Raises:
        SpecError: It does not say which task it is for.
        DataError: It does not fit that model, or cannot be merged.
        SetupError: The package peft is not installed.
    """
    stamps = tuple((p.name, p.stat().st_mtime_ns) for p in sorted(folder.iterdir()))
    return _merged(folder.resolve(), base.resolve(), stamps)


@functools.cache
def _merged(folder: Path, base: Path, stamps: tuple[tuple[str, int], ...]) -> Path:
    check_installed()
    plain = read_json(base / CONFIG_FILE)
    family = family_of(plain)
    own: dict[str, Any] = (
        read_json(folder / CONFIG_FILE) if (folder / CONFIG_FILE).is_file() else {}
    )
    kind = _kind(folder, own)
    tensors = _tensors(folder)
    config = family.config_class().from_dict(plain)
    config = with_task(config, kind, _num_labels(tensors, family, plain))
    model, fresh = _opened(family.head_class(kind), base, config)
    state = weights.capture(_filled(folder, base, model, tensors))
    # What neither of the two brings was drawn at random.
    brought = {name.removeprefix("base_model.model.") for name in tensors}
    kept = {n: state.tensors[n] for n in state.tensors if n not in fresh or n in brought}
    names: dict[str, Any] = {k: own[k] for k in ("id2label", "label2id") if k in own}
    place = own_folder("adapter")
    weights.save(replace(state, config={**state.config, **names}, tensors=kept), place)
    for source in (base, folder):
        for file in (f for pattern in _SMALL for f in source.glob(pattern)):
            inside = file.relative_to(source)
            if str(inside) not in _NOT_COPIED and not file.name.endswith(".index.json"):
                to = place / inside
                to.parent.mkdir(exist_ok=True)
                shutil.copy(file, to)
    return place


def _opened(head: Any, base: Path, config: Any) -> tuple[Any, frozenset[str]]:
    """A model in float32, and the names of the weights that were drawn for want of others."""
    from transformers.utils import logging as library_logging

    logging: Any = library_logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, info = head.from_pretrained(
            base, config=config, dtype=torch.float32, ignore_mismatched_sizes=True,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as exc:
        raise DataError(
            f"'{base}', which an adapter belongs to, cannot be opened: {str(exc).splitlines()[0]}",
            hint="check that model by itself: is it whole?",
        ) from exc
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    mismatched = (mismatch[0] for mismatch in info["mismatched_keys"])
    return model, frozenset((*info["missing_keys"], *mismatched))


def _kind(folder: Path, own: Mapping[str, Any]) -> str:
    """The kind of task, as the configuration next to an adapter says, or else PEFT's."""
    if own:
        return kind_of(own)
    task = read_json(folder / ADAPTER_CONFIG).get("task_type")
    kind = next((kind for kind, name in TASK_TYPES.items() if name == task), None)
    if kind is None:
        raise SpecError(
            f"the adapter '{folder}' is for no known task: task_type of its {ADAPTER_CONFIG} is "
            f"{json.dumps(task)}",
            hint=f"it has to be one of {', '.join(dict.fromkeys(TASK_TYPES.values()))}",
        )
    return kind


def _tensors(folder: Path) -> dict[str, Tensor]:
    from peft import load_peft_weights

    if not any((folder / file).is_file() for file in ADAPTER_FILES):
        raise DataError(
            f"the adapter '{folder}' has no weights: neither of {' and '.join(ADAPTER_FILES)} is "
            "there",
            hint="copy or download all of its files again",
        )
    try:
        tensors: dict[str, Tensor] = load_peft_weights(str(folder), device="cpu")
    except Exception as exc:
        raise DataError(
            f"the weights of the adapter '{folder}' cannot be read: {exc}",
            hint="copy or download all of its files again",
        ) from exc
    return tensors


def _num_labels(tensors: Mapping[str, Tensor], family: ModelFamily, base: Mapping[str, Any]) -> int:
    """Outputs of the head that the adapter brings, or of the one that the base has."""
    for name, tensor in tensors.items():
        if name.endswith(f".{family.classifier}.weight"):
            return len(tensor)
    return len(base.get("id2label") or {0: "", 1: ""})


def _filled(folder: Path, base: Path, model: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The model with the adapter added to its weights.

    Raises:
        DataError: It has weights that have no place there, or lacks some; or it is of a kind that
            is no change of weights.
    """
    from peft import PeftConfig, PeftModel, set_peft_model_state_dict

    try:
        wrapped = PeftModel(model, PeftConfig.from_pretrained(str(folder)))
        result: Any = set_peft_model_state_dict(wrapped, dict(tensors))
        lost = list(result.unexpected_keys)
        lost += [name for name in result.missing_keys if ".lora_" in name]
        if not lost:
            return wrapped.merge_and_unload(safe_merge=True)
    except Exception as exc:  # whatever the library says of a file that it cannot use
        reason = " ".join(str(exc).split())[:300]
        raise DataError(
            f"the adapter '{folder}' cannot be merged into '{base}': {reason}",
            hint="does it belong to that model? adapters that are no change of weights (prompts, "
            "prefixes) cannot be used",
        ) from exc
    raise DataError(
        f"the adapter '{folder}' does not fit '{base}': no place for or value of {listed(lost)}",
        hint=f"base_model_name_or_path of its {ADAPTER_CONFIG} names another model than it was "
        "trained with",
    )
