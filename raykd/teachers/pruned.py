"""Students pruned from the teacher by importance scores, or with their units sorted by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import Batch, Task, TokenizedDataset
from raykd.data.collate import Collator
from raykd.models import weights
from raykd.models.forward import forward
from raykd.models.structured_pruning import keep_units
from raykd.models.unit_masks import head_size, sensitivity
from raykd.models.unit_selection import UnitScores, choose, order
from raykd.models.weights import ModelState

SCORE_BATCH = 32
"""Rows per batch of the scoring; the authors' value, on which the scores depend."""


def prune(
    model: Any,
    rows: TokenizedDataset,
    task: Task,
    *,
    sparsity: float,
    collator: Collator,
    device: torch.device,
) -> ModelState:
    """A copy of a model without the heads and neurons that its task loss depends on least.

    This is StarK's parameter-pruned student (https://arxiv.org/abs/2210.03923): its scoring of the
    teacher for ``lam: 1``, without the fitting to a student.

    Args:
        model: The fine-tuned teacher, on `device`; left as it is.
        rows: Labelled rows to score on, taken in their order.
        task: Gives the loss.
        sparsity: Percent of heads and of neurons that go.
        collator: Pads rows to batches.
        device: Where to run.

    Raises:
        SpecError: The model's family does not say where its units are, or blocks differ.
        TeacherError: A gradient is not finite.
    """
    scores = _scores(model, rows, task, collator, device)
    kept = choose(scores, sparsity, head_size(model))
    return weights.capture(keep_units(weights.restore(weights.capture(model)), *kept.indices()))


def sort_units(
    state: ModelState,
    rows: TokenizedDataset,
    task: Task,
    *,
    collator: Collator,
    device: torch.device,
) -> ModelState:
    """The same model with the heads and neurons of every block sorted by importance.

    A subnet keeps the first ones (Hou et al., "DynaBERT", 2020, https://arxiv.org/abs/2004.04037,
    who call it network rewiring). The function of the model is unchanged, up to rounding.

    Args:
        state: A model with its head, as weights.
        rows: Labelled rows to score on, taken in their order.
        task: Gives the loss.
        collator: Pads rows to batches.
        device: Where to run.

    Raises:
        SpecError: The model's family does not say where its units are, or blocks differ.
        TeacherError: A gradient is not finite.
    """
    model: Any = weights.restore(state).to(device)
    scores = _scores(model, rows, task, collator, device)
    model = keep_units(model, order(scores.heads).tolist(), order(scores.neurons).tolist())
    return weights.capture(model)


def _scores(
    model: Any, rows: TokenizedDataset, task: Task, collator: Collator, device: torch.device
) -> UnitScores:
    """How much the task loss depends on each head and neuron, normalised per block."""

    def batches() -> Iterator[Batch]:
        for begin in range(0, len(rows), SCORE_BATCH):
            numbers = np.arange(begin, min(begin + SCORE_BATCH, len(rows)))
            yield collator(rows, numbers).to(device)

    def losses(batch: Batch) -> Mapping[str, Tensor]:
        return {"task": task.loss(forward(model, batch).logits.float(), batch)}

    return sensitivity(model, batches(), losses)["task"].normalised()
