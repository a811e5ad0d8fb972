"""Checks ``stark_*.npz``: losses, scores of heads and neurons, what is kept, and pruned models.

Keys are read by pattern::

    <case>/T<temperature>/loss|grad_student|grad_teacher
    batch<i>/teacher_logits|task_loss|kd_loss
    score/<E|F>_<head|neuron>[_raw]
    lam<x>/<head|neuron>_score|_order
    lam<x>/s<percent>/<head|neuron>_removed|_keep       lam<x>/s<percent>/logits
    layerdrop/k<layers>/logits
    pruned_init/s<percent>/logits|encoder_params|layer_widths

Everything else must be one of the inputs. Scores are recomputed from the weights and the batches.
What is kept is worked out from the stored scores, and once more from the recomputed ones, unless a
cut lies between scores that are nearly equal.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raykd.errors import RaykdError
from raykd.models import weights
from raykd.models.structured_pruning import keep_units
from raykd.models.unit_masks import count_units
from raykd.models.unit_selection import UnitScores, choose, order, removals
from tests.golden.comparison import (
    Array,
    Comparison,
    Unknown,
    compare_gradient,
    compare_indices,
    compare_value,
)
from tests.golden.stark_inputs import INPUT, distance, inputs_of, task_loss

RTOL = 1e-5
RTOL_MODEL = 1e-4
"""Relative to the largest entry: logits, and gradients through a whole model."""
NEAR = 1e-4
"""Scores this close to each other, relative to the larger, have no certain order."""

_LOSS = re.compile(r"(?P<case>[^/]+)/T(?P<temperature>\d+(?:\.\d+)?)/(?P<what>\w+)")
_BATCH = re.compile(r"batch(?P<number>\d+)/(?P<what>\w+)")
_SCORE = re.compile(r"score/(?P<letter>[EF])_(?P<unit>head|neuron)(?P<raw>_raw)?")
_MIXED = re.compile(r"lam(?P<lam>[\d.e-]+)/(?P<unit>head|neuron)_(?P<what>score|order)")
_KEPT = re.compile(
    r"lam(?P<lam>[\d.e-]+)/s(?P<sparsity>[\d.]+)/(?:(?P<unit>head|neuron)_)?(?P<what>\w+)"
)
_DROPPED = re.compile(r"layerdrop/k(?P<layers>\d+)/logits")
_PRUNED = re.compile(r"pruned_init/s(?P<sparsity>[\d.]+)/(?P<what>\w+)")

Found = Iterator[Comparison | Unknown]


def check(path: Path) -> Found:
    """Recompute every number of a file."""
    with np.load(path) as file:
        case = Case({key: file[key] for key in file.files})
    for key in case.arrays:
        if INPUT.fullmatch(key):
            continue
        try:
            yield from _check_key(key, case)
        except KeyError as exc:
            yield Unknown(key, f"needs {exc}, which the file does not have")
        except (LookupError, RaykdError, RuntimeError, TypeError, ValueError) as exc:
            yield Unknown(key, str(exc))


class Case:
    """The arrays of one file, and what is computed of its inputs."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays
        self.inputs = inputs_of(arrays)

    @property
    def recomputed(self) -> dict[str, UnitScores]:
        """Raw scores from weights and batches."""
        return self.inputs.recomputed

    @property
    def head_size(self) -> int:
        return self.inputs.head_size

    @functools.cached_property
    def stored(self) -> dict[str, UnitScores]:
        """Raw scores of the file."""
        return {
            letter: UnitScores(
                heads=self.arrays[f"score/{letter}_head_raw"],
                neurons=self.arrays[f"score/{letter}_neuron_raw"],
            )
            for letter in "EF"
        }


def _mixed(scores: Mapping[str, UnitScores], lam: float) -> UnitScores:
    return scores["E"].normalised().mixed(scores["F"].normalised(), lam)


def _of(scores: UnitScores, unit: str) -> Array:
    return scores.heads if unit == "head" else scores.neurons


def _check_key(key: str, case: Case) -> Found:
    golden = case.arrays[key]
    if m := _BATCH.fullmatch(key):
        yield _batch(key, case, int(m["number"]), m["what"])
    elif m := _SCORE.fullmatch(key):
        scores = case.recomputed[m["letter"]]
        yield _array(key, _of(scores if m["raw"] else scores.normalised(), m["unit"]), golden)
    elif m := _LOSS.fullmatch(key):
        yield _loss(key, case, m["case"], float(m["temperature"]), m["what"])
    elif m := _MIXED.fullmatch(key):
        scores = _of(_mixed(case.recomputed, float(m["lam"])), m["unit"])
        if m["what"] == "score":
            yield _array(key, scores, golden)
        else:
            yield _order(key, scores, golden)
    elif m := _KEPT.fullmatch(key):
        yield from _kept(key, case, m)
    elif m := _DROPPED.fullmatch(key):
        yield _array(key, case.inputs.first_layers(int(m["layers"])), golden)
    elif m := _PRUNED.fullmatch(key):
        yield _pruned(key, case, float(m["sparsity"]), m["what"])
    else:
        yield Unknown(key, "follows no documented pattern")


def _array(key: str, got: Array, golden: Array) -> Comparison:
    return replace(compare_gradient(key, got, golden, RTOL_MODEL), kind="array")


def _batch(key: str, case: Case, number: int, what: str) -> Comparison | Unknown:
    batch, logits = case.inputs.batches[number], case.inputs.teacher_logits[number]
    if what == "teacher_logits":
        return _array(key, logits.numpy(), case.arrays[key])
    names = {"task_loss": "E", "kd_loss": "kd"}
    if what not in names:
        return Unknown(key, f"a batch has no '{what}'")
    loss = case.inputs.losses(batch, logits)[names[what]]
    return compare_value(key, loss.item(), case.arrays[key], RTOL_MODEL)


def _loss(key: str, case: Case, name: str, temperature: float, what: str) -> Comparison | Unknown:
    sides = {f"grad_{s}": case.inputs.tensor(f"{name}/{s}_logits") for s in ("student", "teacher")}
    student, teacher = (logits.requires_grad_() for logits in sides.values())
    labels = case.inputs.tensor(f"{name}/labels")
    total = (distance(student, teacher, temperature).mean() + task_loss(student, labels)) / 2
    if what == "loss":
        return compare_value(key, total.item(), case.arrays[key], RTOL)
    if what not in sides:
        return Unknown(key, f"there is no '{what}' of a loss")
    (grad,) = torch.autograd.grad(total, [sides[what]])
    return compare_gradient(key, grad.numpy(), case.arrays[key], RTOL)


def _order(key: str, scores: Array, golden: Array) -> Comparison:
    """Count the places where another unit stands, and its score is not nearly the same."""
    want = golden.astype(np.int64)
    if want.shape != scores.shape or (np.sort(want, axis=1) != np.arange(want.shape[1])).any():
        return Comparison(key, "index", float("inf"), 0.0)
    actual = np.take_along_axis(scores, order(scores), axis=1)
    expected = np.take_along_axis(scores, want, axis=1)
    wrong = np.abs(actual - expected) > NEAR * np.maximum(np.abs(actual), np.abs(expected))
    return Comparison(key, "index", float(wrong.sum()), 0.0)


def _kept(key: str, case: Case, m: re.Match[str]) -> Found:
    lam, sparsity, unit, what = float(m["lam"]), float(m["sparsity"]), m["unit"], m["what"]
    golden, stored = case.arrays[key], _mixed(case.stored, lam)
    if unit is None and what == "logits":
        kept = choose(stored, sparsity, case.head_size)
        yield _array(key, case.inputs.pruned_logits(kept), golden)
        return
    if unit is None or what not in ("removed", "keep"):
        yield Unknown(key, f"a plan has no '{key.rpartition('/')[2]}'")
        return
    ways = {"": stored}
    if not _is_near_tie(_of(stored, unit), sparsity):
        ways[" (scores recomputed)"] = _mixed(case.recomputed, lam)
    for how, scores in ways.items():
        if what == "removed":
            got = removals(_of(scores, unit), sparsity)
        else:
            kept = choose(scores, sparsity, case.head_size)
            got = kept.heads if unit == "head" else kept.neurons
        yield compare_indices(key + how, tuple(got.reshape(-1).tolist()), golden)


def _is_near_tie(scores: Array, sparsity: float) -> bool:
    """Whether neighbours in the ranking of the model or of a block are nearly equal at a cut."""
    cut = round(sparsity / 100 * scores.size)
    pools = [(np.sort(scores, axis=None), {cut})]
    for row, removed in zip(scores, removals(scores, sparsity), strict=True):
        # Rounding to hardware sizes moves the cut of a block by at most half a step.
        pools.append((np.sort(row), set(range(removed - 4, removed + 5))))
    return any(
        0 < k < len(ranked) and ranked[k] - ranked[k - 1] <= NEAR * ranked[k]
        for ranked, cuts in pools
        for k in cuts
    )


def _pruned(key: str, case: Case, sparsity: float, what: str) -> Comparison | Unknown:
    kept = choose(case.stored["E"].normalised(), sparsity, case.head_size)
    # Through plain data, as a student travels to its trials.
    pruned = weights.capture(keep_units(case.inputs.teacher(), *kept.indices()))
    student: Any = weights.restore(pruned).eval()
    golden = case.arrays[key]
    if what == "logits":
        return _array(key, case.inputs.logits(student), golden)
    if what == "encoder_params":
        count = sum(p.numel() for p in student.bert.encoder.parameters())
        # The authors' emptied blocks still hold the bias that they do not use.
        emptied = sum(n == 0 for counts in count_units(student) for n in counts)
        count += emptied * student.config.hidden_size
        return compare_indices(key, (count,), golden)
    if what == "layer_widths":
        heads, neurons = count_units(student)
        widths = tuple(n for pair in zip(heads, neurons, strict=True) for n in pair)
        return compare_indices(key, widths, golden)
    return Unknown(key, f"a pruned student has no '{what}'")
