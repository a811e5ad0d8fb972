"""How long a model takes for one row, alone and by turns with another one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from raykd.data.base import Array, TokenizedDataset
from raykd.models.forward import forward
from raykd.training.inference import InferenceSetup, inference_pass

LATENCY_ROWS = 30
LATENCY_WARMUP = 5
TURNS = 6
"""In how many parts the rows are cut where two models take turns."""
ORDER = sorted(range(TURNS), key=lambda part: (abs(2 * part + 1 - TURNS), -part))
"""Parts in the order of their turns.

Each part has every sixth length, beginning with its own number, so those in the middle are neither
shorter nor longer than all rows are: where few turns are taken, they are these.
"""
TURN_WARMUP = 2
LONGEST_S = 2.0
"""Two models begin no further turn after it."""


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """What two models took for their rows of one turn, milliseconds of each row."""

    one: Sequence[float]
    other: Sequence[float]


@dataclass(frozen=True, slots=True)
class TimedModel:
    """A model and the rows that it is timed on.

    Attributes:
        model: On the device of `setup`; its mode is left as it was.
        encoded: Rows as it reads them.
        setup: Precision, how rows are padded, the ranks.
    """

    model: nn.Module
    encoded: TokenizedDataset
    setup: InferenceSetup


def latency_ms(model: nn.Module, encoded: TokenizedDataset, setup: InferenceSetup) -> float:
    """Median milliseconds from one tokenised row to its logits, in batches of one row.

    Rows are spread over the lengths of the split. Every rank measures itself; nothing is exchanged.
    """
    timed = TimedModel(model, encoded, setup)
    return statistics.median(_row_times(timed, _spread(encoded), LATENCY_WARMUP))


def latencies_by_turns(
    one: TimedModel, other: TimedModel, longest_s: float = LONGEST_S
) -> list[TurnTimes]:
    """Milliseconds of each row as `latency_ms` measures it, of two models that take turns.

    What else the machine does, which changes by the second, slows both. Each turn is spread over
    the lengths of the split; slow models have fewer of them, and at least one each.

    Args:
        one: A model.
        other: Another one; its k-th row has the k-th of its own lengths.
        longest_s: Seconds after which no turn begins.

    Returns:
        The turns, each with equally many rows of both.
    """
    both = tuple((timed, _spread(timed.encoded)) for timed in (one, other))
    turns: list[TurnTimes] = []
    began = time.perf_counter()
    for part in ORDER:
        if turns and time.perf_counter() - began > longest_s:
            break
        times = (_row_times(timed, rows[part::TURNS], TURN_WARMUP) for timed, rows in both)
        turns.append(TurnTimes(*times))
    return turns


def _spread(encoded: TokenizedDataset) -> Array:
    """The rows that are timed, shortest first."""
    order = np.argsort(encoded.lengths(), kind="stable")
    picked: Array = order[np.linspace(0, len(order) - 1, LATENCY_ROWS).astype(int)]
    return picked


def _row_times(timed: TimedModel, rows: Array, warmup: int) -> list[float]:
    """Milliseconds of each row, after some that do not count."""
    seconds: list[float] = []
    setup = timed.setup
    with inference_pass(timed.model, setup):
        for row in np.concatenate([rows[:warmup], rows]):
            began = time.perf_counter()
            batch = setup.collate(timed.encoded, np.asarray([row])).to(setup.world.device)
            forward(timed.model, batch).logits.float().cpu()
            seconds.append(time.perf_counter() - began)
    return [1e3 * taken for taken in seconds[warmup:]]
