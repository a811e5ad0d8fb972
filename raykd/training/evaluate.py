"""A model's predictions on a split, and their score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from raykd.data.base import Array, Task, TokenizedDataset, moved
from raykd.data.confusion import confusion
from raykd.data.row_outcomes import pseudo_values
from raykd.errors import TrialError
from raykd.losses.targets import Divergence
from raykd.methods.base import TeacherOutputsFn
from raykd.models.base import Subnet
from raykd.models.forward import forward
from raykd.training.inference import InferenceSetup, inference_batches
from raykd.training.text_metrics import texts_of


def predict(
    model: nn.Module,
    task: Task,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
    subnet: Subnet | None = None,
) -> Array:
    """Logits of every row, without gradient, dropout or hidden states.

    Whole batches, sorted by length, are distributed over the ranks, so the logits do not depend on
    the number of ranks. Every rank returns all of them.

    Args:
        model: On the device of `world`; its mode (training or not) is left as it was.
        task: Gives the width of the logits.
        encoded: The rows, at least one.
        setup: Precision, rows per batch, how they are padded, the ranks.
        subnet: The subnet to run, None for the whole.

    Returns:
        float32 ``[N, C]``; ``[N, 2, longest row]`` for spans, `PADDED` outside of the row.
    """
    longest = int(encoded.lengths().max())
    shape = task.task_kind.shape(task.num_labels, longest)
    logits = torch.zeros(len(encoded), *shape, device=setup.world.device)
    with inference_batches(model, encoded, setup) as batches:
        predictions = [
            (rows, forward(model, batch, subnet=subnet).logits.float()) for batch, rows in batches
        ]
        for rows, values in predictions:
            # Spans are as long as their batch, which may be padded by some context padding.
            long = min(values.shape[-1], logits.shape[-1])
            logits[torch.from_numpy(rows).to(setup.world.device), ..., :long] = values[..., :long]
    # A row is non-zero on one rank only, so the sum is exact.
    setup.world.sum(logits)
    lengths = torch.from_numpy(encoded.lengths()).to(setup.world.device)
    logits = task.task_kind.blanked(logits, lengths)
    array: Array = logits.cpu().numpy()
    return array


def score(
    model: nn.Module,
    task: Task,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
    subnet: Subnet | None = None,
    texts: bool = True,
) -> Mapping[str, float]:
    """Every metric of the task on a split, in smaller batches where memory runs out.

    Args:
        model: See `predict`, also for those that follow.
        task: Gives the metrics.
        encoded: The rows.
        setup: Precision, rows per batch, how they are padded, the ranks.
        subnet: The subnet to run.
        texts: Whether metrics of generated text are wanted, too; they cost the most.

    Raises:
        TrialError: A logit or a metric is not finite, or memory runs out with one row.
    """
    return setup.attempt(lambda: _score(model, task, encoded, setup, subnet, texts))


def _score(
    model: nn.Module,
    task: Task,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
    subnet: Subnet | None,
    texts: bool,
) -> Mapping[str, float]:
    if task.tally_size:
        scores = task.tallied(_tallied(model, task, encoded, setup, subnet))
        if texts and task.text_metrics and subnet is None:
            of_texts, *_ = _score_texts(model, task, encoded, setup)
            scores = {**scores, **of_texts}
        return _checked(scores, len(encoded))
    logits = _finite_logits(model, task, encoded, setup, subnet)
    return _checked(task.score(logits, encoded), len(encoded))


@dataclass(frozen=True, slots=True)
class Scored:
    """A split as a student answers it.

    Attributes:
        metrics: Every metric of the task.
        outcomes: What each row adds to one of them (`raykd.data.row_outcomes`), float32 ``[N]``;
            None where the task does not say.
        predictions: What is predicted for each of these rows, in words; None where there are no
            outcomes, or the task does not say.
        confusion: Rows by class and answer (`raykd.data.confusion`); empty where they have none.
    """

    metrics: Mapping[str, float]
    outcomes: Array | None = None
    predictions: Sequence[str] | None = None
    confusion: tuple[tuple[int, ...], ...] = ()


def score_by_row(
    model: nn.Module, task: Task, encoded: TokenizedDataset, setup: InferenceSetup, metric: str
) -> Scored:
    """Every metric of the task on a split, and what each row adds to one of them.

    Args:
        model: See `predict`, also for those that follow.
        task: Gives the metrics.
        encoded: The rows.
        setup: Precision, rows per batch, how they are padded, the ranks.
        metric: The metric whose outcomes are wanted.

    Raises:
        TrialError: A logit or a metric is not finite.
    """
    if not task.tally_size:
        logits = _finite_logits(model, task, encoded, setup, None)
        scores = task.score(logits, encoded)
        outcomes = task.row_outcomes(metric, logits, encoded) if metric in scores else None
        scored = _by_row(scores, outcomes, task.row_predictions(logits, encoded), len(encoded))
        return replace(scored, confusion=confusion(task, logits, encoded))
    by_row = torch.zeros(
        len(encoded), task.tally_size, dtype=torch.float64, device=setup.world.device
    )
    total = _tallied(model, task, encoded, setup, None, by_row)
    scores = task.tallied(total)
    outcomes = _left_out(task, metric, total, by_row.cpu().numpy()) if metric in scores else None
    texts = None
    if task.text_metrics:
        of_texts, of_rows, texts = _score_texts(model, task, encoded, setup, metric)
        scores, outcomes = {**scores, **of_texts}, of_rows if metric in of_texts else outcomes
    return _by_row(scores, outcomes, texts, len(encoded))


def _score_texts(
    model: nn.Module, task: Task, encoded: TokenizedDataset, setup: InferenceSetup, metric: str = ""
) -> tuple[Mapping[str, float], Array | None, Sequence[str]]:
    """Metrics of the texts that a model generates, the outcomes of one of them, and the texts."""
    generated = texts_of(model, task, encoded, setup)
    assert encoded.references is not None
    outcomes = None
    if metric in task.text_metrics:
        outcomes = task.text_outcomes(metric, generated, encoded.references)
    return task.score_texts(generated, encoded.references), outcomes, generated


def _by_row(
    scores: Mapping[str, float],
    outcomes: Array | None,
    predictions: Sequence[str] | None,
    rows: int,
) -> Scored:
    checked = _checked(scores, rows)
    if outcomes is None:
        return Scored(checked)
    return Scored(checked, outcomes.astype(np.float32), predictions)


def _left_out(task: Task, metric: str, total: Array, by_row: Array) -> Array | None:
    """Pseudo-values of a metric that comes from sums over tokens; None of a single row."""
    if len(by_row) < 2:
        return None
    without = np.array([task.tallied(total - own)[metric] for own in by_row])
    return pseudo_values(task.tallied(total)[metric], without)


def _finite_logits(
    model: nn.Module,
    task: Task,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
    subnet: Subnet | None,
) -> Array:
    """The logits of every row, see `predict`, or of every token with a label.

    Raises:
        TrialError: One is not finite.
    """
    if encoded.token_labels:
        logits = _token_logits(model, encoded, task.num_labels, setup, subnet)
    else:
        logits = predict(model, task, encoded, setup, subnet)
    bad = int(np.count_nonzero(~np.isfinite(logits.reshape(len(logits), -1)).all(axis=1)))
    if bad:
        raise TrialError(
            f"the logits of {bad:,} of {len(logits):,} rows are NaN or infinite",
            hint="lower lr",
        )
    return logits


def _token_logits(
    model: nn.Module,
    encoded: TokenizedDataset,
    width: int,
    setup: InferenceSetup,
    subnet: Subnet | None,
) -> Array:
    """Logits of every token with a label, ``[M, width]``, row by row; the same on every rank."""
    counts = encoded.label_counts()
    ends = np.cumsum(counts)
    logits = torch.zeros(int(ends[-1]), width, device=setup.world.device)
    with inference_batches(model, encoded, setup) as batches:
        for batch, rows in batches:
            places = [np.arange(ends[row] - counts[row], ends[row]) for row in rows]
            at = torch.from_numpy(np.concatenate(places)).to(setup.world.device)
            logits[at] = forward(model, batch, subnet=subnet).logits.float()
    # A token is non-zero on one rank only, so the sum is exact.
    setup.world.sum(logits)
    array: Array = logits.cpu().numpy()
    return array


def _tallied(
    model: nn.Module,
    task: Task,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
    subnet: Subnet | None,
    by_row: torch.Tensor | None = None,
) -> Array:
    """The tallies of a task on tokens, summed up batch by batch, ``[tally_size]``.

    Args:
        model: See `score`, also for those that follow.
        task: Gives the tallies.
        encoded: The rows.
        setup: Precision, rows per batch, how they are padded, the ranks.
        subnet: The subnet to run.
        by_row: float64 ``[N, tally_size]``, to which those of each row are added; None for none.
    """
    # Summed on every rank, also where one has no batch.
    total = torch.zeros(task.tally_size, dtype=torch.float64, device=setup.world.device)
    with inference_batches(model, encoded, setup) as batches:
        for batch, _ in batches:
            labels = batch.label_ids
            rows = moved(batch.index, labels.device)[batch.labelled // batch.labels.shape[1]]
            for logits, at in forward(model, batch, subnet=subnet).chunks():
                total += task.tally(logits.float(), labels[at]).double()
                if by_row is not None:
                    for row in torch.unique(rows[at]):
                        own = rows[at] == row
                        by_row[row] += task.tally(logits[own].float(), labels[at][own]).double()
    setup.world.sum(total)
    if by_row is not None:
        setup.world.sum(by_row)
    array: Array = total.cpu().numpy()
    return array


def teacher_divergence(
    model: nn.Module,
    teacher: TeacherOutputsFn,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
) -> float:
    """Forward divergence from the teacher to a student, mean over tokens with a label, in nats.

    Args:
        model: The student, on the device of `world`; its mode is left as it was.
        teacher: Gives what is known of the teacher's distributions for a batch.
        encoded: Rows with token labels.
        setup: Precision, rows per batch, how they are padded, the ranks.
    """
    total = torch.zeros(2, dtype=torch.float64, device=setup.world.device)
    with inference_batches(model, encoded, setup) as batches:
        for batch, _ in batches:
            target = teacher(batch).target.cast(torch.float32)
            for logits, at in forward(model, batch).chunks():
                rows = target.distance(logits, at, Divergence())
                total += torch.stack([rows.sum().double(), torch.ones_like(rows).sum().double()])
    setup.world.sum(total)
    return float(total[0] / total[1])


def _checked(metrics: Mapping[str, float], rows: int) -> Mapping[str, float]:
    """Metrics that are all finite.

    Raises:
        TrialError: One is not.
    """
    wrong = [name for name, value in metrics.items() if not np.isfinite(value)]
    if wrong:
        raise TrialError(
            f"metric '{wrong[0]}' is {metrics[wrong[0]]} on {rows:,} rows",
            hint="where the loss grew before, the training diverged: lower lr",
        )
    return metrics
