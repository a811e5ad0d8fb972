"""Checks of a small model: each gives the reason why something is not right, or nothing.

What is checked is what raykd itself does with a model, held against the library's plain call.

Axes: B row, L position.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.data.base import NO_LABEL, Batch
from raykd.data.task_kinds import task_kind
from raykd.errors import RaykdError
from raykd.models.families.base import family_of
from raykd.models.forward import can_pack, forward, shifted
from raykd.models.generation import GenerationSettings, generate
from raykd.models.inference import no_gradient
from raykd.models.layer_selection import refusal, select_layers
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.task_head import kind_of
from raykd.models.weights import capture, restore

LENGTHS = (12, 7, 2)
_FIRST = 16
"""Token ids below it are special in small copies."""


def near(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors are one up to rounding."""
    return one.shape == two.shape and bool((one - two).abs().max() <= 1e-4 * two.abs().max())


def sample(model: Any, longest: int = LENGTHS[0]) -> Batch:
    """Rows of a kind of task as long as `LENGTHS`, padded, with labels where the kind has them.

    Args:
        model: Reads them.
        longest: Length of the batch; more of it is padding.
    """
    config, kind = model.config, task_kind(kind_of(vars(model.config)))
    random = torch.Generator().manual_seed(1)
    ids = torch.randint(_FIRST, config.vocab_size, (len(LENGTHS), LENGTHS[0]), generator=random)
    ids = F.pad(ids, (0, longest - LENGTHS[0]))
    mask = (torch.arange(longest) < torch.tensor(LENGTHS)[:, None]).long()
    labels = torch.zeros(len(LENGTHS), dtype=torch.long)
    if kind.labels_of == "token":
        labels = ids.roll(-1, dims=1).masked_fill(mask == 0, NO_LABEL)
    pad = config.pad_token_id or 0
    return Batch(
        input_ids=ids.masked_fill(mask == 0, pad), attention_mask=mask,
        token_type_ids=(torch.arange(longest) > 3).long() * mask, labels=labels,
        index=torch.arange(len(LENGTHS)),
    )  # fmt: skip


def lone_row(batch: Batch, row: int) -> Batch:
    """A row of `sample` alone, without padding."""
    length, alone = LENGTHS[row], slice(row, row + 1)
    labels = batch.labels[alone]
    return replace(
        batch, input_ids=batch.input_ids[alone, :length], index=batch.index[alone],
        attention_mask=batch.attention_mask[alone, :length],
        token_type_ids=batch.token_type_ids[alone, :length],
        labels=labels[:, :length] if labels.dim() > 1 else labels,
    )  # fmt: skip


def plain_logits(model: Any, batch: Batch) -> Tensor:
    """What the library's own call gives for all positions, or for rows."""
    kind = task_kind(kind_of(vars(model.config)))
    read = kind.as_read(batch, model.config.pad_token_id or 0)
    output = _plain(model, read)
    if kind.labels_of == "token":
        logits: Tensor = output.logits
        return logits
    return kind.logits(kind.by_row(output, read), batch)


def _plain(model: Any, batch: Batch, **more: Any) -> Any:
    """The library's own call."""
    kind = task_kind(kind_of(vars(model.config)))
    inputs: dict[str, Any] = {
        "input_ids": batch.input_ids, "attention_mask": batch.attention_mask, **more,
    }  # fmt: skip
    if family_of(model.config).takes_token_types(model.config):
        inputs["token_type_ids"] = batch.token_type_ids
    if kind.generates and not kind.is_joined:
        inputs["decoder_input_ids"] = shifted(batch.labels, model.config)
    return model(**inputs)


def logits(model: Any) -> str:
    """Logits are those of the library."""
    batch = sample(model)
    chunked, whole = forward(model, batch).logits, plain_logits(model, batch)
    if task_kind(kind_of(vars(model.config))).labels_of == "token":
        whole = whole[batch.labels != NO_LABEL]
    if not near(chunked, whole):
        return (
            "its logits are not what its output layer gives for the hidden states that it reads "
            "(they are changed after it, or formed of more than the token's own state)"
        )
    return ""


def length(model: Any) -> str:
    """Rows as long as its positions can be read."""
    count = family_of(model.config).positions(model.config)
    if count is None:
        return ""
    try:
        plain_logits(model, sample(model, count))
    except (IndexError, RuntimeError, ValueError, AssertionError) as exc:
        reason = " ".join(str(exc).split())
        return (
            f"a small copy of it cannot read a row as long as it has positions "
            f"({type(exc).__name__}: {reason[:200]})"
        )
    return ""


def padding(model: Any) -> str:
    """A padded row is the row without padding, also where little of it is not."""
    batch = sample(model)
    by_token = task_kind(kind_of(vars(model.config))).labels_of == "token"
    padded = forward(model, batch).logits
    alone = [forward(model, lone_row(batch, row)).logits for row in range(len(LENGTHS))]
    rows = torch.split(padded, [len(want) if by_token else 1 for want in alone])
    for row, want, length in zip(rows, alone, LENGTHS, strict=True):
        # Begins and ends of spans have a place for every position.
        if not near(row[..., :length] if row.dim() == 3 else row, want):
            return "its logits of a row depend on how far the row is padded"
    return ""


def causality(model: Any) -> str:
    """Tokens do not see those after them."""
    batch = sample(model)
    ids = batch.input_ids.clone()
    ids[0, -1] = _FIRST + (ids[0, -1] - _FIRST + 1) % (model.config.vocab_size - _FIRST)
    one, two = (
        plain_logits(model, replace(batch, input_ids=given)) for given in (batch.input_ids, ids)
    )
    if not near(one[0, :-1], two[0, :-1]):
        return "its tokens see those after them, so it cannot write text"
    return ""


def generation(model: Any) -> str:
    """Text after a prompt is the same alone and next to longer prompts."""
    batch = sample(model)
    rows = zip(batch.input_ids, LENGTHS, strict=True)
    prompts = [ids[:length].numpy() for ids, length in rows]
    how = GenerationSettings(max_new_tokens=5, end=model.config.vocab_size, pad=0)
    together = generate(model, prompts, how)
    for row, prompt in enumerate(prompts):
        if not np.array_equal(generate(model, [prompt], how)[0], together[row]):
            return "what it writes after a prompt depends on the prompts next to it"
    return ""


def weights(model: Any) -> str:
    """A model that is rebuilt from its weights is the same, to the bit."""
    batch = sample(model)
    again = restore(capture(model))
    with no_gradient(again):
        same = torch.equal(plain_logits(again, batch), plain_logits(model, batch))
    return "" if same else "it is another model when it is built again from its weights"


def states(model: Any) -> str:
    """There is a hidden state before every block and after the last one, as wide as stated."""
    if model.config.is_encoder_decoder:
        return "an encoder and a decoder have two kinds of them"
    batch, count = sample(model), model.config.num_hidden_layers
    with _inputs_of_blocks(model) as read:
        given = _plain(model, batch, output_hidden_states=True).hidden_states
    if given is None or len(given) != count + 1:
        return f"{count} blocks give {0 if given is None else len(given)} of them"
    shape = (*batch.input_ids.shape, model.config.hidden_size)
    if wrong := next((s.shape for s in given if s.shape != shape), None):
        return f"they are {list(wrong)} where rows and width say {list(shape)}"
    if any(not torch.equal(a, b) for a, b in zip(read, given, strict=False)):
        return "they are not what the blocks read"
    out = forward(model, batch, output_spec=hidden_states(range(count + 1)))
    same = torch.equal(out.hidden(count)[0], given[count][0])
    return "" if same else "they differ between two passes"


@contextmanager
def _inputs_of_blocks(model: Any) -> Iterator[list[Tensor]]:
    """What every block reads, in order; nothing where there is no list of blocks."""
    inputs: list[Tensor] = []

    def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])

    with ExitStack() as hooks:
        for block in _blocks(model):
            hook = block.register_forward_pre_hook(keep, with_kwargs=True)
            hooks.callback(hook.remove)
        yield inputs


def _blocks(model: Any) -> list[Any]:
    prefix = family_of(model.config).layer_prefix
    return list(model.get_submodule(prefix.removesuffix("."))) if prefix else []


def context(model: Any) -> str:
    """What padding holds depends on its row, and not on how far other rows are padded."""
    if states(model):
        return ""
    count = model.config.num_hidden_layers
    one, two = (
        forward(model, sample(model, longest), output_spec=hidden_states((count,)))
        for longest in (LENGTHS[0], LENGTHS[0] + 6)
    )
    own, other = one.hidden(count)[1], two.hidden(count)[1, : LENGTHS[0]]
    if not near(own, other):
        return "what its padding holds depends on how far rows are padded"
    return ""


def maps(model: Any) -> str:
    """Every block gives a map for every head, and giving them changes nothing else."""
    if model.config.is_encoder_decoder:
        return "an encoder and a decoder have several kinds of them"
    batch, count = sample(model), model.config.num_hidden_layers
    heads = getattr(model.config, "num_attention_heads", 0)
    try:
        other = copy.deepcopy(model)
        want = forward(model, batch).logits
        out = forward(other, batch, output_spec=attention_maps(range(count)))
        attention = [out.attention(block) for block in range(count)]
    except (ValueError, TypeError, IndexError, AttributeError, RuntimeError, KeyError) as exc:
        return f"asking for them fails ({type(exc).__name__})"
    length = batch.input_ids.shape[1]
    for block, values in enumerate(attention):
        if values is None or values.shape != (len(LENGTHS), heads, length, length):
            got = "none" if values is None else f"{list(values.shape)}"
            return f"block {block} gives {got} where {heads} heads give [B, {heads}, L, L]"
        if not torch.allclose(values.sum(-1)[0], torch.ones(heads, length), atol=1e-4):
            return "they do not add up to 1"
    if not near(out.logits, want):
        return "with the attention that gives them, its logits are others"
    return ""


def packing(model: Any) -> str:
    """Texts that share a row are what they are in rows of their own."""
    if not can_pack(model):
        return "it cannot be given the positions of tokens, or an attention mask"
    batch = sample(model)  # the two short rows fit into one
    together, want = (forward(model, batch, packing=packed).logits for packed in (True, False))
    return "" if near(together, want) else "texts that share a row see each other"


def layers(model: Any) -> str:
    """A student of some blocks is the model that passes over the others."""
    state = capture(model)
    count = model.config.num_hidden_layers
    batch = sample(model)
    selections = [tuple(range(first, count, 2)) for first in range(min(2, count))]
    reasons = [refusal(family_of(model.config), state.config, kept) for kept in selections]
    if all(reasons):
        return reasons[0]
    for kept in (kept for kept, why in zip(selections, reasons, strict=True) if not why):
        try:
            student = restore(select_layers(state, kept, keep_head=True))
            with no_gradient(student):
                passed_over = plain_logits(student, batch)
            with _passed_over(model, {*range(count)} - {*kept}) as passed:
                want = plain_logits(model, batch)
        except (RaykdError, ValueError, TypeError, IndexError, AttributeError, RuntimeError) as exc:
            return f"a model of some of its blocks fails ({type(exc).__name__}: {exc})"
        if len(passed) < count - len(kept):
            return "its blocks run in a way that cannot be checked"
        if not near(passed_over, want):
            return "its blocks compute something that depends on their number"
    return ""


@contextmanager
def _passed_over(model: Any, numbers: set[int]) -> Iterator[list[Any]]:
    """Let some blocks give what they read; yields those that did."""
    modules: list[Any] = []

    def passed(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        modules.append(module)
        read = args[0] if args else kwargs["hidden_states"]
        if isinstance(output, Mapping):
            return {**output, next(iter(output)): read}
        return (read, *output[1:]) if isinstance(output, tuple) else read

    with ExitStack() as hooks:
        for number, block in enumerate(_blocks(model)):
            if number in numbers:
                hooks.callback(block.register_forward_hook(passed, with_kwargs=True).remove)
        yield modules
