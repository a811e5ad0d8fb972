"""Runs a frozen teacher in fewer bits, and measures what that changes of its outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from raykd.data.base import Array
from raykd.errors import TeacherError
from raykd.models.model_factory import ModelFactory
from raykd.models.sharding import is_sharded, shard
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.models.weights import capture, is_whole
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.vocab_cache.hidden import HiddenCache
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.training.device import FROZEN_DTYPES, DistributedContext
from raykd.training.lead import led
from raykd.training.settings import FULL

MEASURED_ROWS = 32
"""Rows of the validation split that the two precisions are compared on."""


def frozen(
    factory: ModelFactory, precision: str, world: DistributedContext, *, sharded: bool = False
) -> nn.Module:
    """A read-only teacher whose weights and products have a precision.

    Args:
        factory: Builds it.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        world: The ranks, and the device of this one.
        sharded: Whether its weights are spread over the ranks, where there are several; all of them
            ask for it together then.
    """
    model = factory.frozen(FROZEN_DTYPES[precision])
    if not sharded or world.size == 1:
        return model.to(world.device)
    shard(model, world.device)
    return model


def _is_cut_next(inputs: TaskInputs, world: DistributedContext) -> bool:
    """Whether fine-tuning is next and spreads the teacher over the ranks and their devices."""
    settings = inputs.finetune if inputs.known.state is None else None
    return world.size > 1 and settings is not None and settings.sharding == FULL


def exact(inputs: TaskInputs, factory: ModelFactory, world: DistributedContext) -> nn.Module:
    """The teacher in float32, as it is fine-tuned, or as it is.

    Args:
        inputs: What is prepared.
        factory: Builds it, on every rank.
        world: The ranks, and the device of this one.

    Raises:
        TeacherError: A teacher that is to be sharded lacks weights.
    """
    if not inputs.sharded or world.size == 1:
        model = factory.build(inputs.finetune_seed)
        return model if _is_cut_next(inputs, world) else model.to(world.device)
    if factory.state is None or not is_whole(factory.state):
        raise TeacherError(
            "teacher.sharding is full, and the checkpoint has no head for this task",
            hint="fine-tune it first: teacher.model, with teacher.finetune.sharding: full",
        )
    return frozen(factory, "fp32", world, sharded=True)


def whole_again(model: nn.Module, inputs: TaskInputs, world: DistributedContext) -> nn.Module:
    """A teacher after fine-tuning; one that was sharded is whole on rank 0, and nothing elsewhere.

    Args:
        model: What `finetune` trained.
        inputs: What is prepared.
        world: This process.
    """
    if not is_sharded(model):
        return model
    state = capture(model)
    if world.rank != 0:
        return nn.Module()
    return replace(inputs.teacher, state=state, random_init=None).build(0).to(world.device)


def serve(
    inputs: TaskInputs, model: nn.Module, factory: ModelFactory, world: DistributedContext
) -> tuple[nn.Module, Mapping[str, float]]:
    """The teacher as it is scored, recorded and run, and how far it is from float32.

    Args:
        inputs: What is prepared.
        model: The teacher in float32, on the device of `world` or sharded.
        factory: Builds it.
        world: The ranks, all of which ask for a teacher that is sharded; the first one gets how far
            it is.
    """
    if inputs.frozen_precision == "fp32":
        return model, {}
    served = frozen(factory, inputs.frozen_precision, world, sharded=inputs.sharded)
    if inputs.known.precision_error:
        return served, inputs.known.precision_error
    errors = led(world, lambda: error_of(inputs, model, served, world.device), model, served)
    return served, errors or {}


def error_of(
    inputs: TaskInputs, exact: nn.Module, served: nn.Module, device: torch.device
) -> Mapping[str, float]:
    """How far the outputs of a teacher are from those in float32, by kind of signal.

    The relative error is the root mean square of the difference over that of the value, for the
    logits of rows, or, of tokens, for the hidden states that logits are computed from.

    Args:
        inputs: What is prepared.
        exact: The teacher in float32, on `device`.
        served: The teacher as it is served.
        device: Where to run.

    Raises:
        TeacherError: The outputs are not finite.
    """
    validation = inputs.teacher_splits["validation"]
    signal = VocabularyScores(HiddenCache().name) if validation.token_labels else Logits()
    recording = replace(inputs.recording("validation", OutputSpec(signal)), dtype="fp32")
    rows = np.arange(min(MEASURED_ROWS, len(validation)))
    one, two = (recording.run(model, rows, device) for model in (exact, served))
    return {kind: _relative(one, two, kind) for kind in dict.fromkeys(one.kinds())}


def _relative(exact: CachedOutputs, served: CachedOutputs, kind: str) -> float:
    error = size = 0.0
    for name, one, two in zip(exact.kinds(), *(_arrays(o) for o in (exact, served)), strict=True):
        if name == kind:
            error += float(np.square(two.astype(np.float64) - one).sum())
            size += float(np.square(one.astype(np.float64)).sum())
    return math.sqrt(error / size) if size else 0.0


def _arrays(outputs: CachedOutputs) -> list[Array]:
    return [part.chunks[0] for part in outputs.parts.values()]
