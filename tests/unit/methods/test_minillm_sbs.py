from __future__ import annotations

import pytest
import torch

from raykd.data.base import EXPLAIN
from raykd.losses.terms import Mean
from raykd.methods.base import OnlineTeacherFn, OutputSpec
from raykd.methods.minillm_sbs import METHOD, Params
from raykd.models.signals.logits import Logits
from raykd.models.signals.rationales import Rationales
from raykd.models.signals.running_model import RunningModel
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.small_pairs import SmallPair
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import Model, labels_of, likelihood, one_step

CONTEXT = setups.context("causal_lm")


def batch(rationales):
    explain = text_setups.batch(rationales, seed=1)
    return text_setups.batch([2, 1, 3], views={EXPLAIN: explain})


def run(of, student, **values):
    teacher = OnlineTeacherFn(torch.nn.Identity(), Model(2, trained=False))
    return one_step(METHOD(Params(max_new_tokens=5, **values), CONTEXT), of, student, teacher)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_labels_are_sampled_and_rationales_are_given(alpha):
    of, student = batch([4, 0, 2]), Model(1)
    terms = run(of, student, alpha=alpha, lm_coef=0.7)
    explain = of.views[EXPLAIN]
    hard = likelihood(student.logits(explain), labels_of(explain))
    shown = terms.metrics["policy"] + terms.metrics["single_step"]
    assert terms["responses"].item() == pytest.approx(alpha * shown.item(), rel=1e-5, abs=1e-9)
    assert set(terms) == {"responses", "text"} | ({"rationale"} if alpha < 1 else set())
    if alpha < 1:
        assert terms["rationale"].item() == pytest.approx((1 - alpha) * hard, rel=1e-5)
        assert terms.means["rationale"].count == 6
    # The weight of the task's own responses is not alpha's affair.
    plain = run(of, Model(1), alpha=0.5, lm_coef=0.7)
    assert terms["text"].item() == pytest.approx(plain["text"].item(), rel=1e-6)


def test_a_batch_without_rationales_has_a_term_of_zero_that_counts_nothing():
    terms = run(batch([0, 0, 0]), Model(1), alpha=0.5)
    rationale = terms.means["rationale"]
    assert isinstance(rationale, Mean)
    assert (rationale.value.item(), rationale.count) == (0.0, 0)
    assert terms["responses"].item() != 0.0


def test_it_trains_where_most_batches_have_no_rationale():
    pair = SmallPair.of("causal_lm")
    method = pair.method("minillm_sbs", max_new_tokens=3, ppo_epochs=2, alpha=0.4)
    alone = DistributedContext(0, 1, torch.device("cpu"))
    history = train_model(pair.job(method, pair.student, alone, batch_size=2, epochs=1,
                           evals_per_epoch=5)).history  # fmt: skip
    seen = ["rationale" in e.terms for e in history]
    assert any(seen)
    assert not all(seen)
    for evaluation in history:
        terms = evaluation.terms
        minimised = sum(terms.get(name, 0.0) for name in ("responses", "text", "rationale"))
        assert terms["loss"] == pytest.approx(minimised, rel=1e-5)


def test_it_reads_rationales_next_to_what_minillm_reads():
    method = METHOD(Params(), CONTEXT)
    assert method.teacher_outputs() == OutputSpec(Logits(), RunningModel(), Rationales())
    assert method.view == "predict"
    assert method.views() == (EXPLAIN,)
