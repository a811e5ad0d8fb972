from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from raykd.methods._ranks import SingleProcess
from raykd.methods.base import OutputSpec, Sampling
from raykd.methods.gkd import METHOD, Params
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.models.signals.running_model import RunningModel
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.small_pairs import SmallPair
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import (
    Model,
    by_name,
    check_gradient,
    labels_of,
    likelihood,
    one_step,
)

CONTEXT = setups.context("causal_lm")
OF = text_setups.batch([2, 4, 1])


def run(student, teacher, **values):
    return one_step(METHOD(Params(**values), CONTEXT), OF, student, teacher)


@pytest.mark.parametrize(
    "values", [{"beta": 0.5}, {"beta": 0.1, "normalised": True}, {"beta": 0.0}, {"beta": 1.0}]
)
def test_on_its_own_text_it_is_the_divergence_alone(values):
    """`kd_ratio` is for the task's responses: what the student wrote is no label."""
    student, teacher = Model(1), Model(2, trained=False)
    terms = run(student, teacher, lmbda=1.0, kd_ratio=0.3, **values)
    [own] = student.read
    assert torch.equal(own.labels, student.generate(OF).labels)
    assert [of is own for of in teacher.read] == [True]
    params = Params(**values)
    apart = by_name("jsd", student.logits(own), teacher.logits(own), beta=params.beta,
                    normalised=params.normalised)  # fmt: skip
    assert set(terms.metrics) == {"distil"}
    assert terms.total().item() == pytest.approx(apart, rel=1e-5)


def test_it_says_how_its_own_text_is_written():
    student = Model(1)
    run(student, Model(2, trained=False), lmbda=1.0, max_new_tokens=7, sampling_temperature=0.4)
    assert student.written == Sampling(max_new_tokens=7, temperature=0.4)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_on_the_tasks_responses_the_labels_get_the_rest(ratio):
    student, teacher = Model(1), Model(2, trained=False)
    terms = run(student, teacher, lmbda=0.0, kd_ratio=ratio, beta=0.3)
    student_logits, teacher_logits, labels = student.logits(OF), teacher.logits(OF), labels_of(OF)
    apart = by_name("jsd", student_logits, teacher_logits, beta=0.3)
    expected = ratio * apart + (1 - ratio) * likelihood(student_logits, labels)
    assert terms.total().item() == pytest.approx(expected, rel=1e-5)
    q, p = student_logits.softmax(-1), teacher_logits.softmax(-1)
    mixed = 0.3 * p + 0.7 * q
    rows = 0.3 * (p * (p / mixed).log()).sum(-1) + 0.7 * (q * (q / mixed).log()).sum(-1)
    dense = ratio * rows.mean() + (1 - ratio) * F.cross_entropy(student_logits, labels)
    check_gradient(terms, student, dense)


def test_lambda_is_the_share_of_steps_on_its_own_text():
    method = METHOD(Params(lmbda=0.3, kd_ratio=0.5), CONTEXT)
    torch.manual_seed(0)
    own = sum("task" not in one_step(method, OF, Model(1), Model(2)).metrics for _ in range(400))
    assert own == pytest.approx(120, abs=30)


@pytest.mark.parametrize(("drawn", "own"), [(0.49, True), (0.5, False), (0.51, False)])
def test_what_the_first_rank_drew_decides(drawn, own):
    class First(SingleProcess):
        def broadcast(self, value: float) -> float:
            assert 0.0 <= value < 1.0
            return drawn

    method = METHOD(Params(lmbda=0.5, kd_ratio=0.5), CONTEXT)
    method.ranks = First()
    terms = one_step(method, OF, Model(1), Model(2, trained=False))
    assert ("task" not in terms.metrics) is own


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_steps_of_both_kinds_mix_in_a_training(kind):
    pair = SmallPair.of(kind)
    method = pair.method("gkd", lmbda=0.5, kd_ratio=0.5, max_new_tokens=4)
    alone = DistributedContext(0, 1, torch.device("cpu"))
    result = train_model(pair.job(method, pair.student, alone, epochs=4, evals_per_epoch=3))
    assert result.steps == 12
    # One step between two evaluations: the likelihood of labels is there in some of them only.
    kinds = {frozenset(e.terms) for e in result.history}
    assert kinds == {frozenset({"loss", "task", "distil"}), frozenset({"loss", "distil"})}
    for evaluation in result.history:
        terms = dict(evaluation.terms)
        assert terms.pop("loss") == pytest.approx(sum(terms.values()), rel=1e-5)


def test_what_is_read_of_the_teacher():
    assert METHOD(Params(lmbda=0.0), CONTEXT).teacher_outputs() == OutputSpec(Logits())
    assert METHOD(Params(lmbda=0.1), CONTEXT).teacher_outputs() == OutputSpec(
        Logits(), RunningModel()
    )
    method = METHOD(Params(lmbda=0.0, kd_ratio=0.0), CONTEXT)
    terms = one_step(method, OF, Model(1), lambda _: Outputs())
    assert set(terms.metrics) == {"task"}
