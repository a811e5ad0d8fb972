"""Runs a frozen teacher in fewer bits, and measures what that changes of its outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from raykd.data.base import Array
from raykd.models.model_factory import ModelFactory
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.vocab_cache.hidden import HiddenCache
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.training.device import FROZEN_DTYPES

MEASURED_ROWS = 32
"""Rows of the validation split that the two precisions are compared on."""


def frozen(factory: ModelFactory, precision: str, device: torch.device) -> nn.Module:
    """A read-only teacher whose weights and products have a precision.

    Args:
        factory: Builds it.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: Where to.
    """
    return factory.frozen(FROZEN_DTYPES[precision]).to(device)


def serve(
    inputs: TaskInputs, model: nn.Module, factory: ModelFactory, device: torch.device
) -> tuple[nn.Module, Mapping[str, float]]:
    """The teacher as it is scored, recorded and run, and how far it is from float32.

    Args:
        inputs: What is prepared.
        model: The teacher in float32, on `device`.
        factory: Builds it.
        device: Where to run.
    """
    if inputs.frozen_precision == "fp32":
        return model, {}
    served = frozen(factory, inputs.frozen_precision, device)
    error = inputs.known.precision_error or error_of(inputs, model, served, device)
    return served, error


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
