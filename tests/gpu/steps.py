"""Steps of every method on small pairs, on any device, with an online or a recorded teacher."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raykd import registry
from raykd.data.base import KINDS
from raykd.methods.base import Method, OutputSpec, TeacherOutputsFn
from raykd.models.generation import TextEnds
from raykd.models.load import model_dims
from raykd.models.signals.logits import Logits
from raykd.models.signals.unrecorded import needs_running_model
from raykd.params import Scalar
from raykd.teachers.recording import Recording, record
from raykd.teachers.teacher import OfflineTeacher
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.training.device import DistributedContext, Precision
from raykd.training.micro_batches import MicroBatch
from raykd.training.optim import Optimizer
from raykd.training.settings import TrainSettings
from raykd.training.step import Step
from tests.small_pairs import END, LONGEST, PAD, SmallPair

METHODS = registry.names("methods")
FIRST = ("classification", "causal_lm", *KINDS)
"""The kind of task a method is tried on where one will do: the first of these that it serves."""
# What the small pair needs, what makes a step cheap, and what makes it the same every time.
VALUES: Mapping[str, dict[str, Scalar]] = {
    "ckd": {"layers": "emb+skip"},
    "ckd_adaptive": {"min_width": 0.75, "min_depth": 0.75},
    "one_to_one": {"alpha_ce": 0.5, "alpha_corr": 0.5, "alpha_mse": 1.0, "alpha_cos": 1.0},
    "gkd": {"max_new_tokens": 4, "lmbda": 0.0, "kd_ratio": 0.5},
    "minillm": {"max_new_tokens": 4},
    "minillm_sbs": {"max_new_tokens": 4},
    "step_by_step": {"kappa_l": 0.5},
}
WRITES = ("minillm", "minillm_sbs")
"""Methods whose first step generates text; the one after it learns from the same text."""


def values_of(name: str, kind: str) -> dict[str, Scalar]:
    """What a method is given on a kind of task."""
    own = dict(VALUES.get(name, {}))
    return own | ({"teacher_mixed_alpha": 0.0} if kind == "seq2seq" and name in WRITES else {})


def kinds_of(name: str) -> tuple[str, ...]:
    """Kinds of task that a method serves, the cheapest one first."""
    served = registry.load("methods", name).kinds
    return tuple(dict.fromkeys(kind for kind in FIRST if kind in served))


@functools.cache
def pair_of(kind: str) -> SmallPair:
    """The pair; nothing changes it."""
    return SmallPair.of(kind)


class Stepper:
    """A training of a small student, step by step; its models are on the device from the start.

    Args:
        pair: The pair; its models are copied.
        method: The method.
        device: Where it trains.
        precision: ``fp32`` or ``bf16``.
        recorded: Whether the teacher's outputs are recorded before, on the device.
        packing: Whether texts share rows; a batch then has all rows, so that some fit together.
        optimizer: Moves the weights.
    """

    def __init__(
        self,
        pair: SmallPair,
        method: Method[Any],
        device: torch.device,
        *,
        precision: str = "fp32",
        recorded: bool = False,
        packing: bool = False,
        optimizer: str = "adamw",
    ) -> None:
        self.pair, self.method, self.device = pair, method, device
        torch.manual_seed(0)
        method.at_epoch(0, 1)
        self.model = copy.deepcopy(pair.student).to(device)
        teacher: Any = copy.deepcopy(pair.teacher).to(device)
        read = (
            recorded_outputs(pair, method, teacher, device)
            if recorded
            else pair.outputs_fn(method, teacher, packing=packing)
        )
        self.module = Step(
            self.model, method, pair.task, read,
            precision=Precision(precision, device.type), world=DistributedContext(0, 1, device),
            text_ends=TextEnds(end=END, pad=PAD), packing=packing,
        ).to(device).train()  # fmt: skip
        settings = TrainSettings(precision=precision, optimizer=optimizer)
        self.optimizer = Optimizer(self.module, settings, 10)
        self.rows = 10 if packing else 5
        self.steps = 0

    @classmethod
    def of(cls, name: str, kind: str, device: torch.device, **more: Any) -> Stepper:
        """For a method with the values that it needs."""
        pair = pair_of(kind)
        return cls(pair, pair.method(name, **values_of(name, kind)), device, **more)

    def step(self) -> list[Tensor]:
        """One step: its terms and all gradients, on the device."""
        rows = (np.arange(self.rows) + 5 * (self.steps % 2)) % 10
        batch = self.pair.collator(self.method)(self.pair.read_by(self.method), rows)
        actual = self.module.run([MicroBatch(batch=batch.to(self.device), rows=rows)], rows)
        gradients = [p.grad.clone() for p in self.module.parameters() if p.grad is not None]
        self.optimizer.step(self.steps)
        self.steps += 1
        return [actual.values, *gradients]


def recorded_outputs(
    pair: SmallPair,
    method: Method[Any],
    model: Any,  # a PreTrainedModel
    device: torch.device,
    longest: int = LONGEST,
) -> TeacherOutputsFn:
    """What a method reads of a teacher, recorded where that is and read on a device.

    The teacher reads rows as they are, whatever the student makes of them.
    """
    spec = method.teacher_outputs().resolved(model_dims(model))
    writes = pair.task.task_kind.generates and Logits() in spec
    recording = Recording(
        encoded=pair.rows, pad_id=PAD, max_length=longest, dtype="fp32", batch_size=4,
        output_spec=spec.union(OutputSpec(VocabularyScores("hidden") if writes else None)),
    )  # fmt: skip
    cached = record(model, recording, next(model.parameters()).device)
    matrix = model.lm_head.weight.detach() if writes else None
    return OfflineTeacher(cached, device, matrix).outputs_fn(spec)


def can_be_recorded(method: Method[Any]) -> bool:
    """Whether a method does without the running teacher."""
    spec = method.teacher_outputs()
    return bool(spec.cacheable) and not needs_running_model(spec)
