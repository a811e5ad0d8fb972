"""A teacher and batches of ``stark_*.npz``, and what is computed from them alone, each of it once.

Tests check many copies of one file, in which all but a number is equal.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.data.base import Batch
from raykd.losses.teacher_grad import teacher_grad_cross_entropy, teacher_grad_mse
from raykd.models import weights
from raykd.models.families.base import family_of
from raykd.models.forward import forward
from raykd.models.layer_selection import select_layers
from raykd.models.structured_pruning import keep_units
from raykd.models.task_head import with_task
from raykd.models.unit_masks import head_size, sensitivity
from raykd.models.unit_selection import KeptUnits, UnitScores
from tests.golden.comparison import Array

INPUT = re.compile(
    r"teacher/.+|[^/]+/(student_logits|labels)|(?!batch)[^/]+/teacher_logits"
    r"|batch\d+/(input_ids|attention_mask|token_type_ids)"
    r"|config_json|num_batches|lams|student_kind|task"
)
TEMPERATURE = 2.0


def distance(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    if student.shape[-1] == 1:
        return teacher_grad_mse(student, teacher)
    return teacher_grad_cross_entropy(student, teacher, temperature=temperature)


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    if labels.is_floating_point():
        return F.mse_loss(logits.squeeze(-1), labels)
    return F.cross_entropy(logits, labels)


class Inputs:
    """A teacher and batches, and what is computed from them alone; each of it once."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays
        self._logits: dict[bytes, Array] = {}

    def tensor(self, key: str) -> Tensor:
        tensor = torch.from_numpy(np.array(self.arrays[key]))
        return tensor if tensor.is_floating_point() else tensor.long()

    @functools.cached_property
    def state(self) -> weights.ModelState:
        """The teacher."""
        plain = json.loads(str(self.arrays["config_json"]))
        labels = plain.pop("num_labels")
        family = family_of(plain.setdefault("model_type", "bert"))
        kind = "regression" if labels == 1 else "classification"
        config = with_task(family.config_class().from_dict(plain), kind, labels)
        tensors = {
            key.removeprefix("teacher/"): self.tensor(key)
            for key in self.arrays
            if key.startswith("teacher/")
        }
        return weights.from_tensors(tensors, json.loads(config.to_json_string(use_diff=False)))

    def teacher(self) -> Any:
        """A copy of its own."""
        return weights.restore(self.state).eval()

    @functools.cached_property
    def batches(self) -> list[Batch]:
        return [
            Batch(
                input_ids=self.tensor(f"batch{i}/input_ids"),
                attention_mask=self.tensor(f"batch{i}/attention_mask"),
                token_type_ids=self.tensor(f"batch{i}/token_type_ids"),
                labels=self.tensor(f"batch{i}/labels"),
                index=torch.tensor([i]),
            )
            for i in range(int(self.arrays["num_batches"]))
        ]

    @functools.cached_property
    def teacher_logits(self) -> list[Tensor]:
        """Of each batch."""
        model = self.teacher()
        with torch.no_grad():
            return [forward(model, batch).logits for batch in self.batches]

    def logits(self, model: Any) -> Array:
        """Of all batches, one below the other."""
        with torch.no_grad():
            return torch.cat([forward(model, batch).logits for batch in self.batches]).numpy()

    def pruned_logits(self, kept: KeptUnits) -> Array:
        """Of the teacher with a part of its units."""
        key = kept.heads.tobytes() + kept.neurons.tobytes()
        if key not in self._logits:
            self._logits[key] = self.logits(keep_units(self.teacher(), *kept.indices()))
        return self._logits[key]

    def first_layers(self, count: int) -> Array:
        """Logits of the teacher's first layers."""
        key = f"first {count}".encode()
        if key not in self._logits:
            student = select_layers(self.state, tuple(range(count)), keep_head=True)
            self._logits[key] = self.logits(weights.restore(student).eval())
        return self._logits[key]

    def losses(self, batch: Batch, teacher: Tensor) -> dict[str, Tensor]:
        """Task loss, distance of the student to the teacher, and the loss made of both."""
        student = self.tensor(f"batch{int(batch.index)}/student_logits")
        apart = distance(student, teacher, TEMPERATURE).mean()
        total = (apart + task_loss(student, batch.labels)) / 2
        return {"E": task_loss(teacher, batch.labels), "F": apart, "kd": total}

    @functools.cached_property
    def recomputed(self) -> dict[str, UnitScores]:
        """Raw scores ``E`` and ``F`` from weights and batches."""
        model = self.teacher()

        def losses(batch: Batch) -> dict[str, Tensor]:
            actual = self.losses(batch, forward(model, batch).logits)
            # The authors' loss weighs both halves equally; the labels' half has no gradient.
            return {"E": actual["E"], "F": actual["F"] / 2}

        return sensitivity(model, self.batches, losses)

    @functools.cached_property
    def head_size(self) -> int:
        return head_size(self.teacher())


_SEEN: dict[str, Inputs] = {}


def inputs_of(arrays: Mapping[str, Array]) -> Inputs:
    """The inputs of a file; those of an equal one, where one was checked before."""
    own = {key: array for key, array in arrays.items() if INPUT.fullmatch(key)}
    digest = hashlib.sha256()
    for key, array in sorted(own.items()):
        digest.update(f"{key} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return _SEEN.setdefault(digest.hexdigest(), Inputs(own))
