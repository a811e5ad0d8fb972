"""A model's predictions on a split, their score, and how long one row takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from raykd.data.base import NO_LABEL, PADDED, Array, Encoded, Task
from raykd.errors import TrialError
from raykd.models.base import Outputs, Part
from raykd.models.forward import forward
from raykd.models.writing import Writing, until_end, write
from raykd.training.batches import Collate, on_device, stream
from raykd.training.device import World, choose_precision
from raykd.training.settings import TrainSettings

LATENCY_ROWS = 30
LATENCY_WARMUP = 5


def predict(
    model: nn.Module,
    task: Task,
    encoded: Encoded,
    settings: TrainSettings,
    collate: Collate,
    world: World,
    part: Part | None = None,
) -> Array:
    """Logits of every row, without gradient, dropout or hidden states.

    Batches are sorted by length and dealt to the ranks as wholes, so that the logits do not depend
    on the number of ranks. Every rank returns all of them.

    Args:
        model: On the device of `world`; its mode (training or not) is left as it was.
        task: Gives the width of the logits.
        encoded: The rows, at least one.
        settings: Precision and rows per batch.
        collate: Pads rows.
        world: The ranks.
        part: The part of the model that is asked, None for the whole.

    Returns:
        float32 ``[N, C]``; ``[N, 2, longest row]`` for spans, `PADDED` outside of the row.
    """
    batches = _dealt(encoded, settings, world)
    precision = choose_precision(settings.precision, world.device, model)
    was_training = model.training
    model.eval()
    parts: list[torch.Tensor] = []
    # One autocast context around all batches: the weights are cast once.
    with torch.inference_mode(), precision.autocast():
        for batch, _ in stream(batches, encoded, collate, device=world.device):
            parts.append(forward(model, batch, part=part).logits.float())
        longest = int(encoded.lengths().max())
        width = (2, longest) if task.kind == "span" else (task.num_labels,)
        logits = torch.zeros(len(encoded), *width, device=world.device)
        for rows, values in zip(batches, parts, strict=True):
            # Spans are as long as their batch, which may be padded by a margin.
            long = min(values.shape[-1], logits.shape[-1])
            logits[torch.from_numpy(rows).to(world.device), ..., :long] = values[..., :long]
        # A row is non-zero on one rank only, so the sum is exact.
        world.sum(logits)
        if task.kind == "span":
            lengths = torch.from_numpy(encoded.lengths()).to(world.device)
            beyond = torch.arange(longest, device=world.device) >= lengths[:, None]
            logits.masked_fill_(beyond[:, None], PADDED)
    model.train(was_training)
    array: Array = logits.cpu().numpy()
    return array


def score(
    model: nn.Module,
    task: Task,
    encoded: Encoded,
    settings: TrainSettings,
    collate: Collate,
    world: World,
    part: Part | None = None,
    texts: bool = True,
) -> Mapping[str, float]:
    """Every metric of the task on a split.

    Args:
        model: See `predict`, also for those that follow.
        task: Gives the metrics.
        encoded: The rows.
        settings: Precision and rows per batch.
        collate: Pads rows.
        world: The ranks.
        part: The part of the model that is asked.
        texts: Whether metrics of generated text are wanted, too; they cost the most.

    Raises:
        TrialError: A logit or a metric is not finite.
    """
    if encoded.token_labels:
        found = _tallied(model, task, encoded, settings, collate, world, part)
        if texts and task.text_metrics and part is None:
            found = {**found, **_in_words(model, task, encoded, settings, collate, world)}
        return _checked(found, len(encoded))
    logits = predict(model, task, encoded, settings, collate, world, part)
    bad = int(np.count_nonzero(~np.isfinite(logits.reshape(len(logits), -1)).all(axis=1)))
    if bad:
        raise TrialError(
            f"the logits of {bad:,} of {len(logits):,} rows are NaN or infinite",
            hint="lower lr",
        )
    return _checked(task.score(logits, encoded), len(encoded))


def _tallied(
    model: nn.Module,
    task: Task,
    encoded: Encoded,
    settings: TrainSettings,
    collate: Collate,
    world: World,
    part: Part | None,
) -> Mapping[str, float]:
    """Metrics of a task on tokens, summed up batch by batch."""
    batches = _dealt(encoded, settings, world)
    precision = choose_precision(settings.precision, world.device, model)
    was_training = model.training
    model.eval()
    # Summed on every rank, also where one has no batch.
    total = torch.zeros(task.tally_size, dtype=torch.float64, device=world.device)
    with torch.inference_mode(), precision.autocast():
        for batch, _ in stream(batches, encoded, collate, device=world.device):
            labels = batch.labels[batch.labels != NO_LABEL]
            for logits, at in _pieces(forward(model, batch, part=part)):
                total += task.tally(logits.float(), labels[at]).double()
    model.train(was_training)
    world.sum(total)
    return task.tallied(total.cpu().numpy())


def _in_words(
    model: nn.Module,
    task: Task,
    encoded: Encoded,
    settings: TrainSettings,
    collate: Collate,
    world: World,
) -> Mapping[str, float]:
    """Metrics of the text that a model writes, or chooses among candidates."""
    references = encoded.references
    assert references is not None
    if references.candidates is not None:
        texts = _chosen(model, references.candidates, settings, collate, world)
    else:
        texts = _written(model, task, encoded, settings, world)
    return task.score_texts(texts, references)


def _chosen(
    model: nn.Module, candidates: Encoded, settings: TrainSettings, collate: Collate, world: World
) -> list[str]:
    """The text of the most likely candidate of every row; the first of equals.

    Raises:
        TrialError: A likelihood is not finite.
    """
    assert candidates.references is not None
    groups, texts = candidates.references.groups, candidates.references.texts
    likely = log_likelihoods(model, candidates, settings, collate, world)
    if bad := int(np.count_nonzero(~np.isfinite(likely))):
        raise TrialError(
            f"the likelihoods of {bad:,} of {len(likely):,} answer choices are NaN or infinite",
            hint="lower lr",
        )
    order = np.lexsort((np.arange(len(groups)), -likely, groups))
    best = order[np.unique(groups[order], return_index=True)[1]]
    return [texts[row] for row in best]


def log_likelihoods(
    model: nn.Module, encoded: Encoded, settings: TrainSettings, collate: Collate, world: World
) -> Array:
    """The log-likelihood of the tokens with a label, summed over each row, in nats.

    Args:
        model: On the device of `world`; its mode is left as it was.
        encoded: Rows with token labels.
        settings: Precision and rows per batch.
        collate: Pads rows.
        world: The ranks.

    Returns:
        float64 ``[N]``, on every rank.
    """
    batches = _dealt(encoded, settings, world)
    precision = choose_precision(settings.precision, world.device, model)
    was_training = model.training
    model.eval()
    found = torch.zeros(len(encoded), dtype=torch.float64, device=world.device)
    with torch.inference_mode(), precision.autocast():
        for batch, _ in stream(batches, encoded, collate, device=world.device):
            has_label = batch.labels != NO_LABEL
            labels = batch.labels[has_label]
            rows = batch.index.to(world.device)[has_label.nonzero()[:, 0]]
            for logits, at in _pieces(forward(model, batch)):
                likely = -F.cross_entropy(logits.float(), labels[at], reduction="none")
                found.index_add_(0, rows[at], likely.double())
    model.train(was_training)
    # A row is non-zero on one rank only, so the sum is exact.
    world.sum(found)
    array: Array = found.cpu().numpy()
    return array


def _written(
    model: nn.Module, task: Task, encoded: Encoded, settings: TrainSettings, world: World
) -> list[str]:
    """The text that the model most likely writes, row by row."""
    assert encoded.references is not None
    tokens = encoded.references.tokens
    assert tokens is not None
    writing = Writing(max_new_tokens=task.max_new_tokens, end=tokens.end, pad=tokens.pad)
    prompts = [encoded.prompt(row) for row in range(len(encoded))]
    order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
    size = settings.eval_batch_size
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    precision = choose_precision(settings.precision, world.device, model)
    own: dict[int, Array] = {}
    with precision.autocast():
        for rows in batches[world.rank :: world.size]:
            found = until_end(write(model, [prompts[row] for row in rows], writing), writing.end)
            own |= dict(zip(rows.tolist(), found, strict=True))
    every: dict[int, Array] = {}
    for theirs in world.gather(own):
        every |= theirs
    return tokens.decode([every[k].tolist() for k in range(len(encoded))])


def _pieces(outputs: Outputs) -> Iterator[tuple[torch.Tensor, slice]]:
    """Scores of the vocabulary for some tokens at a time, and which these are."""
    if outputs.has_scores:
        for at in outputs.scores.chunks():
            yield outputs.scores.of(at), at
    else:
        yield outputs.logits, slice(None)


def _dealt(encoded: Encoded, settings: TrainSettings, world: World) -> list[Array]:
    """Batches of rows of similar length, those of this rank."""
    order = np.argsort(encoded.lengths(), kind="stable")
    size = settings.eval_batch_size
    return [order[i : i + size] for i in range(0, len(order), size)][world.rank :: world.size]


def _checked(metrics: Mapping[str, float], rows: int) -> Mapping[str, float]:
    """Metrics that are all finite.

    Raises:
        TrialError: One is not.
    """
    wrong = [name for name, value in metrics.items() if not np.isfinite(value)]
    if wrong:
        raise TrialError(f"metric '{wrong[0]}' is {metrics[wrong[0]]} on {rows:,} rows")
    return metrics


def latency_ms(
    model: nn.Module,
    encoded: Encoded,
    settings: TrainSettings,
    collate: Collate,
    world: World,
) -> float:
    """Median milliseconds from one tokenised row to its logits, in batches of one row.

    Rows are spread over the lengths of the split. Every rank measures itself; nothing is exchanged.
    """
    order = np.argsort(encoded.lengths(), kind="stable")
    picked = order[np.linspace(0, len(order) - 1, LATENCY_ROWS).astype(int)]
    precision = choose_precision(settings.precision, world.device, model)
    was_training = model.training
    model.eval()
    seconds: list[float] = []
    with torch.inference_mode(), precision.autocast():
        for row in np.concatenate([picked[:LATENCY_WARMUP], picked]):
            began = time.perf_counter()
            batch = on_device(collate(encoded, np.asarray([row])), world.device)
            forward(model, batch).logits.float().cpu()
            seconds.append(time.perf_counter() - began)
    model.train(was_training)
    return statistics.median(seconds[LATENCY_WARMUP:]) * 1e3
