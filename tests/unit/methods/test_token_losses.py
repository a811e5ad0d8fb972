"""Losses on tokens for any vocabulary, any lengths, empty parts and any size of chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from raykd.data.base import EXPLAIN, PLAIN
from raykd.losses import vocabulary
from raykd.losses.targets import Divergence, FullTeacherTarget
from raykd.methods import step_by_step
from raykd.methods._tokens import weighted
from raykd.methods.base import OnlineTeacherFn
from raykd.methods.minillm import METHOD as MINILLM
from raykd.methods.minillm import Params as MiniLLMParams
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import (
    Model,
    by_name,
    check_gradient,
    labels_of,
    likelihood,
    one_step,
)

KINDS = ("forward_kl", "reverse_kl", "jsd", "skew_forward_kl", "skew_reverse_kl")
lengths = st.lists(st.integers(0, 6), min_size=1, max_size=5)
some = settings(max_examples=40, deadline=None)


@some
@given(
    responses=lengths,
    tokens=st.integers(2, 40),
    kind=st.sampled_from(KINDS),
    ratio=st.sampled_from([0.0, 0.25, 1.0]),
    beta=st.sampled_from([0.0, 0.3, 1.0]),
    heat=st.sampled_from([0.5, 1.0, 3.0]),
    chunk=st.sampled_from([1, 1 << 25]),
)
def test_a_token_loss_is_its_formula(responses, tokens, kind, ratio, beta, heat, chunk):
    of = text_setups.batch(responses, vocabulary=tokens)
    student, teacher = Model(1, tokens), Model(2, tokens, trained=False)
    labels, meant = labels_of(of), Divergence(kind=kind, beta=beta, lam=0.2, temperature=heat)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vocabulary.CHUNK_BYTES, "cpu", chunk)
        target = FullTeacherTarget(teacher(of).lazy_logits)
        terms = weighted(student(of).lazy_logits, labels, target, ratio, meant)
    student_logits, teacher_logits = student.logits(of), teacher.logits(of)
    if not len(labels):
        assert terms.total().item() == 0.0
        assert terms.means["loss"].count == 0
        terms.total().backward()
        assert student.gradient().abs().max() == 0.0
        return
    apart = by_name(kind, student_logits, teacher_logits, beta=beta, lam=0.2, temperature=heat)
    expected = (1 - ratio) * likelihood(student_logits, labels) + ratio * heat**2 * apart
    assert terms.total().item() == pytest.approx(expected, rel=1e-4, abs=1e-7)
    assert set(terms.metrics) == {n for n, w in (("task", 1 - ratio), ("distil", ratio)) if w}
    dense = (1 - ratio) * F.cross_entropy(student_logits, labels)
    dense = dense + ratio * heat**2 * meant.of(student_logits, teacher_logits.detach()).mean()
    check_gradient(terms, student, dense)


@some
@given(rationales=lengths, tokens=st.integers(2, 30), alpha=st.sampled_from([0.0, 0.3, 1.0]))
def test_step_by_step_takes_any_rationales(rationales, tokens, alpha):
    explain = text_setups.batch(rationales, seed=1, vocabulary=tokens)
    plain = text_setups.batch([2] * len(rationales), vocabulary=tokens)
    of = text_setups.batch(
        [2] * len(rationales), vocabulary=tokens, views={EXPLAIN: explain, PLAIN: plain}
    )
    params = step_by_step.Params(alpha=alpha, kappa_l=0.4, kappa_r=0.2, teacher_prompt="same")
    student, teacher = Model(1, tokens), Model(2, tokens, trained=False)
    terms = step_by_step.METHOD(params, setups.context("seq2seq")).step(of, student, teacher)
    expected = 0.0
    for read, share, weight in ((of, 0.4, alpha), (explain, 0.2, 1 - alpha)):
        if len(labels_of(read)) and weight:
            student_logits, teacher_logits = student.logits(read), teacher.logits(read)
            hard = likelihood(student_logits, labels_of(read))
            apart = by_name("forward_kl", student_logits, teacher_logits)
            expected += weight * ((1 - share) * hard + share * apart)
    assert terms.total().item() == pytest.approx(expected, rel=1e-4, abs=1e-9)
    assert set(terms) == {n for n, w in (("label", alpha), ("rationale", 1 - alpha)) if w}
    terms.total().backward()
    assert torch.isfinite(student.gradient()).all()


@some
@given(
    responses=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    tokens=st.integers(2, 30),
    over=st.sampled_from(["valid", "all"]),
    seed=st.integers(0, 9),
)
def test_minillm_takes_responses_of_any_length(responses, tokens, over, seed):
    """Advantages of the tokens are centred; one token alone has none, and is not divided by 0."""
    of = text_setups.batch(responses, seed=seed, vocabulary=tokens)
    student, teacher = Model(1, tokens), Model(2, tokens, trained=False)
    student.generate = lambda *_: of
    method = MINILLM(MiniLLMParams(max_new_tokens=6, whiten_over=over), setups.context("causal_lm"))
    terms = one_step(method, of, student, OnlineTeacherFn(torch.nn.Identity(), teacher))
    assert all(torch.isfinite(t) for t in (*terms.values(), *terms.metrics.values()))
    state = method.state_dict()
    kept = state["advantage"][state["mask"].bool()]
    if over == "valid":
        assert kept.mean().item() == pytest.approx(0.0, abs=1e-3)
        spread = kept.std(unbiased=False).item() if len(kept) > 1 else 0.0
        assert spread == pytest.approx(1.0, abs=1e-2) or spread < 1e-1
    terms.total().backward()
    assert torch.isfinite(student.gradient()).all()
    assert np.isfinite(terms.total().item())
