"""Every setting of training changes the training; a new one without a line here fails."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from raykd.training.loop import fit
from raykd.training.settings import TrainSettings
from tests.unit.training.toys import Plain, job, numbers

OTHER = {
    "epochs": 3, "batch_size": 8, "lr": 2e-3, "warmup_ratio": 0.5, "schedule": "constant",
    "weight_decay": 0.5, "adam_epsilon": 1e-2, "max_grad_norm": 1e-3, "precision": "bf16",
    "dropout": 0.5, "length_grouping": False,
}  # fmt: skip
ONLY_EVALUATION = {"evals_per_epoch", "eval_batch_size"}


def trained(**changes) -> dict[str, torch.Tensor]:
    made = job(method=Plain, **changes)
    fit(made)
    return {name: value.detach().clone() for name, value in made.model.state_dict().items()}


def test_every_setting_has_a_line():
    fields = {field.name for field in dataclasses.fields(TrainSettings)}
    assert fields == {*OTHER, *ONLY_EVALUATION}


@pytest.fixture(scope="module")
def plain() -> dict[str, torch.Tensor]:
    return trained(precision="fp32")


@pytest.mark.parametrize("name", OTHER)
def test_it_changes_what_is_learnt(plain, name):
    changed = trained(**({"precision": "fp32"} | {name: OTHER[name]}))
    assert any(not torch.equal(changed[key], value) for key, value in plain.items())


def test_more_evaluations_change_nothing_else():
    often = fit(job(method=Plain, evals_per_epoch=2))
    plain = fit(job(method=Plain))
    assert len(often.history) == 2 * len(plain.history)
    # Terms are means since the evaluation before.
    assert [e.metrics for e in often.history[1::2]] == [e.metrics for e in plain.history]


def test_rows_are_scored_in_batches_of_the_size_that_was_set():
    sizes: list[int] = []
    made = job(method=Plain, eval_batch_size=7)
    model = made.model
    model.register_forward_pre_hook(
        lambda module, given, named: None if module.training else sizes.append(
            len(named.get("input_ids", given[0] if given else ()))),
        with_kwargs=True,
    )  # fmt: skip
    result = fit(made)
    assert max(sizes) == 7
    assert numbers(result.history) != []
    for seven, plain in zip(result.history, fit(job(method=Plain)).history, strict=True):
        assert seven.metrics == pytest.approx(plain.metrics)
