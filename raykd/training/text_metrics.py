"""Metrics of text: of what a model generates, or of the most likely candidate."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from raykd.data.base import Array, Task, TokenizedDataset, moved
from raykd.errors import TrialError
from raykd.models.forward import forward
from raykd.models.generation import GenerationSettings, generate, until_end
from raykd.models.inference import batches_by_length
from raykd.training.inference import (
    InferenceSetup,
    inference_batches,
    inference_pass,
    stand_ins,
)


def texts_of(
    model: nn.Module,
    task: Task,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
) -> list[str]:
    """The text that a model generates for every row, or chooses among candidates."""
    references = encoded.references
    assert references is not None
    if references.candidates is not None:
        return _chosen(model, references.candidates, setup)
    return _generated(model, task, encoded, setup)


def _chosen(
    model: nn.Module,
    candidates: TokenizedDataset,
    setup: InferenceSetup,
) -> list[str]:
    """The text of the most likely candidate of every row; the first of equals.

    Raises:
        TrialError: A likelihood is not finite.
    """
    assert candidates.references is not None
    groups, texts = candidates.references.groups, candidates.references.texts
    likely = log_likelihoods(model, candidates, setup)
    if bad := int(np.count_nonzero(~np.isfinite(likely))):
        raise TrialError(
            f"the likelihoods of {bad:,} of {len(likely):,} answer choices are NaN or infinite",
            hint="lower lr",
        )
    order = np.lexsort((np.arange(len(groups)), -likely, groups))
    best = order[np.unique(groups[order], return_index=True)[1]]
    return [texts[row] for row in best]


def log_likelihoods(
    model: nn.Module,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
) -> Array:
    """The log-likelihood of the tokens with a label, summed over each row, in nats.

    Args:
        model: On the device of `world`; its mode is left as it was.
        encoded: Rows with token labels.
        setup: Precision, rows per batch, how they are padded, the ranks.

    Returns:
        float64 ``[N]``, on every rank.
    """
    sums = torch.zeros(len(encoded), dtype=torch.float64, device=setup.world.device)
    with inference_batches(model, encoded, setup) as batches:
        for batch, _ in batches:
            labels = batch.label_ids
            rows = moved(batch.index, batch.labels.device)[batch.labelled // batch.labels.shape[1]]
            for logits, at in forward(model, batch).chunks():
                likely = -F.cross_entropy(logits.float(), labels[at], reduction="none")
                sums.index_add_(0, rows[at], likely.double())
    # A row is non-zero on one rank only, so the sum is exact.
    setup.world.sum(sums)
    array: Array = sums.cpu().numpy()
    return array


def _generated(
    model: nn.Module,
    task: Task,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
) -> list[str]:
    """The text that the model generates greedily, row by row."""
    assert encoded.references is not None
    tokens = encoded.references.tokens
    assert tokens is not None
    generation = GenerationSettings(
        max_new_tokens=task.max_new_tokens,
        end=tokens.end,
        pad=tokens.pad,
        vocabulary=tokens.vocabulary,
    )
    prompts = [encoded.prompt(row) for row in range(len(encoded))]
    lengths = np.asarray([len(prompt) for prompt in prompts])
    batches = batches_by_length(lengths, setup.batch_size)
    own: dict[int, Array] = {}
    batches_here = batches[setup.world.rank :: setup.world.size]
    with inference_pass(model, setup):
        for rows in [*batches_here, *stand_ins(model, batches, setup.world)]:
            texts = until_end(
                generate(model, [prompts[row] for row in rows], generation), generation.end
            )
            own |= dict(zip(rows.tolist(), texts, strict=True))
    every: dict[int, Array] = {}
    for of_rank in setup.world.gather(own):
        every |= of_rank
    return tokens.decode([every[k].tolist() for k in range(len(encoded))])
