from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from raykd.data.base import Batch
from raykd.losses.terms import Mean
from raykd.methods._ranks import SingleProcess
from raykd.methods.base import OnlineTeacherFn
from raykd.methods.minillm import METHOD, Params, Rollout, policy_terms, rollout_of, sampled_of
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.small_pairs import SmallPair
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import (
    Model,
    by_name,
    kl,
    labels_of,
    likelihood,
    one_step,
    probabilities,
)

CONTEXT = setups.context("causal_lm")
OF = text_setups.batch([2, 4, 1])
WRITTEN = text_setups.batch([3, 1, 4], seed=5)


def reader(teacher):
    return OnlineTeacherFn(torch.nn.Identity(), teacher)


def log_likely(model, of: Batch, temperature=1.0):
    """Log-probability of each token, row by row."""
    q = np.log(probabilities(model.logits(of), temperature))
    labels = labels_of(of).numpy()
    flat = q[np.arange(len(labels)), labels]
    return np.split(flat, np.cumsum((of.labels != -100).sum(1).numpy())[:-1])


def advantages_by_hand(student, teacher, params: Params):
    """Row by row, token by token, from the formulas; whitened over the tokens of all rows."""
    rows = []
    heated = log_likely(student, WRITTEN, params.temperature)
    for p, q in zip(log_likely(teacher, WRITTEN), heated, strict=True):
        limit = params.cliprange_reward or np.inf
        r = np.clip((p - q) / params.reward_scaling, -limit, limit)
        raw = []
        for t in range(len(r)):
            ahead = sum(params.gamma ** (k - t) * r[k] for k in range(t, len(r)))
            raw.append(ahead / (len(r) - t) if params.length_norm else ahead)
        rows.append(raw)
    if params.whiten_over == "all":
        every = np.zeros((len(rows), params.max_new_tokens))
        for row, raw in zip(every, rows, strict=True):
            row[: len(raw)] = raw
        mean, spread = every.mean(), np.sqrt(every.var() + 1e-8)
    else:
        flat = np.concatenate(rows)
        mean, spread = flat.mean(), np.sqrt(flat.var() + 1e-8)
    return [(np.array(raw) - mean) / spread for raw in rows]


COEFFICIENTS = [
    {},
    {"gamma": 1.0, "length_norm": False},
    {"reward_scaling": 2.0, "cliprange_reward": 0.3, "gamma": 0.5},
    {"whiten_over": "all", "temperature": 0.7, "teacher_mixed_alpha": 0.0},
    {"cliprange_reward": 0.0, "teacher_mixed_alpha": 0.6},
]


@pytest.mark.parametrize("values", COEFFICIENTS)
def test_advantages_and_weights_are_the_formulas(values):
    params = Params(max_new_tokens=5, **values)
    student, teacher = Model(1, trained=False), Model(2, trained=False)
    actual = rollout_of(
        [sampled_of(WRITTEN, student(WRITTEN).lazy_logits, teacher(WRITTEN).lazy_logits, params)],
        params,
        SingleProcess(),
    )
    expected = np.concatenate(advantages_by_hand(student, teacher, params))
    taken = actual.mask.bool()
    assert actual.advantage[taken].numpy() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    heat, alpha = params.temperature, params.teacher_mixed_alpha
    q, p = (np.exp(np.concatenate(log_likely(m, WRITTEN, heat))) for m in (student, teacher))
    assert actual.weight[taken].numpy() == pytest.approx(
        q / ((1 - alpha) * q + alpha * p), rel=1e-5
    )
    assert actual.advantage[~taken].abs().max() == 0.0


def test_the_policy_term_is_the_clipped_ratio():
    """Of a student that has moved since it sampled; a ratio that went too far has no gradient."""
    params = Params(max_new_tokens=5, cliprange=0.1, temperature=0.8, teacher_mixed_alpha=0.2)
    before, teacher, student = Model(1, trained=False), Model(2, trained=False), Model(1)
    rollout = rollout_of(
        [sampled_of(WRITTEN, before(WRITTEN).lazy_logits, teacher(WRITTEN).lazy_logits, params)],
        params,
        SingleProcess(),
    )
    with torch.no_grad():
        student.weight += 0.1 * Model(3).weight
    total, apart = policy_terms(rollout, student(WRITTEN).lazy_logits, None, params)
    labels = labels_of(WRITTEN)
    new = (student.logits(WRITTEN) / 0.8).log_softmax(-1)[torch.arange(len(labels)), labels]
    taken = rollout.mask.bool()
    old, weight, advantage = (t[taken] for t in (rollout.old, rollout.weight, rollout.advantage))
    ratio = (new - old).exp() * weight
    dense = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(0.9, 1.1)).mean()
    assert total.item() == pytest.approx(dense.item(), rel=1e-5)
    assert len(apart) == 1
    total.backward()
    actual = student.gradient()
    dense.backward()
    assert torch.allclose(actual, student.gradient(), rtol=1e-4, atol=1e-8)


def test_the_single_step_is_the_reverse_divergence_at_the_temperature_of_sampling():
    params = Params(max_new_tokens=5, temperature=1.5)
    student, teacher = Model(1), Model(2, trained=False)
    student_logits, teacher_logits = student(WRITTEN).lazy_logits, teacher(WRITTEN).lazy_logits
    rollout = rollout_of(
        [sampled_of(WRITTEN, Model(4)(WRITTEN).lazy_logits, teacher_logits, params)],
        params,
        SingleProcess(),
    )
    _, apart = policy_terms(rollout, student_logits, teacher_logits, params)
    q, p = (probabilities(m.logits(WRITTEN), 1.5) for m in (student, teacher))
    assert apart[1].item() == pytest.approx(kl(q, p).mean(), rel=1e-5)


@pytest.mark.parametrize("values", [{}, {"lm_coef": 0.3, "kd_ratio": 0.9}, {"kd_ratio": 0.0}])
def test_the_text_term_is_on_the_tasks_responses(values):
    params = Params(max_new_tokens=5, **values)
    student, teacher = Model(1), Model(2, trained=False)
    terms = one_step(METHOD(params, CONTEXT), OF, student, reader(teacher))
    student_logits, teacher_logits = student.logits(OF), teacher.logits(OF)
    hard = likelihood(student_logits, labels_of(OF))
    soft = by_name("forward_kl", student_logits, teacher_logits)
    expected = params.lm_coef * ((1 - params.kd_ratio) * hard + params.kd_ratio * soft)
    assert terms["text"].item() == pytest.approx(expected, rel=1e-5)
    shown = terms.metrics["policy"] + terms.metrics["single_step"]
    assert terms["responses"].item() == pytest.approx(shown.item(), rel=1e-5)
    text = terms.means["text"]
    assert isinstance(text, Mean)
    assert text.count == len(labels_of(OF))


def test_terms_that_are_switched_off_are_not_there():
    params = Params(max_new_tokens=5, lm_coef=0.0, single_step_reg=False)
    terms = one_step(METHOD(params, CONTEXT), OF, Model(1), reader(Model(2, trained=False)))
    assert set(terms) == {"responses"}
    assert set(terms.metrics) == {"policy", "reward", "rollout_length"}
    assert terms.metrics["rollout_length"].item() == 3.0


def test_it_samples_anew_after_so_many_steps():
    student = Model(1)
    requested = []
    generate = student.generate
    student.generate = lambda *given: requested.append(given[1]) or generate(*given)
    method = METHOD(Params(ppo_epochs=3, max_new_tokens=5, temperature=0.9), CONTEXT)
    teacher = Model(2, trained=False)
    for step in range(7):
        one_step(method, OF, student, reader(teacher))
        assert len(requested) == step // 3 + 1
    assert requested[0].temperature == 0.9
    assert (requested[0].max_new_tokens, requested[0].share) == (5, 0.2)


def test_what_it_remembers_is_the_responses_and_the_steps_left():
    teacher = Model(2, trained=False)
    one, two = (METHOD(Params(ppo_epochs=3, max_new_tokens=5), CONTEXT) for _ in range(2))
    assert one.state_dict() == {}
    one_step(one, OF, Model(1), reader(teacher))
    two.load_state_dict({k: v.clone() for k, v in one.state_dict().items()})
    for _ in range(2):
        a, b = (one_step(m, OF, Model(3), reader(teacher)) for m in (one, two))
        assert {k: v.item() for k, v in a.items()} == {k: v.item() for k, v in b.items()}
    assert int(two.state_dict()["left"]) == 0
    two.load_state_dict({})
    assert two.state_dict() == {}


def test_the_responses_of_a_rank_that_had_no_rows_never_count():
    class Idle(SingleProcess):
        def sum(self, values):
            return values + torch.tensor([4.0, 2.0, 8.0], dtype=torch.float64)

    teacher = Model(2, trained=False)
    method = METHOD(Params(ppo_epochs=2, max_new_tokens=5), CONTEXT)
    method.ranks = Idle(size=2, takes_part=False)
    one_step(method, OF, Model(1), reader(teacher))
    method.ranks = SingleProcess()  # the next batch has rows for it
    terms = one_step(method, OF, Model(1), reader(teacher))
    responses = terms.means["responses"]
    assert isinstance(responses, Mean)
    assert (responses.count, responses.of_batch) == (0.0, False)
    assert terms.means["text"].count == 7


def test_the_state_keeps_every_field_of_a_rollout():
    teacher = Model(2, trained=False)
    params = Params(max_new_tokens=5)
    made = rollout_of(
        [sampled_of(WRITTEN, Model(1)(WRITTEN).lazy_logits, teacher(WRITTEN).lazy_logits, params)],
        params,
        SingleProcess(),
    )
    again = Rollout.of_tensors(made.tensors())
    for field in dataclasses.fields(Rollout):
        one, two = getattr(made, field.name), getattr(again, field.name)
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, two), field.name
        elif isinstance(one, Batch):
            assert torch.equal(one.labels, two.labels)
            assert torch.equal(one.input_ids, two.input_ids)
        else:
            assert one == two


def test_the_policy_learns_to_write_what_its_teacher_likes():
    """The reward of sampled responses rises; nothing but the policy gradient is minimised."""
    pair = SmallPair.of("causal_lm")
    method = pair.method("minillm", lm_coef=0.0, single_step_reg=False, max_new_tokens=3,
                         ppo_epochs=1, teacher_mixed_alpha=0.0)  # fmt: skip
    alone = DistributedContext(0, 1, torch.device("cpu"))
    job = pair.job(method, pair.student, alone, epochs=24, batch_size=10, lr=2e-2)
    rewards = [e.terms["reward"] for e in train_model(job).history]
    assert np.mean(rewards[-6:]) > np.mean(rewards[:6])
