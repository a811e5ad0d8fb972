"""Where the parts of an architecture are, by the names of its weights: body, blocks and heads.

Found on small models without memory, one for each head that the architecture has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from raykd.data.kinds.classification import KIND as CLASSIFICATION
from raykd.models.architectures import classes
from raykd.models.transformers_private import without_weights

LABELS = 7
"""Classes of the small models: a width that nothing else has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Prefixes of the names of weights.

    Attributes:
        base: Of the body, which bare checkpoints lack; empty where the head is next to its parts.
        blocks: Of a block, before its number; empty where there is no list of all blocks.
        heads: Of what is outside the body, for any kind of task.
        optional: Of parts of the body that only some heads read.
        classifier: The layer whose outputs are the classes, empty without such a head.
        per_block: Entries of the configuration that are a list with an element for each block.
        position_padding: The position that padding has, where tokens have those after it.
        counts_from_pad: Whether that is the number of the token that pads.
    """

    base: str
    blocks: str
    heads: tuple[str, ...]
    optional: tuple[str, ...]
    classifier: str
    per_block: tuple[str, ...]
    position_padding: int | None
    counts_from_pad: bool


Configured = Callable[[str, int, int], Any]
"""Gives a small configuration for a kind of task, with so many blocks and such a padding token."""


def find_layout(model_type: str, configured: Configured) -> Layout:
    """The layout of an architecture.

    Args:
        model_type: The architecture.
        configured: Gives small configurations.
    """
    models = {kind: _model(model_type, kind, configured(kind, 3, 0)) for kind in _kinds(model_type)}
    first_kind, first = next(iter(models.items()))
    paddings = [
        _position_padding(model)
        for model in (first, _model(model_type, first_kind, configured(first_kind, 3, 2)))
    ]
    base = base_prefix(first)
    names = {kind: frozenset(model.state_dict()) for kind, model in models.items()}
    outside = {n for every in names.values() for n in every if not (base and n.startswith(base))}
    inside = {n for every in names.values() for n in every} - outside
    if not base:
        head = module_name(first, first.get_output_embeddings())
        outside = {n for n in outside if n.startswith(head + ".")}
    everywhere = frozenset.intersection(*names.values())
    body, classes_head = _part(base), models.get(CLASSIFICATION.name)
    longer = _model(model_type, first_kind, configured(first_kind, 5, 0))
    return Layout(
        base=base,
        blocks=_blocks(first, 3),
        heads=tuple(sorted({_part(n) for n in outside})),
        optional=tuple(
            sorted({body + _part(n.removeprefix(base)) for n in inside if n not in everywhere})
        )
        if base
        else (),
        classifier="" if classes_head is None else _classifier(classes_head, base),
        per_block=_per_block({3: first.config, 5: longer.config}),
        position_padding=paddings[0],
        counts_from_pad=paddings == [0, 2],
    )


def base_prefix(model: Any) -> str:
    """Prefix of the weights of the body within a ``PreTrainedModel``, empty where it is all."""
    name: str = model.base_model_prefix
    return f"{name}." if name and isinstance(getattr(model, name, None), nn.Module) else ""


def module_name(model: nn.Module, part: nn.Module | None) -> str:
    """The name of a module of a model; empty where it is none of it."""
    return next((name for name, module in model.named_modules() if module is part), "")


def _kinds(model_type: str) -> tuple[str, ...]:
    """One kind for each head: regression has that of classification."""
    first: dict[Any, str] = {}
    for kind in classes.heads(model_type):
        first.setdefault(classes.head_class(model_type, kind), kind)
    return tuple(first.values())


def _model(model_type: str, kind: str, config: Any) -> Any:
    with torch.device("meta"):
        return without_weights(classes.head_class(model_type, kind), config)


def _part(name: str) -> str:
    """The outermost part of a weight's name, with the dot; the whole name of a lone tensor."""
    return name if "." not in name else name.partition(".")[0] + "."


def _blocks(model: Any, count: int) -> str:
    """Prefix of the outermost lists with as many parts as there are blocks, if it is one."""
    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    }
    outer = [n for n in lists if not any(n.startswith(other + ".") for other in lists)]
    sizes = {n: sum(p.numel() for p in lists[n].parameters()) for n in outer}
    whole = [n for n in outer if sizes[n] == max(sizes.values())]
    return whole[0] + "." if len(whole) == 1 and not model.config.is_encoder_decoder else ""


def _classifier(model: Any, base: str) -> str:
    named = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and module.out_features == LABELS
        and not (base and name.startswith(base))
    ]
    return named[-1] if named else ""


def _position_padding(model: Any) -> int | None:
    """The padding of an embedding with as many rows as there are positions."""
    rows = getattr(model.config, "max_position_embeddings", None)
    paddings = [
        module.padding_idx
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module.num_embeddings == rows
    ]
    return next((padding for padding in paddings if padding is not None), None)


def _per_block(configs: Mapping[int, Any]) -> tuple[str, ...]:
    """Entries whose lists are as long as there are blocks, whatever their number.

    Args:
        configs: Those of models, by their blocks. Some architectures write the list of what is
            given for all blocks as one number (a Longformer's window) while they are built.
    """
    entries = [(count, _lists(config)) for count, config in configs.items()]
    return tuple(
        name
        for name in entries[0][1]
        if all(len(lists.get(name, ())) == count for count, lists in entries)
    )


def _lists(config: Any) -> Mapping[str, Sequence[Any]]:
    return {k: v for k, v in config.to_dict().items() if isinstance(v, list | tuple)}
