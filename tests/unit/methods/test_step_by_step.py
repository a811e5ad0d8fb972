from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from raykd.data.base import EXPLAIN, PLAIN
from raykd.losses.terms import Mean
from raykd.methods.base import OutputSpec
from raykd.methods.step_by_step import METHOD, Params
from raykd.models.signals.logits import Logits
from raykd.models.signals.rationales import Rationales
from raykd.models.signals.running_model import RunningModel
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.small_pairs import TEACHER_RATIONALES, SmallPair
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import Model, by_name, labels_of, likelihood

CONTEXT = setups.context("seq2seq")
ALONE = DistributedContext(0, 1, torch.device("cpu"))


def batch(rationales=(5, 0, 2)):
    """Three rows, the second one without a rationale; the teacher reads plain ones."""
    explain, plain = text_setups.batch(rationales, seed=1), text_setups.batch([2, 1, 3], seed=2)
    return text_setups.batch([2, 1, 3], views={EXPLAIN: explain, PLAIN: plain})


def run(student, teacher, of=None, **values):
    return METHOD(Params(**values), CONTEXT).step(of or batch(), student, teacher)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 0.0])
def test_labels_and_rationales_are_means_over_their_own_tokens(alpha):
    of, student = batch(), Model(1)
    terms = run(student, Model(2, trained=False), of, alpha=alpha)
    explain = of.views[EXPLAIN]
    label = likelihood(student.logits(of), labels_of(of))
    rationale = likelihood(student.logits(explain), labels_of(explain))
    actual = {name: term.item() for name, term in terms.items()}
    expected = {"label": alpha * label, "rationale": (1 - alpha) * rationale}
    assert actual == pytest.approx({k: v for k, v in expected.items() if v}, rel=1e-5)
    assert len(student.read) == len(actual)  # a pass of weight 0 is not made
    counts = {name: term.count for name, term in terms.means.items() if isinstance(term, Mean)}
    assert counts == {k: n for k, n in {"label": 6, "rationale": 7}.items() if k in actual}


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd", "skew_forward_kl"])
def test_the_teacher_has_a_share_in_either(divergence):
    of, student, teacher = batch(), Model(1), Model(2, trained=False)
    terms = run(student, teacher, of, alpha=0.4, kappa_l=0.3, kappa_r=0.8, teacher_prompt="same",
                divergence=divergence, beta=0.2, lam=0.3)  # fmt: skip
    explain, actual = of.views[EXPLAIN], {}
    for name, read, share, weight in (("label", of, 0.3, 0.4), ("rationale", explain, 0.8, 0.6)):
        student_logits, teacher_logits = student.logits(read), teacher.logits(read)
        apart = by_name(divergence, student_logits, teacher_logits, beta=0.2, lam=0.3)
        hard = likelihood(student_logits, labels_of(read))
        actual[name] = weight * ((1 - share) * hard + share * apart)
    assert {k: v.item() for k, v in terms.items()} == pytest.approx(actual, rel=1e-5)


def test_a_teacher_that_reads_plain_rows_gets_them():
    of, student, teacher = batch(), Model(1), Model(2, trained=False)
    terms = run(student, teacher, of, kappa_l=1.0, alpha=1.0)
    assert teacher.read == [of.views[PLAIN]]
    teacher_logits = teacher.logits(of.views[PLAIN])
    apart = by_name("forward_kl", student.logits(of), teacher_logits)
    assert terms["label"].item() == pytest.approx(apart, rel=1e-5)


def test_its_gradient_is_that_of_both_tasks():
    of, student = batch(), Model(1)
    explain = of.views[EXPLAIN]
    terms = run(student, Model(2, trained=False), of, alpha=0.3)
    dense = 0.3 * F.cross_entropy(student.logits(of), labels_of(of))
    dense = dense + 0.7 * F.cross_entropy(student.logits(explain), labels_of(explain))
    text_setups.check_gradient(terms, student, dense)


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_a_batch_without_rationales_has_a_term_of_zero_that_counts_nothing(alpha):
    of, student = batch(rationales=(0, 0, 0)), Model(1)
    terms = run(student, Model(2, trained=False), of, alpha=alpha)
    rationale = terms.means["rationale"]
    assert isinstance(rationale, Mean)
    assert (rationale.value.item(), rationale.count) == (0.0, 0)
    terms.total().backward()
    moved = student.gradient().abs().max().item()
    assert moved == 0.0 if alpha == 0 else moved > 0.0


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_it_trains_where_most_batches_have_no_rationale(kind, alpha):
    pair = SmallPair.of(kind)
    method = pair.method("step_by_step", alpha=alpha)
    # Batches of two of ten rows, of which three have a rationale.
    job = pair.job(method, pair.student, ALONE, batch_size=2, epochs=2, evals_per_epoch=5)
    result = train_model(job)
    assert result.steps == 10
    with_rationales = [e for e in result.history if "rationale" in e.terms]
    assert 2 <= len(with_rationales) <= 2 * len(TEACHER_RATIONALES)
    for evaluation in result.history:
        terms = dict(evaluation.terms)
        assert terms.pop("loss") == pytest.approx(sum(terms.values()), rel=1e-5, abs=1e-9)
        assert ("label" in terms) is (alpha > 0)


def test_the_logged_rationale_term_is_the_mean_over_the_steps_that_had_some():
    pair = SmallPair.of("seq2seq")
    job = pair.job(pair.method("step_by_step"), pair.student, ALONE, batch_size=2,
                   epochs=1, evals_per_epoch=5)  # fmt: skip
    by_step = train_model(job).history
    other = SmallPair.of("seq2seq")
    job = other.job(other.method("step_by_step"), other.student, ALONE, batch_size=2, epochs=1)
    [whole] = train_model(job).history
    seen = [e.terms["rationale"] for e in by_step if "rationale" in e.terms]
    assert 0 < len(seen) < len(by_step)
    assert whole.terms["rationale"] == pytest.approx(sum(seen) / len(seen), rel=1e-5)
    assert whole.terms["loss"] == pytest.approx(
        sum(e.terms["loss"] for e in by_step) / len(by_step), rel=1e-5
    )


def test_what_is_read_and_refused():
    def method(context=CONTEXT, **values):
        return METHOD(Params(**values), context)

    assert method().teacher_outputs() == OutputSpec(Rationales())
    assert method(kappa_l=0.5).teacher_outputs() == OutputSpec(Rationales(), Logits())
    assert method(kappa_l=0.5).views() == (EXPLAIN, PLAIN)
    same = method(kappa_r=0.5, teacher_prompt="same")
    assert same.teacher_outputs() == OutputSpec(Rationales(), Logits(), RunningModel())
    assert same.views() == (EXPLAIN,)
    assert "set teacher_prompt: same" in method(kappa_r=0.5).refusal()
    unasked = dataclasses.replace(CONTEXT, teacher_views=(PLAIN,))
    refused = method(unasked, kappa_l=0.5, teacher_prompt="same").refusal()
    assert "teacher.finetune.explain: 0.5" in refused
