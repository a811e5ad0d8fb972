"""A model as plain data: configuration and NumPy arrays; taken, given back, saved and read.

`ModelState` pickles without PyTorch's own format: arrays in memory travel through an object store
that gives out read-only arrays, those in files as their place. They keep their type of number;
`restore` copies them into weights of the model's own, unless they are to be shared.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raykd.data.base import Array
from raykd.data.task_kinds import task_kind
from raykd.errors import DataError, SetupError
from raykd.models.families.base import family_of
from raykd.models.file_arrays import FileArrays, FilePart, renamed_arrays, where
from raykd.models.files import ALIGNED, write_aligned
from raykd.models.generation_config import (
    CONFIG_FILE,
    GENERATION_FILE,
    generation_config,
    write_json,
)
from raykd.models.output_layer import output_parts
from raykd.models.pooling_files import write_pooling
from raykd.models.sharding import collected
from raykd.models.structured_pruning import fit_widths
from raykd.models.task_head import kind_of
from raykd.models.transformers_private import without_weights
from raykd.models.weight_files import ADAPTER_FILES, FileTensors, read_file
from raykd.models.weight_init import cast_named, draw_weights
from raykd.models.weight_names import check_fit
from raykd.models.weight_ties import declared_ties, tied_names

WEIGHTS_FILE = "model.safetensors"
ADAPTER_WEIGHTS, ADAPTER_CONFIG = ADAPTER_FILES[0], "adapter_config.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelState:
    """Weights and configuration of one model.

    Attributes:
        family: Name of its family.
        config: Its configuration as plain data, as in ``config.json``.
        tensors: Weights by name. Weights of a head may be absent: a fresh one is drawn.
        bf16: Names of the tensors in bf16, which are kept as int16 (NumPy has no bf16).
        adapter: The configuration of an adapter (PEFT) whose weights these are, those of its base
            being elsewhere; None for a whole model.
    """

    family: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Array]
    bf16: tuple[str, ...] = field(default=())
    adapter: Mapping[str, Any] | None = None


def capture(model: Any) -> ModelState:
    """A copy of a model's weights and configuration.

    Args:
        model: A ``PreTrainedModel`` of a known family, on any device. Of one that is sharded, all
            ranks ask for it together, and the first gets it.
    """
    tied = tied_names(model)
    named = ((name, tensor) for name, tensor in model.state_dict().items() if name not in tied)
    own = dict(collected(named))
    return from_tensors(own, json.loads(model.config.to_json_string(use_diff=False)))


def from_tensors(
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    part: Callable[[Tensor], FilePart | None] = lambda tensor: None,
) -> ModelState:
    """A state from tensors; the configuration says what type they are of.

    Args:
        tensors: By name. They are copied, but for those that are in a file.
        config: Of the model.
        part: Says where a tensor is stored.
    """
    bf16 = tuple(name for name, tensor in tensors.items() if tensor.dtype == torch.bfloat16)
    arrays = {name: part(tensor) or _array(tensor) for name, tensor in tensors.items()}
    return ModelState(
        family=family_of(config).name,
        config=_typed(config, tensors.values()),
        tensors=FileArrays(arrays),
        bf16=bf16,
    )


def _typed(config: Mapping[str, Any], tensors: Iterable[Tensor]) -> dict[str, Any]:
    """The configuration with the type of the weights, which decides how a library opens them."""
    kinds = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    known = {key: value for key, value in config.items() if key != "torch_dtype"}
    if not kinds:
        return known
    widest = functools.reduce(torch.promote_types, sorted(kinds, key=str))
    return known | {"dtype": str(widest).removeprefix("torch.")}


def restore(
    state: ModelState,
    *,
    seed: int = 0,
    shared: bool = False,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """A new model with these weights, on the CPU, in training mode.

    Args:
        state: Its weights, which are copied.
        seed: Draws the weights that the state lacks. The global generator is left as it was.
        shared: Use the arrays themselves instead of copies, for a model that is only read; those
            of another type are copied all the same, and those that are not aligned like memory of
            their own, as sums would be rounded in another way.
        dtype: Type of all weights that are no integers; None keeps those of the state.

    Raises:
        DataError: The weights do not fit the configuration; names the first that does not.
    """
    family = family_of(state.config)
    model = _unfilled(state)
    bf16 = frozenset(state.bf16)
    given = {
        name: _weight(array, dtype, bf16=name in bf16, shared=shared)
        for name, array in state.tensors.items()
    }
    ties = declared_ties(model)
    apart = ties.keys() & given.keys()
    expected = {n: t for n, t in model.state_dict().items() if n not in ties or n in apart}
    check_fit(expected, given, family)
    for name in apart:  # as the library does where a file has both
        model.all_tied_weights_keys.pop(name)
    model.load_state_dict(given, strict=False, assign=True)
    drawn = [name for name in expected if name not in given]
    draw_weights(model, drawn, seed)
    cast_named(model, drawn, dtype)
    if ties:
        model.tie_weights(recompute_mapping=False)
    fitted: nn.Module = model.train()
    return fitted


def _unfilled(state: ModelState) -> Any:
    """The model of a state before its weights are put into it."""
    family = family_of(state.config)
    config = family.config_class().from_dict(dict(state.config))
    model = without_weights(family.head_class(kind_of(state.config)), config)
    family.adapt(model)
    return fit_widths(model)


def without_memory(state: ModelState) -> nn.Module:
    """The model of a state on the meta device."""
    with torch.device("meta"):
        model: nn.Module = _unfilled(state)
    return model


def parameter_count(state: ModelState) -> int:
    """How many weights a model has, those of a head included that is still to be drawn."""
    model = without_memory(state)
    twice = declared_ties(model).keys() - state.tensors.keys()
    return sum(p.numel() for name, p in model.named_parameters() if name not in twice)


def is_whole(state: ModelState) -> bool:
    """Whether it has every weight of its model, so that none is drawn."""
    with torch.device("meta"):
        model = _unfilled(state)
    ties = declared_ties(model)
    return all(name in state.tensors for name in model.state_dict() if name not in ties)


def save(state: ModelState, folder: Path) -> None:
    """Write a model folder; ``from_pretrained`` opens it, too, unless heads or neurons are gone.

    An adapter is written as PEFT does, with the configuration of the whole model next to it.

    Raises:
        SetupError: The folder cannot be written.
    """
    kind = kind_of(state.config)
    head = family_of(state.config).head_class(kind)
    config = dict(state.config) | {"architectures": [head.__name__]}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        weights_file = WEIGHTS_FILE if state.adapter is None else ADAPTER_WEIGHTS
        write_aligned(folder / weights_file, state.tensors, frozenset(state.bf16))
        if state.adapter is not None:
            write_json(folder / ADAPTER_CONFIG, state.adapter)
        write_json(folder / CONFIG_FILE, config)
        if task_kind(kind).generates:
            write_json(folder / GENERATION_FILE, generation_config(config))
        if task_kind(kind).reads_apart:
            made = family_of(state.config).config_class().from_dict(config)
            write_pooling(folder, made.hidden_size)
    except OSError as exc:
        raise SetupError(
            f"cannot write the model to {folder}: {exc}",
            hint="free some space, or choose another folder",
        ) from exc


def move_to(state: ModelState, folder: Path) -> ModelState:
    """Write a model folder; returns the same state with its weights in that file.

    Raises:
        SetupError: The folder cannot be written.
    """
    save(state, folder)
    return in_folder(state, folder, tuple(state.tensors))


def in_folder(state: ModelState, folder: Path, order: Sequence[str]) -> ModelState:
    """A state with the weights of a folder that `save` wrote.

    Args:
        state: All but the weights.
        folder: The folder.
        order: Names of the weights as they follow each other in the state; files sort them.

    Raises:
        DataError: It holds no such model.
        KeyError: It lacks a weight.
    """
    return replace(
        state, tensors=renamed_arrays(load(folder).tensors, {name: name for name in order})
    )


def load(folder: Path) -> ModelState:
    """Read a folder that `save` wrote.

    Raises:
        DataError: It holds no such model.
    """
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        files = FileTensors(read_file(folder / WEIGHTS_FILE))
        return from_tensors(files.tensors, config, files.part)
    except (OSError, ValueError, KeyError, DataError) as exc:
        raise DataError(f"{folder} is not a saved model: {exc}") from exc


def _array(tensor: Tensor) -> Array:
    # A copy, also of a tensor on the CPU: training continues in the original.
    own = tensor.detach().cpu().contiguous().clone()
    array: Array = (own.view(torch.int16) if own.dtype == torch.bfloat16 else own).numpy()
    return array


def output_layer(state: ModelState) -> ModelState:
    """The output layer of a model that writes: its ``weight`` and, where it has one, its ``bias``.

    A matrix that is the word embedding is found there.
    """
    with torch.device("meta"):
        model = _unfilled(state)
    parts = output_parts(model)
    matrix = f"{parts.matrix}.weight"
    if matrix not in state.tensors:
        matrix = declared_ties(model)[matrix]
    layer: dict[str, FilePart | Array] = {"weight": where(state.tensors, matrix)}
    names = (f"{parts.matrix}.bias", parts.bias)
    biases = [read_tensor(state, name, torch.float32) for name in names]
    added = [bias.flatten() for bias in biases if bias is not None]
    if added:
        layer["bias"] = _array(torch.stack(added).sum(dim=0))
    return ModelState(
        family=state.family,
        config=state.config,
        tensors=FileArrays(layer),
        bf16=("weight",) if matrix in state.bf16 else (),
    )


def read_tensor(state: ModelState, name: str, dtype: torch.dtype) -> Tensor | None:
    """One tensor of a state, shared where it is of that type; None if it has none of that name."""
    if name not in state.tensors:
        return None
    return _weight(state.tensors[name], dtype, bf16=name in state.bf16, shared=True)


def _tensor(array: Array, is_bf16: bool) -> Tensor:
    """The array as a tensor, with the same memory."""
    own = torch.from_numpy(array)
    return own.view(torch.bfloat16) if is_bf16 else own


def _weight(array: Array, dtype: torch.dtype | None, *, bf16: bool, shared: bool) -> Tensor:
    """A weight of a model's own, or the array itself where it may be shared and can be used."""
    if not shared or array.ctypes.data % ALIGNED:
        own: Array = torch.empty(array.nbytes, dtype=torch.uint8).numpy()
        own = own.view(array.dtype).reshape(array.shape)
        own[...] = array
        array = own
    tensor = _tensor(array, bf16)
    casts = dtype is not None and tensor.is_floating_point()
    return tensor.to(dtype) if casts else tensor


def cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The model with weights of a type, in place; numbers that are computed keep theirs."""
    cast_named(model, [name for name, _ in model.named_parameters()], dtype)
    return model
