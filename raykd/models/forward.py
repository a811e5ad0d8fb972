"""Runs a model on a batch and keeps only what was requested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from raykd.data.base import NO_LABEL, Batch
from raykd.data.kinds.base import TaskKind
from raykd.data.task_kinds import kind_of_problem, task_kind
from raykd.models.architectures.classes import takes
from raykd.models.base import Outputs, Subnet
from raykd.models.families.base import family_of
from raykd.models.output_layer import head_inputs, lazy_logits
from raykd.models.packing import Packed, pack
from raykd.models.padding import makes_masks, padding_known
from raykd.models.signals.base import Signal
from raykd.models.subnet import run_subnet
from raykd.models.task_head import TASK_KIND
from raykd.models.transformers_private import attention_of

SILENT = {"output_hidden_states": False, "output_attentions": False}
"""What a forward pass leaves out unless a signal asks for it, whatever a configuration says."""


def forward(
    model: Any,  # a PreTrainedModel of a known family
    batch: Batch,
    *,
    output_spec: Iterable[Signal] = (),
    subnet: Subnet | None = None,
    packing: bool = False,
) -> Outputs:
    """Logits, and what else is requested.

    Args:
        model: The model, on the device of `batch`.
        batch: Token ids and mask.
        output_spec: What is read besides the logits, which are always there. One that needs another
            implementation of attention switches the model to it, for good.
        subnet: The subnet to run, None for the whole.
        packing: Whether rows may share a row for this pass, see `raykd.models.packing`; the model
            is one that can do it. Nothing that belongs to positions is packed.

    Raises:
        IndexError: The model has no such layer.
    """
    wanted = [signal for signal in dict.fromkeys(output_spec) if signal.made_from()]
    for attention in {signal.attention for signal in wanted} - {""}:
        if attention_of(model.config) != attention:
            model.set_attn_implementation(attention)
    family = family_of(model.config)
    kind = _kind(model.config)
    packed = None
    if packing and can_pack(model) and not any(signal.by_position for signal in wanted):
        packed = pack(batch)
    read = kind.as_read(batch, getattr(model.config, "pad_token_id", None) or 0)
    inputs = _inputs(model.config, kind, read, packed)
    if family.takes_token_types(model.config):
        inputs["token_type_ids"] = read.token_type_ids
    for signal in wanted:
        inputs |= signal.model_inputs
    with (
        ExitStack() as watching,
        padding_known(read.is_padded, packed),
        run_subnet(model, subnet) if subnet is not None else nullcontext(),
        _tokens_seen(model, family.pair_mask) if family.pair_mask else nullcontext(),
    ):
        states = watching.enter_context(_head(model, kind, batch))
        watched = {signal: watching.enter_context(signal.watching(model)) for signal in wanted}
        model_output = kind.by_row(model(**inputs), read)
    if subnet is not None:
        # A subnet numbers its own blocks, of which there are fewer.
        wanted = [signal for signal in wanted if signal.exists(model_output)]
    logits, scores = None, None
    if kind.generates:
        labelled = (packed or batch).at_labels(states[-1])
        scores = lazy_logits(model, labelled)
    else:
        logits = kind.logits(model_output, batch)
    return Outputs(
        logits=logits,
        lazy_logits=scores,
        values={signal: signal.read(model_output, watched[signal]) for signal in wanted},
    )


def switch_attention(model: Any, name: str) -> str:
    """Switch a model to an implementation of attention; returns why it does not have it, or empty.

    Args:
        model: A ``PreTrainedModel``; it may be without memory.
        name: Of the attention.
    """
    try:
        model.set_attn_implementation(name)
    except (ValueError, ImportError) as exc:
        return str(exc).splitlines()[0]
    # Some only log that they are left as they are.
    kept = attention_of(model.config)
    return "" if kept == name else f"the library keeps {kept}"


def _kind(config: Any) -> TaskKind:
    """The kind of task that a model has a head for."""
    name: str = getattr(config, TASK_KIND, "")
    return task_kind(name) if name else kind_of_problem(config.problem_type)


def can_pack(model: Any) -> bool:
    """Whether a model can be given where texts begin: as positions, and by its masks."""
    config = model.config
    can_tell = takes(type(model), "position_ids") and makes_masks(attention_of(config))
    return can_tell and not family_of(config).takes_token_types(config)


def _inputs(
    config: Any, kind: TaskKind, batch: Batch, packed: Packed | None = None
) -> dict[str, Any]:
    """What every model of a kind of task is called with."""
    inputs: dict[str, Any] = dict(SILENT)
    if packed is None:
        inputs |= {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    else:
        inputs |= {
            "input_ids": packed.input_ids,
            "attention_mask": torch.ones_like(packed.input_ids),
            "position_ids": packed.positions,
        }
    if kind.generates:
        inputs["use_cache"] = False
        if not kind.is_joined:
            inputs["decoder_input_ids"] = shifted(batch.labels, config)
    return inputs


def shifted(labels: Tensor, config: Any) -> Tensor:
    """What a decoder reads to predict labels: the token before each, padding where there is none.

    Args:
        labels: int64 ``[B, L]``.
        config: Configuration of a model with a decoder of its own.
    """
    first = labels.new_full((len(labels), 1), config.decoder_start_token_id)
    before = torch.cat([first, labels[:, :-1]], dim=1)
    return before.masked_fill(before == NO_LABEL, config.pad_token_id)


@contextmanager
def _tokens_seen(model: Any, part: str) -> Iterator[None]:
    """Let padding look at the tokens of its row, as in other families.

    What it holds then depends on its row, and not on how far other rows of the batch are padded.
    Tokens never look at padding, and stay what they are.
    """
    encoder = model.get_submodule(part)
    encoder.get_attention_mask = lambda mask: mask[:, None, None, :]
    try:
        yield
    finally:
        del encoder.get_attention_mask


@contextmanager
def _head(model: Any, kind: TaskKind, batch: Batch) -> Iterator[list[Tensor]]:
    """How the head runs: what it would read of a model that generates text, else nothing."""
    if kind.generates:
        with head_inputs(model) as states:
            yield states
    elif kind.over_vocabulary:
        with _labelled(model, batch):
            yield []
    else:
        yield []


@contextmanager
def _labelled(model: Any, batch: Batch) -> Iterator[None]:
    """Let the head read the tokens that have a label only: its logits are ``[M, vocabulary]``.

    Logits of all tokens would be the largest tensor.
    """

    def pick(module: nn.Module, inputs: Any, output: Any) -> Any:
        output.last_hidden_state = batch.at_labels(output.last_hidden_state)
        return output

    hook = model.base_model.register_forward_hook(pick)
    try:
        yield
    finally:
        hook.remove()
