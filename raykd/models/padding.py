"""Attention masks for a batch of which the host knows whether it is padded.

Transformers asks the mask itself, in every forward pass: without padding, attention needs no mask
and runs on faster kernels. On a GPU the question makes the host wait for everything that runs
there. Here the answer is given beforehand, and the masks are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor

_IS_PADDED: ContextVar[bool | None] = ContextVar("is_padded", default=None)

MaskFunction = Callable[..., Tensor | None]
"""Makes the mask of an implementation of attention; see Transformers' `AttentionMaskInterface`."""


@contextmanager
def padding_known(is_padded: bool) -> Iterator[None]:
    """Let models that are run in this context know whether their inputs are padded.

    Only masks that are given to a model are concerned, and all of them are those of one batch.
    """
    _answer()
    before = _IS_PADDED.set(is_padded)
    try:
        yield
    finally:
        _IS_PADDED.reset(before)


def knowing(masks: MaskFunction) -> MaskFunction:
    """A function that makes the same masks and does not ask where the answer is known."""

    @functools.wraps(masks)
    def made(*args: Any, attention_mask: Tensor | None = None, **given: Any) -> Tensor | None:
        is_padded = _IS_PADDED.get()
        if attention_mask is not None and is_padded is not None:
            if is_padded:
                given |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
            else:
                attention_mask = None
        return masks(*args, attention_mask=attention_mask, **given)

    return made


@functools.cache
def _answer() -> None:
    from transformers.masking_utils import AttentionMaskInterface, eager_mask, sdpa_mask

    AttentionMaskInterface.register("sdpa", knowing(sdpa_mask))
    AttentionMaskInterface.register("eager", knowing(eager_mask))
