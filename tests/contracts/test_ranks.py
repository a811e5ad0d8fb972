"""The gradient of every method does not depend on how many ranks compute it, in how many passes.

Ranks are threads here, which run the functions of the loop; `tests.unit.training.test_ranks` runs
some of it in processes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raykd import registry
from raykd.data.base import KINDS, TEXT_KINDS
from raykd.methods.base import Method
from raykd.models.generation import GenerationSettings
from raykd.params import Scalar
from raykd.training import student_runner
from raykd.training.device import DistributedContext
from raykd.training.model_options import prepare_model
from raykd.training.settings import TrainSettings
from raykd.training.step import Step
from raykd.training.terms import LossTracker
from tests.ranks import on_ranks
from tests.small_pairs import LENGTHS, TEACHER_RATIONALES, UNLABELLED, SmallPair

METHODS = registry.names("methods")
UNEVEN = np.arange(len(LENGTHS))
GRID = ((2, 2), (3, 4))
WHOLE_GRID = tuple((ranks, passes) for ranks in (1, 2, 3) for passes in (1, 2, 4))[1:]
# Rows, and ranks and passes: all of them once for each method, and some for its variants.
BATCHES = (
    ("uneven lengths", UNEVEN, GRID, ((3, 2),)),
    ("nothing on some ranks", np.array([0, 1, 5, 3, 5, 1]), ((3, 1),), ((3, 1),)),
    ("fewer rows than ranks", np.array([3, 0]), ((3, 1),), ()),
    ("fewer rows than ranks in a pass", np.array([3, 0, 4, 2]), ((3, 2),), ()),
)
assert {1, 5} <= set(UNLABELLED) and not {1, 5} & set(TEACHER_RATIONALES)  # noqa: PT018
# Configurations besides the defaults, where a method computes something else.
OTHERS: Mapping[str, tuple[dict[str, Scalar], ...]] = {
    "ckd": ({"window": None}, {"mask_neighbours": True, "alpha": 1.0},
            {"distance": "l2", "lossfunc_d": "l2loss", "distnorm": True}),
    "ckd_adaptive": ({"window": None},),
    "pkd": ({"positions": "all"},),
    "kd": ({"alpha": 1.0}, {"alpha": 0.0}),
    "gkd": ({"lmbda": 1.0}, {"kd_ratio": 0.3}),
    "minillm": ({"whiten_over": "all", "single_step_reg": False}, {"lm_coef": 0.0}),
    "step_by_step": ({"kappa_l": 0.5, "kappa_r": 0.4, "teacher_prompt": "same", "alpha": 0.3},
                     {"kappa_l": 0.5}),
    "sinkd": ({"reduction": "mean"},),
    "jsd": ({"normalised": True, "beta": 0.2},),
    "one_to_one": ({"width_map": "assign"},),
    "minilmv2": ({"alpha": 0.5},),
    "skew_kl": ({"direction": "reverse", "kd_ratio": 0.5},),
}  # fmt: skip
# What the pair of this file needs, and what makes a step cheap or certain.
NEEDED: Mapping[str, dict[str, Scalar]] = {
    "ckd": {"layers": "emb+skip"},
    "ckd_adaptive": {"min_width": 0.75, "min_depth": 0.75},
    # A correlation over a batch is one per pass: see `test_correlations_are_those_of_each_rank`.
    "one_to_one": {"alpha_corr": 0.0, "alpha_mse": 1.0, "alpha_cos": 1.0, "alpha_ce": 0.5},
    "gkd": {"max_new_tokens": 5, "lmbda": 0.0},
    "minillm": {"max_new_tokens": 5, "ppo_epochs": 1},
    "minillm_sbs": {"max_new_tokens": 5, "ppo_epochs": 1},
}


@pytest.fixture(autouse=True)
def _the_likeliest_text(monkeypatch):
    """Draws differ from rank to rank; the likeliest text of a row is the same wherever it is."""
    monkeypatch.setattr(
        student_runner,
        "GenerationSettings",
        lambda **given: GenerationSettings(**{**given, "sample": False}),
    )


@functools.cache
def pair_of(kind: str) -> SmallPair:
    pair = SmallPair.of(kind)
    return SmallPair(
        kind=kind, task=pair.task, teacher=pair.teacher.double(), student=pair.student.double(),
        rows=pair.rows,
    )  # fmt: skip


@functools.cache
def student_of(kind: str, rank: int) -> nn.Module:
    """A copy for each rank; nothing but an optimizer, which is not here, changes its weights."""
    return copy.deepcopy(pair_of(kind).student)


@functools.cache
def teacher_of(kind: str, rank: int) -> nn.Module:
    """A copy for each rank: a forward pass changes it for a moment."""
    return copy.deepcopy(pair_of(kind).teacher)


def step_of(kind: str, method: Method[Any], world: DistributedContext) -> Step:
    """The step of a training on one rank, without a gradient from the one before."""
    student = student_of(kind, world.rank)
    student.zero_grad()
    return pair_of(kind).step(method, world, student, teacher_of(kind, world.rank))


@dataclass
class Result:
    """Of one step on some ranks."""

    gradient: Tensor
    logged: list[Mapping[str, float]] = field(default_factory=list)


def one_step(
    kind: str, name: str, values: Mapping[str, Scalar], rows, size: int, passes: int = 1
) -> Result:
    pair = pair_of(kind)

    def run(world: DistributedContext) -> tuple[Tensor, Mapping[str, float]]:
        method = pair.method(name, **{**NEEDED.get(name, {}), **_for(kind, name), **values})
        if (extra := method.modules()) is not None:
            extra.double()
        method.at_epoch(0, 1)
        step = step_of(kind, method, world)
        actual = step.run(pair.parts(method, rows, world, passes), rows)
        loss_tracker = LossTracker(world)
        loss_tracker.add(actual.terms, actual.totals, actual.values, 1)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in step.parameters()]
        return torch.cat([g.flatten() for g in grads]), loss_tracker.means(1)

    torch.manual_seed(0)
    actual = on_ranks(size, run)
    gradient, *others = (g for g, _ in actual)
    assert all(torch.equal(gradient, other) for other in others)
    return Result(gradient, [terms for _, terms in actual])


def _for(kind: str, name: str) -> dict[str, Scalar]:
    cannot_mix = kind == "seq2seq" and name.startswith("minillm")
    return {"teacher_mixed_alpha": 0.0} if cannot_mix else {}


def kinds_of(name: str) -> list[str]:
    """Kinds of task that a method serves."""
    return [kind for kind in KINDS if kind in registry.load("methods", name).kinds]


CASES = [
    # Every method with every change on the first kind that it serves, and one method on every kind.
    pytest.param(
        kind, name, values, id="-".join([kind, name, *map(str, values.values())]),
        marks=pytest.mark.slow if kind != kinds_of(name)[0] and (values or name != "kd") else (),
    )
    for name in METHODS
    for kind in kinds_of(name)
    for values in ({}, *OTHERS.get(name, ()))
    # What is set for text means nothing for classes, and the other way round.
    if not (kind not in TEXT_KINDS and name in ("gkd", "minillm"))
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_nor_on_any_other_number_of_both(name):
    kind = kinds_of(name)[0]
    rest = tuple(way for way in WHOLE_GRID if way not in GRID)
    check_ways(kind, name, {}, (("uneven lengths", UNEVEN, rest),))


@pytest.mark.parametrize(("kind", "name", "values"), CASES)
def test_the_gradient_and_what_is_logged_do_not_depend_on_ranks_and_passes(kind, name, values):
    is_first = kind == kinds_of(name)[0] and not values
    batches = [(why, rows, every if is_first else some) for why, rows, every, some in BATCHES]
    check_ways(kind, name, values, batches)


def check_ways(kind, name, values, batches) -> None:
    # What is compared within a pass is another thing in several: see the tests below.
    whole = bool(registry.load("methods", name).batch_wide) and name not in NEEDED
    for why, rows, ways in batches:
        if not ways:
            continue
        alone = one_step(kind, name, values, rows, 1)
        largest = alone.gradient.abs().max().item()
        for size, passes in ways:
            if whole and passes > 1:
                continue
            spread = one_step(kind, name, values, rows, size, passes)
            off = (spread.gradient - alone.gradient).abs().max().item()
            assert off <= 1e-5 * max(largest, 1e-3), (why, size, passes, off, largest)
            for terms in spread.logged:
                expected = pytest.approx(alone.logged[0], rel=1e-5, abs=1e-7)
                assert terms == expected, (why, size, passes)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "ckd_adaptive"])
def test_blocks_that_are_computed_again_have_the_same_gradient(name):
    kind = kinds_of(name)[0]
    actual = {}
    for again in (False, True):
        pair = SmallPair.of(kind, dropout=0.1)
        method = pair.method(name, **NEEDED.get(name, {}))
        method.at_epoch(0, 1)
        alone = DistributedContext(0, 1, torch.device("cpu"))
        settings = TrainSettings(gradient_checkpointing=again)
        prepare_model(pair.student, settings, alone.device)
        step = pair.step(method, alone, pair.student)
        torch.manual_seed(3)
        step.run(pair.parts(method, UNEVEN, alone, 2), UNEVEN)
        actual[again] = {n: p.grad for n, p in step.named_parameters() if p.grad is not None}
    assert actual[True].keys() == actual[False].keys()
    for parameter, gradient in actual[False].items():
        assert torch.allclose(actual[True][parameter], gradient, rtol=1e-5, atol=1e-7), parameter


@pytest.mark.parametrize("kind", ["classification", "span"])
def test_correlations_are_those_of_each_rank_and_pass_averaged_by_their_tokens(kind):
    plain = {
        "alpha_corr": 1.0, "corr_norm": "tokens", "alpha_mse": 0.0, "alpha_cos": 0.0,
        "mask_mode": "none", "alpha_task": 0.0, "alpha_ce": 0.0,
    }  # fmt: skip
    rows = UNEVEN
    parts = [one_step(kind, "one_to_one", plain, rows[rank::2], 1) for rank in range(2)]
    tokens = [float(sum(LENGTHS[row] for row in rows[rank::2])) for rank in range(2)]
    expected = sum(n * part.gradient for n, part in zip(tokens, parts, strict=True)) / sum(tokens)
    spread = one_step(kind, "one_to_one", plain, rows, 2)
    assert torch.allclose(spread.gradient, expected, atol=1e-6 * expected.abs().max().item())
    # In passes, rows of similar length go together.
    by_length = np.argsort(LENGTHS, kind="stable")
    halves = [one_step(kind, "one_to_one", plain, half, 1) for half in np.split(by_length, 2)]
    tokens = [float(np.array(LENGTHS)[half].sum()) for half in np.split(by_length, 2)]
    expected = sum(n * part.gradient for n, part in zip(tokens, halves, strict=True)) / sum(tokens)
    spread = one_step(kind, "one_to_one", plain, rows, 1, 2)
    assert torch.allclose(spread.gradient, expected, atol=1e-6 * expected.abs().max().item())


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("size", [1, 2])
def test_predictions_are_transported_within_each_micro_batch_of_all_ranks(reduction, size):
    values = {"alpha": 0.0, "beta": 1.0, "reduction": reduction}
    halves = np.split(np.argsort(LENGTHS, kind="stable"), 2)
    each = [one_step("classification", "sinkd", values, half, 1) for half in halves]
    parts = [one.logged[0]["sinkhorn"] for one in each]
    spread = one_step("classification", "sinkd", values, UNEVEN, size, 2)
    expected = sum(parts) if reduction == "sum" else sum(parts) / 2
    assert spread.logged[0]["sinkhorn"] == pytest.approx(expected, rel=1e-6)


def test_ranks_draw_the_same_part_of_the_neurons():
    method_of = pair_of("classification").method
    seen = {}

    def run(world: DistributedContext) -> None:
        pair = pair_of("classification")
        method = method_of("one_to_one")
        step = step_of("classification", method, world)
        for passes in (1, 3):
            parts = pair.parts(method, UNEVEN, world, passes)
            step.run(parts, UNEVEN)
            drawn = method._kept(parts[-1].batch, 16)
            seen[world.size, world.rank, passes] = tuple(drawn.tolist())

    on_ranks(1, run)
    on_ranks(2, run)
    assert len(seen) == 6
    assert len(set(seen.values())) == 1


def test_ranks_agree_on_whose_text_is_learnt_from():
    """Each draws for itself; what the first one drew decides."""
    pair = pair_of("causal_lm")
    rows = UNEVEN

    def run(world: DistributedContext) -> list[float]:
        method = pair.method("gkd", lmbda=0.5, kd_ratio=0.5, max_new_tokens=3)
        step = step_of("causal_lm", method, world)
        parts = pair.parts(method, rows, world, 2)
        return [float("task" in step.run(parts, rows).terms.names) for _ in range(12)]

    torch.manual_seed(1)
    one, two = on_ranks(2, run)
    assert one == two
    assert 0 < sum(one) < 12


def test_tokens_are_transported_within_each_rank():
    """By design: how many tokens others have is not known. A mean over tokens on either side."""
    values = {"view": "tokens", "alpha": 0.0, "beta": 1.0}
    rows = UNEVEN
    parts = [one_step("causal_lm", "sinkd", values, rows[rank::2], 1) for rank in range(2)]
    spread = one_step("causal_lm", "sinkd", values, rows, 2)
    labels = pair_of("causal_lm").rows.label_counts()
    tokens = [float(labels[rows[rank::2]].sum()) for rank in range(2)]
    expected = sum(n * p.logged[0]["sinkhorn"] for n, p in zip(tokens, parts, strict=True))
    assert spread.logged[0]["sinkhorn"] == pytest.approx(expected / sum(tokens), rel=1e-6)
