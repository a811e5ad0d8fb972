"""Reads a published or saved model: its weights for a task's head, and what there is to say."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raykd.data.task_kinds import task_kind
from raykd.errors import DataError
from raykd.models import weights
from raykd.models.class_names import Classes, compared, reordered
from raykd.models.families.base import ModelFamily, family_of
from raykd.models.file_arrays import FileVersion, scan
from raykd.models.own_files import in_own_file
from raykd.models.pooling_files import check_pooling
from raykd.models.quantized import KEYS, quantization_of, read_quantized
from raykd.models.resolve import no_configuration, read_config, resolve
from raykd.models.structured_pruning import fit_widths
from raykd.models.task_head import with_task
from raykd.models.transformers_private import is_converted, read_converted
from raykd.models.weight_files import FileTensors, read_tensors, versions
from raykd.models.weight_formats import other_format
from raykd.models.weight_names import (
    FLOATS,
    NamedTensors,
    check_unused,
    listed,
    named,
    quantised_error,
)
from raykd.models.weight_ties import declared_ties
from raykd.models.weights import ModelState


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A model as it was read.

    Attributes:
        state: Its weights, in the types of numbers of its files, and stored there; without a head
            where it has none that fits.
        classes: How the classes of its head go with those of the task; None without such a head.
        fresh: Names of weights that it lacks; they are drawn at random.
        ignored: Names of tensors that it knowingly does without, e.g. the head of another task.
        notes: What a user should know of how it was read.
    """

    state: ModelState
    classes: Classes | None
    fresh: tuple[str, ...]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]


def read_checkpoint(
    name: str, *, kind: str, num_labels: int, labels: Sequence[str] = (), pad: int | None = None
) -> Checkpoint:
    """Read a model and give it the head of a task.

    Every tensor of its files is used, known to be of no use, or named in a note or an error. The
    rows of a head for the same classes in another order are put into the order of the task.

    Args:
        name: A folder, ``package:NAME`` or a hub name.
        kind: Kind of task.
        num_labels: Width of the logits.
        labels: Names of the task's classes, in their order; empty: those of the model are kept.
        pad: The token that its tokenizer pads with. A decoder with a head for rows finds the last
            token of a text by it, whatever its configuration says.

    Raises:
        SpecError: No such folder, no model in it, a type that is not supported, or vectors of texts
            that are not a mean.
        DataError: Weights are missing, too many, quantised, of another shape, or not finite; names
            the weight. Or the configuration cannot be used.
        SetupError: Neither in the cache nor within reach.
    """
    folder = resolve(name)
    if task_kind(kind).reads_apart:
        check_pooling(name, folder)
    stated = read_config(folder)
    plain = {key: value for key, value in stated.items() if key not in KEYS}
    _check_tokens(name, plain)
    family = family_of(plain)
    config, empty = _empty(name, plain, family, kind, num_labels)
    ties, shapes = declared_ties(empty), empty.state_dict()
    useless = tuple(getattr(empty, "_keys_to_ignore_on_load_unexpected", None) or ())
    files, notes = _files(name, folder, stated, empty)
    stored = named(files.tensors, shapes, ties, family, useless)
    check_unused(name, stored, shapes, family)
    kept = _fitting(name, stored, shapes, frozenset(ties), family, kind)
    _check_finite(name, kept, files)
    classes = None
    if task_kind(kind).has_class_names and labels and _has_head(kept, family):
        classes = compared(name, plain, tuple(labels))
        kept = reordered(kept, classes.order, family.classifier)
    config = with_task(config, kind, num_labels, labels)
    if family.is_decoder and task_kind(kind).labels_of == "row" and pad is not None:
        config.pad_token_id = pad
    plain_config = json.loads(config.to_json_string(use_diff=False))
    state = weights.from_tensors(kept, plain_config, files.part)
    noted: tuple[str, ...] = (classes.note,) if classes is not None and classes.note else ()
    if classes is not None and plain.get("problem_type") == "multi_label_classification":
        noted += (f"the outputs of '{name}' are each a yes or no (multi_label_classification); "
                  "they were taken as scores of classes that exclude each other",)  # fmt: skip
    return Checkpoint(
        state=state,
        classes=classes,
        fresh=tuple(n for n in shapes if n not in kept and n not in ties),
        ignored=stored.ignored,
        notes=_notes(name, stored, kept, num_labels) + noted + notes + other_format(name, folder),
    )


def _files(
    name: str, folder: Path, stated: Mapping[str, Any], empty: Any
) -> tuple[FileTensors, tuple[str, ...]]:
    """The tensors of a model, dequantised where they are not plain, and what there is to say."""
    head_class: Any = type(empty)
    if quantization_of(stated) is not None:
        files, note = read_quantized(name, folder, stated, head_class)
        return files, (note,)
    own_code = (
        f"'{name}' brings code of its own (auto_map in its config.json), which is not run: it is "
        f"read as the {stated['model_type']} of Transformers",
    )
    notes = own_code if stated.get("auto_map") else ()
    files = read_tensors(folder)
    is_whole = empty.state_dict().keys() - declared_ties(empty).keys() <= files.tensors.keys()
    if not is_whole and is_converted(empty):
        # Its published files have other tensors than the model, e.g. one for every expert.
        files = _converted(versions(folder), folder, head_class, empty.config.to_json_string())
    return files, notes


@functools.lru_cache(maxsize=2)
def _converted(
    files: tuple[FileVersion, ...], folder: Path, head_class: Any, config: str
) -> FileTensors:
    """The tensors as the library converts them, read once in this process."""
    made = head_class.config_class.from_dict(json.loads(config))
    return in_own_file(read_converted(folder, head_class, made))


def _check_tokens(name: str, plain: Mapping[str, Any]) -> None:
    """Refuse special tokens that are none."""
    rows = plain.get("vocab_size")
    for key in ("pad_token_id", "decoder_start_token_id"):
        token = plain.get(key)
        if isinstance(token, int) and isinstance(rows, int) and token >= rows:
            raise DataError(
                f"'{name}': {key} of its config.json is {token}, but its word embedding has "
                f"{rows:,} rows",
                hint=f"set {key} to a token that the model has, or resize_token_embeddings",
            )


def _empty(
    name: str, plain: Mapping[str, Any], family: ModelFamily, kind: str, num_labels: int
) -> tuple[Any, Any]:
    """The configuration, and a model without memory that has its weights' names and shapes."""
    from huggingface_hub.errors import StrictDataclassError

    head = family.head_class(kind)
    try:
        config = with_task(family.config_class().from_dict(dict(plain)), kind, num_labels)
        if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
            # A T5 begins with the token that pads.
            config.decoder_start_token_id = config.pad_token_id
        with torch.device("meta"):
            return config, fit_widths(head(config))
    except (
        StrictDataclassError, ValueError, TypeError, KeyError, AssertionError, AttributeError,
        ZeroDivisionError, RuntimeError,
    ) as exc:  # fmt: skip
        raise no_configuration(name, exc) from exc


def _fitting(
    name: str,
    stored: NamedTensors,
    shapes: Mapping[str, Tensor],
    ties: frozenset[str],
    family: ModelFamily,
    kind: str,
) -> dict[str, Tensor]:
    """The weights, those of the head only where all of it fits."""
    needs_head = task_kind(kind).generates  # it writes with the head that it was trained with
    kept: dict[str, Tensor] = {}
    missing = []
    for tensor_name, expected in shapes.items():
        tensor = stored.tensors.get(tensor_name)
        if tensor is None:
            if tensor_name not in ties and (needs_head or not family.may_lack(tensor_name)):
                missing.append(tensor_name)
        elif tensor.dtype not in FLOATS:
            kind_of_number = str(tensor.dtype).removeprefix("torch.")
            raise quantised_error(name, f"'{tensor_name}' holds {kind_of_number}")
        elif tensor.shape == expected.shape:
            kept[tensor_name] = tensor
        elif needs_head or not family.is_head(tensor_name):
            raise DataError(
                f"the checkpoint '{name}': weight '{tensor_name}' has shape {list(tensor.shape)}, "
                f"config.json says {list(expected.shape)}",
                hint="does config.json belong to these weights?",
            )
    if missing:
        raise _lacks(name, missing, stored, family)
    heads = [n for n in shapes if family.is_head(n) and n not in ties]
    if not all(n in kept for n in heads):
        kept = {n: tensor for n, tensor in kept.items() if not family.is_head(n)}
    return kept


def _lacks(
    name: str, missing: Sequence[str], stored: NamedTensors, family: ModelFamily
) -> DataError:
    more = f" and {len(missing) - 1:,} others" if len(missing) > 1 else ""
    there = [*stored.unused, *stored.tensors, *stored.ignored]
    hint = f"is it a {family.name} model with the sizes of its config.json?"
    if family.is_head(missing[0]):
        hint = (
            "a model that generates text needs its output matrix; if it is the word embedding, set "
            "tie_word_embeddings to true in config.json"
        )
    if len(stored.tensors) < len(missing) and there:
        hint += f" its weights have names such as {listed(there, 2)}"
    return DataError(f"the checkpoint '{name}' lacks the weight '{missing[0]}'{more}", hint=hint)


def _has_head(kept: Mapping[str, Tensor], family: ModelFamily) -> bool:
    return any(family.is_head(n) for n in kept)


def _notes(
    name: str, stored: NamedTensors, kept: Mapping[str, Tensor], num_labels: int
) -> tuple[str, ...]:
    notes = []
    if left := [n for n in stored.tensors if n not in kept]:
        notes.append(
            f"'{name}': its head is not one for {num_labels} outputs, or not whole, and is "
            f"new; left out: {listed(left)}"
        )
    if stored.prefix:
        notes.append(f"'{name}': the names of its weights begin with '{stored.prefix}', taken off")
    if stored.unused:
        notes.append(
            f"'{name}': {len(stored.unused):,} tensors of its files are not part of the model "
            f"and are not used: {listed(stored.unused)}"
        )
    return tuple(notes)


def _check_finite(name: str, tensors: Mapping[str, Tensor], files: FileTensors) -> None:
    for tensor_name, tensor in tensors.items():
        part = files.part(tensor)
        bad = int((~torch.isfinite(tensor)).sum()) if part is None else scan(part).not_finite
        if bad:
            raise DataError(
                f"the checkpoint '{name}': weight '{tensor_name}' holds {bad:,} values that are "
                "NaN or infinite",
                hint="its training diverged, or the file is damaged; use another checkpoint",
            )
