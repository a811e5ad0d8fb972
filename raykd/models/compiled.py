"""Compiles the blocks of a model for the passes that it learns from.

A block is compiled for its class and not for the model: all blocks of a model run the same code,
and so do the models that a process trains one after the other. Lengths and numbers of rows are
left open. Passes without gradient (evaluation, generation) run as they are written. Where blocks
are computed again in the backward pass, what is computed again is compiled, too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from raykd.errors import SpecError, TrialError
from raykd.models.families.base import family_of

MOST_FORMS = 64
"""Of a block that are compiled, before further ones run as they are written: one for every width,
dropout and kind of mask that trials of a process have."""
_COMPILERS = ("torch._dynamo", "torch._inductor")


def compile_blocks(model: Any) -> None:
    """Let the blocks of a model run as compiled code where there is a gradient, in place.

    Args:
        model: A ``PreTrainedModel``.

    Raises:
        SpecError: Its blocks are in no one list.
    """
    prefix = family_of(model.config).layer_prefix
    if not prefix:
        raise SpecError(
            f"train.compile is true, but a {type(model).__name__} has no list of blocks",
            hint="set train.compile to false",
        )
    for block in model.get_submodule(prefix.removesuffix(".")):
        run: Callable[..., Any] = _run
        if getattr(block, "gradient_checkpointing", False):
            # The library decides within the forward pass whether it is to be computed again, where
            # nothing could be compiled.
            block.gradient_checkpointing = False
            run = _run_again
        # A copy of the model copies this, too, with its own block.
        block.forward = functools.partial(run, block)


def _run_again(block: Any, *args: Any, **given: Any) -> Any:
    """The same as `_run`, keeping nothing for the backward pass, which computes it again."""
    if not (torch.is_grad_enabled() and block.training):
        return _run(block, *args, **given)
    return checkpoint(_run, block, *args, use_reentrant=False, **given)


def _run(block: Any, *args: Any, **given: Any) -> Any:
    """The forward pass of a block.

    Raises:
        TrialError: It cannot be compiled.
    """
    written = type(block).forward
    if not torch.is_grad_enabled():
        return written(block, *args, **given)
    try:
        return _compiled(written)(block, *args, **given)
    except RuntimeError as exc:
        if not type(exc).__module__.startswith(_COMPILERS):
            raise
        reason = " ".join(str(exc).strip().split("\n\n")[0].split()) or type(exc).__name__
        raise TrialError(
            f"train.compile is true, and a {type(block).__name__} cannot be compiled: {reason}",
            hint="set train.compile to false; on a CPU, PyTorch compiles with g++",
        ) from exc


@functools.cache
def _compiled(written: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form of the forward pass of a class; one in a process."""
    compiled: Any = torch.compile  # its types lack the limit
    runnable: Callable[..., Any] = compiled(written, dynamic=True, recompile_limit=MOST_FORMS)
    return runnable
