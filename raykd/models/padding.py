"""Attention masks for a batch of which the host knows whether it is padded, or packed.

Transformers asks the mask itself, in every forward pass: without padding, attention needs no mask
and runs on faster kernels. On a GPU the question makes the host wait for everything that runs
there. Here the answer is given beforehand, and the masks are the same. Where several texts share a
row, masks end where a text does.

Axes: R packed row, L position.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor

from raykd.models.packing import Packed

_IS_PADDED: ContextVar[bool | None] = ContextVar("is_padded", default=None)
_PACKED: ContextVar[Packed | None] = ContextVar("packed", default=None)
_KNOWING: set[str] = {"sdpa", "eager"}
"""Implementations of attention whose masks are made here."""

_WITH_MASK = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}

MaskFunction = Callable[..., Tensor | None]
"""Makes the mask of an implementation of attention; see Transformers' `AttentionMaskInterface`."""


@contextmanager
def padding_known(is_padded: bool, packed: Packed | None = None) -> Iterator[None]:
    """Let models that are run in this context know whether their inputs are padded.

    Only masks that are given to a model are concerned, and all of them are those of one batch.

    Args:
        is_padded: Whether they are.
        packed: The batch, where it is packed; every position then belongs to a text.
    """
    _answer()
    before = _IS_PADDED.set(is_padded), _PACKED.set(packed)
    try:
        yield
    finally:
        _IS_PADDED.reset(before[0])
        _PACKED.reset(before[1])


def makes_masks(attention: str) -> bool:
    """Whether the masks of an implementation of attention are made here."""
    return attention in _KNOWING


def register(attention: str, masks: MaskFunction) -> None:
    """Make the masks of an implementation of attention here.

    Args:
        attention: What the library knows it by.
        masks: Makes them.
    """
    from transformers.masking_utils import AttentionMaskInterface

    AttentionMaskInterface.register(attention, _knowing(masks))
    _KNOWING.add(attention)


def _knowing(masks: MaskFunction) -> MaskFunction:
    """A function that makes the same masks and does not ask where the answer is known."""

    @functools.wraps(masks)
    def made(*args: Any, attention_mask: Tensor | None = None, **given: Any) -> Tensor | None:
        is_padded = _IS_PADDED.get()
        packed = _PACKED.get()
        if attention_mask is not None and packed is not None:
            attention_mask = None
            given |= _WITH_MASK | {"mask_function": _within_texts(given["mask_function"], packed)}
        elif attention_mask is not None and is_padded is not None:
            if is_padded:
                given |= _WITH_MASK
            else:
                attention_mask = None
        return masks(*args, attention_mask=attention_mask, **given)

    return made


def _within_texts(sees: Callable[..., Any], packed: Packed) -> Callable[..., Any]:
    """What a token sees of its own text, by its positions there.

    Args:
        sees: What it sees of a row; from the numbers of batch row, head, query and key, which are
            broadcast.
        packed: The texts and positions.
    """
    texts, positions = packed.texts, packed.positions

    def seen(row: Any, head: Any, query: Any, key: Any) -> Any:
        own = texts[row, query] == texts[row, key]
        return own & sees(row, head, positions[row, query], positions[row, key])

    return seen


@functools.cache
def _answer() -> None:
    from transformers.masking_utils import eager_mask, sdpa_mask

    register("sdpa", sdpa_mask)
    register("eager", eager_mask)
