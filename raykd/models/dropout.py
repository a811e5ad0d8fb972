"""The dropout of a model: its probability, and a form of it that costs half on a processor.

There what is kept is drawn sixteen bits at a time.

PyTorch draws a number of 32 bits for every element, and its attention forms more arrays than it has
to when there is dropout; together that is a third of a step of a student on long rows. Here four
elements share a number of 64 bits. The probability is met to 1/65536, and draws come from the same
generator, so that a seed decides them; they are other draws than PyTorch's.

It pays where training on a processor is worth while. Time of a training step with PyTorch's
dropout, divided by that with this one (BERT of 4x312, 32 rows, one thread of an AMD EPYC with
avx512_bf16, torch 2.13.0+cpu, medians of seven pairs by `tests.benchmarks.dropout`):

========= ========= ========= ==========
precision length 16 length 64 length 128
========= ========= ========= ==========
bf16           1.17      1.32       1.52
fp32           1.06      1.08       1.14
========= ========= ========= ==========

Axes: B batch, H head, L position, K position that is attended to, E width of a head.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from raykd.errors import SpecError
from raykd.models.padding import register
from raykd.models.transformers_private import attention_of

ATTENTION = "cheap_dropout"
"""What the library knows this attention by."""
_LEVELS = 1 << 16


def kept(shape: torch.Size, probability: float, dtype: torch.dtype) -> Tensor:
    """Which elements stay: 1, those that go: 0, on the CPU.

    Args:
        shape: Of the result.
        probability: Of an element to go, in [0, 1].
        dtype: Of the result.
    """
    count = math.prod(shape)
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    least = min(round(probability * _LEVELS), _LEVELS - 1) - _LEVELS // 2
    # In place and without bool: PyTorch multiplies and fills by bool ten times as slowly.
    return words.view(torch.int16)[:count].ge_(least).to(dtype).view(shape)


class CheapDropout(nn.Dropout):
    """`torch.nn.Dropout` for tensors on the CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Elements that stay, divided by the probability to stay; all of them in evaluation."""
        if not self.training or not 0 < self.p < 1 or input.device.type != "cpu":
            return super().forward(input)
        return input * kept(input.shape, self.p, input.dtype).mul_(1 / (1 - self.p))


def set_dropout(model: nn.Module, probability: float) -> None:
    """Give every dropout of a model this probability, in place.

    Most are modules; the attention of some families (Llama, Qwen2, T5) has a number instead.

    Raises:
        SpecError: The model has none.
    """
    count = 0
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
            count += 1
            continue
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, int | float):
                setattr(module, name, probability)
                count += 1
    if not count:
        raise SpecError(
            f"dropout is {probability:g}, but a {type(model).__name__} has no dropout",
            hint="leave dropout out",
        )


def with_cheap_dropout(model: Any, *, attention: bool = True) -> None:
    """Put it into a model, in place: every dropout, and the attention where it can be replaced.

    Args:
        model: A ``PreTrainedModel`` that is trained on the CPU.
        attention: Whether attention is replaced, too.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Dropout:
                setattr(parent, name, CheapDropout(child.p).train(child.training))
    if attention and attention_of(getattr(model, "config", None)) == "sdpa":
        _register()
        model.set_attn_implementation(ATTENTION)


def _register() -> None:
    from transformers.masking_utils import sdpa_mask
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)
    register(ATTENTION, sdpa_mask)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """The library's attention; with dropout and a plain mask on the CPU, a cheaper form of it.

    Args:
        module: The attention block.
        query: ``[B, H, L, E]``.
        key: ``[B, H, K, E]``.
        value: ``[B, H, K, E]``.
        attention_mask: True = attended to, or None.
        dropout: Of the probabilities.
        scaling: Of the scores, ``E ** -0.5`` when None.
        more: Anything else that the library passes on.

    Returns:
        ``[B, L, H, E]``, and no probabilities.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    plain = attention_mask is None or attention_mask.dtype == torch.bool
    causal = getattr(module, "is_causal", False) and attention_mask is None
    alike = key.shape[1] == query.shape[1]
    biased = more.get("position_bias") is not None
    if (
        not 0 < dropout < 1
        or query.device.type != "cpu"
        or not plain
        or causal
        or biased
        or not alike
    ):
        attended: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
        return attended
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if torch.is_autocast_enabled("cpu"):  # as the library's attention; rotated ones are float32
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    run: Any = _Attention.apply
    out: Tensor = run(query, key, value, attention_mask, dropout, scale)
    return out.transpose(1, 2).contiguous(), None


class _Attention(torch.autograd.Function):
    """Products, softmax and dropout, with every factor put on the small arrays."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        dropout: float,
        scale: float,
    ) -> Tensor:
        scaled, grown = query * scale, value / (1 - dropout)
        scores = torch.matmul(scaled, key.transpose(-1, -2))
        if mask is not None:
            bias = torch.zeros(mask.shape, dtype=scores.dtype)
            scores += bias.masked_fill_(~mask, torch.finfo(scores.dtype).min)
        probabilities = torch.softmax(scores, dim=-1)
        stays = kept(probabilities.shape, dropout, probabilities.dtype)
        ctx.save_for_backward(scaled, key, grown, probabilities, stays)
        ctx.dropout, ctx.scale = dropout, scale
        return torch.matmul(probabilities * stays, grown)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scaled, key, grown, probabilities, stays = ctx.saved_tensors
        d_value = torch.matmul((probabilities * stays).transpose(-1, -2), gradient)
        d_own = torch.matmul(gradient, grown.transpose(-1, -2)).mul_(stays)
        d_scores = torch._softmax_backward_data(d_own, probabilities, -1, d_own.dtype)
        d_query = torch.matmul(d_scores, key).mul_(ctx.scale)
        d_key = torch.matmul(d_scores.transpose(-1, -2), scaled)
        return d_query, d_key, d_value.div_(1 - ctx.dropout), None, None, None
