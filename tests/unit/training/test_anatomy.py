"""The terms of a loss looked at apart: what is found, when, and that nothing depends on it."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.task_kinds import KINDS
from raykd.results.records import Evaluation
from raykd.training.anatomy import LossAnatomy, sampled_steps
from raykd.training.device import DistributedContext, in_lockstep
from raykd.training.loop import train_model
from tests.ranks import on_ranks
from tests.small_pairs import SmallPair

ALONE = DistributedContext(0, 1, torch.device("cpu"))
FEW = {"epochs": 1, "lr": 1e-2}


@pytest.fixture(autouse=True)
def every_training_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of many steps is, where it is no matter of chance."""
    monkeypatch.setattr("raykd.training.anatomy.APART", 1)


def trained(kind: str, name: str, **changes: Any) -> tuple[torch.nn.Module, tuple[Evaluation, ...]]:
    pair = SmallPair.of(kind, dropout=0.2)
    model = copy.deepcopy(pair.student)
    result = train_model(pair.job(pair.method(name), model, ALONE, **{**FEW, **changes}))
    return model, result.history


def kind_of(name: str) -> str:
    """A kind of task that a method works on."""
    kinds = registry.load("methods", name).kinds
    return next(kind for kind in KINDS if kind in kinds)


@pytest.mark.parametrize("name", registry.names("methods"))
def test_a_training_is_the_same_whether_its_loss_is_looked_at_or_not(name):
    kind = kind_of(name)
    seen, history = trained(kind, name)
    unseen, plain = trained(kind, name, samples=0)
    for (at, own), other in zip(seen.named_parameters(), unseen.parameters(), strict=True):
        assert torch.equal(own, other), at
    assert [e.terms for e in history] == [e.terms for e in plain]
    assert not any(e.anatomy for e in plain)


def test_sizes_norms_and_cosines_are_those_of_the_gradients():
    pair = SmallPair.of("classification")
    method, model = pair.method("pkd"), copy.deepcopy(pair.student)
    step = pair.step(method, ALONE, model)
    rows = torch.arange(8).numpy()
    (part,) = pair.parts(method, rows, ALONE, 1)
    anatomy = LossAnatomy(model, method, ALONE)
    step.run([part], rows, anatomy)
    whole = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    actual = anatomy.take()
    assert anatomy.take() == {}
    terms = method.step(part.batch, step._student, step._teacher)
    gradients = {
        name: torch.cat([
            (torch.zeros_like(p) if g is None else g).flatten()
            for p, g in zip(
                model.parameters(),
                torch.autograd.grad(
                    term, list(model.parameters()), allow_unused=True, retain_graph=True
                ),
                strict=True,
            )
        ])
        for name, term in terms.items()
    }  # fmt: skip
    assert set(gradients) == {"task", "distil", "patient"}
    for name, gradient in gradients.items():
        assert actual[f"size {name}"] == pytest.approx(float(terms[name].detach()), rel=1e-5)
        assert actual[f"norm {name}"] == pytest.approx(float(gradient.norm()), rel=1e-4)
    cosine = torch.cosine_similarity(gradients["task"], gradients["distil"], dim=0)
    assert actual["cosine task distil"] == pytest.approx(float(cosine), abs=1e-4)
    # The gradients of the terms add up to that of the step.
    norms = {name: actual[f"norm {name}"] for name in gradients}
    squared = sum(n**2 for n in norms.values()) + 2 * sum(
        actual[f"cosine {a} {b}"] * norms[a] * norms[b]
        for a, b in (("task", "distil"), ("task", "patient"), ("distil", "patient"))
    )
    assert math.sqrt(squared) == pytest.approx(float(whole.norm()), rel=1e-3)


def looked_at(world: DistributedContext, kind: str, name: str, passes: int) -> dict[str, float]:
    """What is found of the terms of one step on all rows."""
    pair = SmallPair.of(kind)
    method, model = pair.method(name), copy.deepcopy(pair.student)
    anatomy = LossAnatomy(model, method, world)
    rows = np.arange(7)
    pair.step(method, world, model).run(pair.parts(method, rows, world, passes), rows, anatomy)
    return anatomy.take()


@pytest.mark.parametrize(
    ("kind", "name", "size", "passes"),
    [
        ("classification", "pkd", 2, 1),  # 4 and 3 rows
        ("classification", "sinkd", 3, 1),  # meets the other ranks within a pass
        ("causal_lm", "step_by_step", 2, 1),  # counts tokens, of which ranks have not as many
        ("classification", "kd", 8, 1),  # a rank without rows
    ],
)
def test_ranks_find_what_one_process_finds_on_all_rows(kind, name, size, passes):
    expected = looked_at(ALONE, kind, name, passes)
    assert len(expected) > 4
    for actual in on_ranks(size, lambda world: looked_at(world, kind, name, passes)):
        assert actual == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_one_rank_without_memory_for_it_ends_the_look_on_all_and_the_step_continues():
    def step_of(world: DistributedContext) -> tuple[dict[str, float], torch.Tensor]:
        pair = SmallPair.of("classification")
        method, model = pair.method("sinkd"), copy.deepcopy(pair.student)
        anatomy = LossAnatomy(model, method, world)
        rows, look = np.arange(8), anatomy.look

        def short_of_memory(batch: Any, names: Any, terms_of: Any, shares: Any) -> None:
            def too_much(_: Any) -> Any:
                raise torch.OutOfMemoryError("CUDA out of memory")

            look(batch, names, too_much if world.rank == 1 else terms_of, shares)

        anatomy.look = short_of_memory
        pair.step(method, world, model).run(pair.parts(method, rows, world), rows, anatomy)
        return anatomy.take(), torch.cat([p.grad.flatten() for p in model.parameters()
                                          if p.grad is not None])  # fmt: skip

    (one, gradient), (two, same) = on_ranks(2, step_of)
    assert (one, two) == ({}, {})
    assert torch.equal(gradient, same)


def test_the_last_evaluation_of_a_short_training_carries_a_sample_and_a_loss_of_one_term_none():
    _, history = trained("classification", "kd", epochs=5, samples=1)
    assert [bool(e.anatomy) for e in history] == [False, False, False, False, True]
    _, alone = trained("classification", "none", epochs=2)
    assert not any(e.anatomy for e in alone)


def test_ranks_that_meet_within_passes_as_the_teacher_is_sharded_do_not_look():
    pair = SmallPair.of("classification")
    model, found = copy.deepcopy(pair.student), {}
    for world in (ALONE, in_lockstep(ALONE)):
        job = pair.job(pair.method("kd"), copy.deepcopy(model), world, **FEW)
        found[world.lockstep] = [bool(e.anatomy) for e in train_model(job).history]
    assert found == {False: [True], True: [False]}


@pytest.mark.parametrize(
    ("evaluations", "draw", "sampled"),
    [
        ([500], 0.0, {500}), ([250, 500], 0.9, {500}), ([500, 1000], 0.9, {500, 1000}),
        ([], 0.0, set()), ([500, 1000, 1500, 2000, 2500, 3000], 0.0, {1000, 2000, 3000}),
        ([100], 0.19, {100}), ([100], 0.21, set()), ([300, 600], 0.19, {300, 600}),
        ([300, 600], 0.21, {600}),
    ],
)  # fmt: skip
def test_samples_are_spread_evenly_and_one_for_500_steps_in_the_mean(
    monkeypatch, evaluations, draw, sampled
):
    monkeypatch.setattr("raykd.training.anatomy.APART", 500)
    assert sampled_steps(evaluations, 3, draw) == sampled
    assert sampled_steps(evaluations, 0, draw) == set()


def test_short_trainings_are_looked_at_by_their_seeds(monkeypatch):
    pair = SmallPair.of("classification")
    model = copy.deepcopy(pair.student)
    steps = train_model(pair.job(pair.method("kd"), model, ALONE, **FEW)).steps
    monkeypatch.setattr("raykd.training.anatomy.APART", 2 * steps)

    def is_looked_at(seed: int) -> bool:
        job = pair.job(pair.method("kd"), copy.deepcopy(pair.student), ALONE, seed=seed, **FEW)
        return bool(train_model(job).history[-1].anatomy)

    actual = [is_looked_at(seed) for seed in range(24)]
    assert 6 <= sum(actual) <= 18
    assert [is_looked_at(seed) for seed in range(4)] == actual[:4]


def test_where_memory_runs_out_nothing_is_kept_and_the_training_continues():
    pair = SmallPair.of("classification")
    anatomy = LossAnatomy(pair.student, pair.method("kd"), ALONE)
    before = torch.get_rng_state()

    def too_much(batch: Any) -> Any:
        torch.rand(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    anatomy.look(object(), ("task", "distil"), too_much)
    assert anatomy.take() == {}
    assert torch.equal(torch.get_rng_state(), before)


def test_memory_that_runs_out_is_no_reason_for_smaller_passes(monkeypatch):
    def too_much(*args: Any) -> Any:
        raise MemoryError("out of memory")

    monkeypatch.setattr(LossAnatomy, "_apart", too_much)
    _, history = trained("classification", "kd", epochs=2)
    assert [e.micro_batch for e in history] == [0, 0]


def test_a_term_without_a_gradient_has_no_cosine():
    model = torch.nn.Linear(2, 1)
    pair = SmallPair.of("classification")
    anatomy = LossAnatomy(model, pair.method("kd"), ALONE)
    anatomy.look(
        object(),
        ("a", "b"),
        lambda _: {"a": model(torch.ones(2)).sum(), "b": torch.tensor(3.0)},
    )
    actual = anatomy.take()
    assert (actual["size b"], actual["norm b"]) == (3.0, 0.0)
    assert actual["norm a"] == pytest.approx(math.sqrt(3))
    assert "cosine a b" not in actual
