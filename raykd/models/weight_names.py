"""Gives the tensors of a checkpoint the names that a model has for them, and says what is left.

Programs put models into other ones before they save them, and libraries have renamed parts; a
tensor is used, known to be of no use, or named in an error or a note.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.errors import DataError
from raykd.models.families.base import ModelFamily
from raykd.models.weight_files import MERGE

_OLD_NAMES = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
_INSERTED = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_BUFFERS = (
    r"(^|\.)position_ids$",
    r"rotary_emb\.inv_freq$",
    r"\.attn(\.attention)?\.(masked_)?bias$",
)
_HEADS = (
    "cls.", "lm_head.", "lm_predictions.", "mask_predictions.", "qa_outputs.", "classifier.",
    "pre_classifier.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "score.",
    "pooler.", "discriminator_predictions.", "generator_predictions.", "generator_lm_head.",
    "sop_classifier.", "seq_relationship.", "multiple_choice_head.", "logits_proj.",
)  # fmt: skip
_QUANTISED = (
    "SCB", "weight_format", "qweight", "qzeros", "scales", "g_idx", "weight_scale",
    "weight_scale_inv", "input_scale", "weight_packed", "weight_shape", "absmax", "quant_map",
    "nested_absmax", "nested_quant_map", "weight_zero_point", "_blocks", "_scales",
)  # fmt: skip
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""Types of numbers that weights are read from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedTensors:
    """The tensors of a checkpoint under the names of a model.

    Attributes:
        tensors: Those the model has a place for.
        prefix: What was taken off their names.
        ignored: Names of those that the model knowingly does without: heads of other tasks,
            numbers that are computed, an output matrix that is the word embedding.
        unused: Names of all others that it has no place for.
    """

    tensors: Mapping[str, Tensor]
    prefix: str
    ignored: tuple[str, ...]
    unused: tuple[str, ...]


def named(
    given: Mapping[str, Tensor],
    expected: Collection[str],
    ties: Mapping[str, str],
    family: ModelFamily,
    useless: Iterable[str] = (),
) -> NamedTensors:
    """The tensors of a checkpoint under the names of a model.

    Args:
        given: By their names in the file.
        expected: Names of all weights of the model.
        ties: Those among them that are others under a second name, unless the file has two.
        family: The family of the model.
        useless: Patterns of names that the library leaves out knowingly.

    Raises:
        DataError: The file holds several models.
    """
    known = {_current(name): tensor for name, tensor in given.items()}
    prefix, added = _wrapping(known, expected, family)
    # A bare model is next to what is not part of it: what begins like a part of it counts as one.
    base = family.base_prefix
    parts = {n.removeprefix(base).partition(".")[0] for n in expected if n.startswith(base)}
    by_place: dict[str, Tensor] = {}
    rest = []
    for name, tensor in known.items():
        inner = name.removeprefix(prefix)
        place = next((n for n in (added + inner, inner, name) if n in expected), None)
        if place is None or place in by_place:
            own = name.startswith(prefix) and inner.partition(".")[0] in parts
            rest.append(added + inner if own else inner)
        else:
            by_place[place] = tensor
    twice = _untwinned(by_place, ties)
    patterns = [re.compile(pattern) for pattern in (*_BUFFERS, *useless)]
    heads = (*_HEADS, *family.head_prefixes, *family.optional_prefixes)
    bare = tuple(family.base_prefix + head for head in heads) if family.base_prefix else ()
    ignored = [n for n in rest if n.startswith(heads + bare) or any(p.search(n) for p in patterns)]
    return NamedTensors(
        tensors=by_place,
        prefix=prefix,
        ignored=(*twice, *ignored),
        unused=tuple(n for n in rest if n not in set(ignored)),
    )


def _current(name: str) -> str:
    """Today's name of a weight, without what wrappers of modules put into it."""
    for part in _INSERTED:
        name = name.replace(part, "")
    for old, new in _OLD_NAMES:
        name = name.replace(old, new)
    return name


def _wrapping(
    given: Collection[str], expected: Collection[str], family: ModelFamily
) -> tuple[str, str]:
    """What has to be taken off the names of a file and put before them, to fit best."""
    base = family.base_prefix
    anchors = {n for n in expected if n.startswith(family.layer_prefix or base)}
    anchors |= {n.removeprefix(base) for n in anchors}
    prefixes = {""}
    for anchor in sorted(anchors)[:4] + sorted(anchors)[-4:]:
        prefixes |= {n[: -len(anchor)] for n in given if n.endswith("." + anchor)}
    fits: dict[tuple[str, str], int] = {}
    for prefix in prefixes:
        inner = {n.removeprefix(prefix) for n in given if n.startswith(prefix)}
        for added in dict.fromkeys(("", base)):
            fits[prefix, added] = sum(added + n in expected for n in inner)
    most = max(fits.values())
    best = [way for way, count in fits.items() if count == most]
    best.sort(key=lambda way: (len(way[0]), len(way[1])))
    first = best[0]
    others = [prefix for prefix, _ in best if not _same_place(prefix, first[0])]
    if most and others and first[0]:
        raise DataError(
            f"the file holds several models: names begin with '{first[0]}' and '{others[0]}'",
            hint="save the one that is meant with save_pretrained",
        )
    return first


def _same_place(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _untwinned(by_place: dict[str, Tensor], ties: Mapping[str, str]) -> list[str]:
    """Leave out tensors that are there under both of their names; returns what was left out."""
    twice = []
    for name, source in ties.items():
        if name not in by_place:
            continue
        if source not in by_place:
            by_place[source] = by_place.pop(name)
        elif _equal(by_place[name], by_place[source]):
            del by_place[name]
            twice.append(name)
    return twice


def _equal(one: Tensor, two: Tensor) -> bool:
    if one.data_ptr() == two.data_ptr() and one.stride() == two.stride() and one.numel():
        return one.shape == two.shape and one.dtype == two.dtype  # one place in a file
    return one.shape == two.shape and one.dtype == two.dtype and torch.equal(one, two)


def check_unused(
    name: str, stored: NamedTensors, expected: Collection[str], family: ModelFamily
) -> None:
    """Refuse a checkpoint with tensors that belong to the model and have no place in it.

    Args:
        name: The model in the user's words.
        stored: Its tensors.
        expected: Names of all weights of the model.
        family: Its family.

    Raises:
        DataError: Says how many, names the first ones.
    """
    if not stored.unused:
        return
    quantised = [n for n in stored.unused if n.rpartition(".")[2].endswith(_QUANTISED)]
    if quantised:
        raise quantised_error(name, f"it holds '{quantised[0]}'")
    lora = [n for n in stored.unused if ".lora_" in n or n.startswith("base_model.model.")]
    if lora:
        raise DataError(
            f"the checkpoint '{name}' holds the weights of an adapter, e.g. '{lora[0]}'", hint=MERGE
        )
    roots = tuple({n.partition(".")[0] + "." for n in expected if not family.is_head(n)})
    inside = [n for n in stored.unused if n.startswith(roots)]
    if inside:
        raise DataError(
            f"the checkpoint '{name}' holds {len(inside):,} weights that a {family.name} with the "
            f"sizes of its config.json has no place for: {listed(inside)}",
            hint="does config.json belong to these weights? a model that leaves them out computes "
            "something else",
        )


def quantised_error(name: str, why: str) -> DataError:
    """That a checkpoint is quantised, which is not read.

    Args:
        name: The model in the user's words.
        why: How one knows.
    """
    return DataError(
        f"the checkpoint '{name}' is quantised ({why}): its numbers mean nothing without their "
        "scales, and raykd reads plain weights, and what Transformers dequantises on any device",
        hint="name the model in bf16, fp16 or fp32; or open it with transformers, call "
        "dequantize() and save_pretrained()",
    )


def listed(names: Iterable[str], most: int = 3) -> str:
    """The first names of some, in words."""
    all_of_them = list(names)
    text = ", ".join(f"'{n}'" for n in all_of_them[:most])
    return text + (f" and {len(all_of_them) - most:,} more" if len(all_of_them) > most else "")


def check_fit(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], family: ModelFamily
) -> None:
    """Refuse weights that lack some, or have some without a place or of another shape.

    Raises:
        DataError: Names the first that does not fit.
    """
    missing = [name for name in expected if name not in given and not family.may_lack(name)]
    if missing:
        raise DataError(f"{len(missing)} weights are missing, the first is '{missing[0]}'")
    for name, tensor in given.items():
        if name not in expected:
            raise DataError(f"weight '{name}' has no place in the model")
        if tensor.shape != expected[name].shape:
            raise DataError(
                f"weight '{name}' has shape {list(tensor.shape)}, "
                f"the configuration says {list(expected[name].shape)}"
            )
