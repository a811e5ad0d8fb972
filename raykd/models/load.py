"""Builds models: from a checkpoint, or from sizes and a seed."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raykd import registry
from raykd.errors import DataError, SpecError
from raykd.models import weights
from raykd.models.base import Anatomy, ModelShape
from raykd.models.families.base import ModelFamily, family_of, tied_names, with_task
from raykd.models.folder import find, read_config
from raykd.models.initial import drawn_from
from raykd.models.slim import fit_widths
from raykd.models.weights import ModelState

_OLD_NAMES = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))


def load_model(name: str, *, kind: str, num_labels: int, seed: int = 0) -> nn.Module:
    """A model from a checkpoint, in float32, with a head for the task.

    Args:
        name: A folder, ``package:NAME`` or a hub name.
        kind: ``classification`` or ``regression``.
        num_labels: Width of the logits.
        seed: Draws the head when the checkpoint has none that fits.

    Raises:
        SpecError: No such folder, no model in it, a type that is not supported.
        DataError: Weights are missing, of another shape, or not finite; names the weight.
        SetupError: Neither in the cache nor within reach.
    """
    return weights.restore(load_state(name, kind=kind, num_labels=num_labels), seed=seed)


def load_state(name: str, *, kind: str, num_labels: int) -> ModelState:
    """The weights of a checkpoint, in float32; without a head where it has none that fits.

    Raises:
        SpecError: No such folder, no model in it, a type that is not supported.
        DataError: Weights are missing, of another shape, or not finite; names the weight.
        SetupError: Neither in the cache nor within reach.
    """
    folder = find(name)
    plain = read_config(folder)
    family = family_of(plain["model_type"])
    config = with_task(family.config_class().from_dict(plain), kind, num_labels)
    with torch.device("meta"):
        empty = fit_widths(family.head_class(kind)(config))
    tied = tied_names(empty)
    expected = {n: tensor for n, tensor in empty.state_dict().items() if n not in tied}
    given = _renamed(_read_tensors(folder), family)
    kept = {}
    for tensor_name, tensor in expected.items():
        found = given.get(tensor_name)
        if found is not None and found.shape == tensor.shape:
            kept[tensor_name] = found.float()
        elif found is None and not family.may_lack(tensor_name):
            raise DataError(
                f"the checkpoint '{name}' lacks the weight '{tensor_name}'",
                hint=f"is it a {family.name} model with the sizes of its config.json?",
            )
        elif found is not None and not family.is_head(tensor_name):
            raise DataError(
                f"the checkpoint '{name}': weight '{tensor_name}' has shape {list(found.shape)}, "
                f"config.json asks for {list(tensor.shape)}"
            )
    if not all(n in kept for n in expected if family.is_head(n)):
        kept = {n: tensor for n, tensor in kept.items() if not family.is_head(n)}
    _check_finite(name, kept)
    return weights.from_tensors(kept, json.loads(config.to_json_string(use_diff=False)))


def build_model(
    shape: ModelShape, *, vocabulary: int, kind: str, num_labels: int, seed: int
) -> nn.Module:
    """A model with random weights; the global generator is left as it was.

    Args:
        shape: Sizes.
        vocabulary: Token ids of the tokenizer that was trained for it.
        kind: ``classification`` or ``regression``.
        num_labels: Width of the logits.
        seed: Draws the weights.

    Raises:
        SpecError: The family does not exist, or the heads do not divide the width.
    """
    family: ModelFamily = registry.load("families", shape.family)
    config = family.config(shape, vocabulary, kind, num_labels)
    with drawn_from(seed):
        model: nn.Module = family.head_class(kind)(config)
    return model.train()


def shape_anatomy(shape: ModelShape, vocabulary: int) -> Anatomy:
    """The sizes of a model with random weights, without building it."""
    family: ModelFamily = registry.load("families", shape.family)
    return Anatomy(
        layers=shape.layers,
        hidden=shape.hidden,
        heads=shape.heads,
        vocabulary=vocabulary,
        intermediate=(shape.intermediate or 4 * shape.hidden) if family.units else None,
        positions=shape.max_positions if "positions" in family.fields else None,
    )


def anatomy(model: Any) -> Anatomy:
    """The sizes of a model, a `ModelState`, or a configuration of a known family."""
    family, config = _configured(model)
    return family.anatomy(config)


def check_max_length(model: Any, max_length: int, name: str) -> None:
    """Refuse rows that are longer than the model has positions.

    Args:
        model: A model, a `ModelState`, or a configuration of a known family.
        max_length: Most tokens of a row.
        name: The model in the user's words.

    Raises:
        SpecError: There are too few positions.
    """
    family, config = _configured(model)
    positions = family.max_length(config)
    if max_length > positions:
        raise SpecError(
            f"data.max_length is {max_length}, but '{name}' has {positions} positions",
            hint=f"set data.max_length to {positions} or less",
        )


def _configured(model: Any) -> tuple[ModelFamily, Any]:
    if isinstance(model, ModelState):
        family = family_of(model.config["model_type"])
        return family, family.config_class().from_dict(dict(model.config))
    config = getattr(model, "config", model)
    return family_of(config.model_type), config


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    index = folder / "model.safetensors.index.json"
    try:
        if index.exists():
            shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            return {k: v for shard in shards for k, v in load_file(folder / shard).items()}
        if (folder / weights.WEIGHTS_FILE).exists():
            return load_file(folder / weights.WEIGHTS_FILE)
        if (folder / "pytorch_model.bin").exists():
            old: dict[str, Tensor] = torch.load(
                folder / "pytorch_model.bin", map_location="cpu", weights_only=True
            )
            return old
    except (OSError, ValueError, SafetensorError, RuntimeError, pickle.UnpicklingError) as exc:
        raise DataError(f"the weights in {folder} cannot be read: {exc}") from exc
    raise SpecError(
        f"folder '{folder}' has a config.json but no weights ({weights.WEIGHTS_FILE})",
        hint="save the model again with safetensors",
    )


def _renamed(tensors: Mapping[str, Tensor], family: ModelFamily) -> dict[str, Tensor]:
    """Today's names: old normalisation weights, and bare encoders without the prefix."""
    bare = not any(name.startswith(family.base_prefix) for name in tensors)
    named = {}
    for name, tensor in tensors.items():
        for old, new in _OLD_NAMES:
            name = name.replace(old, new)
        named[family.base_prefix + name if bare else name] = tensor
    return named


def _check_finite(name: str, tensors: Mapping[str, Tensor]) -> None:
    for tensor_name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            bad = int((~torch.isfinite(tensor)).sum())
            raise DataError(
                f"the checkpoint '{name}': weight '{tensor_name}' holds {bad:,} values that are "
                "NaN or infinite",
                hint="its training diverged, or the file is damaged; use another checkpoint",
            )
