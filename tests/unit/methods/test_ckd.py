from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raykd.data.base import Batch
from raykd.errors import SpecError
from raykd.losses.gram import layer_gram, word_gram
from raykd.losses.relations import pair_relation, triple_relation, window_relation
from raykd.methods.base import DistillationContext, LossTerms
from raykd.methods.ckd import METHOD, Params
from raykd.models.base import ModelDims, Outputs
from raykd.models.signals.hidden_states import HiddenState
from raykd.models.signals.logits import Logits
from raykd.params import build
from tests.golden.ckd_published import PUBLISHED
from tests.unit.methods import setups
from tests.unit.signals_of import layers

GOLDEN = Path(__file__).parents[2] / "golden"
TERMS = {"task", "distil", "wrdist", "wrangle", "ltrdist", "ltrangle"}


def loss_of(params: Params, of: DistillationContext | None = None) -> LossTerms:
    """The terms, from sides that give out only what the method declares."""
    of = of or setups.context()
    method = METHOD(params, of)
    student = setups.Side(of, of.student, seed=0)
    teacher = setups.Side(of, of.teacher, seed=1)
    return method.loss(
        setups.batch(kind=of.kind),
        student.outputs(method.student_outputs(), task_loss=params.alpha < 1),
        teacher.outputs(method.teacher_outputs(), task_loss=False),
    )


@pytest.mark.parametrize("name", ["ckd_main_12to6", "ckd_main_6to3_outlier"])
@pytest.mark.parametrize("task", PUBLISHED)
@pytest.mark.parametrize("how", ["intended", "as_shipped"])
def test_published_settings_reproduce_the_original_totals(name, task, how):
    with np.load(GOLDEN / f"{name}.npz") as file:
        golden = {key: torch.from_numpy(file[key]) for key in file.files}
    row = PUBLISHED[task] if how == "intended" else PUBLISHED[task].as_shipped()
    weights = ("wrdist", "wrangle", "ltrdist", "ltrangle", "temperature")
    params = Params(alpha=1.0, **{w: float(getattr(row, w)) for w in weights})
    depths = {side: len(golden[f"{side}_hidden"]) - 1 for side in ("teacher", "student")}
    method = METHOD(
        params,
        setups.context(
            "regression" if row.regression else "classification",
            **{s: ModelDims(layers=n, hidden=1, heads=1, vocabulary=1) for s, n in depths.items()},
        ),
    )
    sides = {
        side: Outputs(
            logits=golden[f"{side}_logits"][:, : 1 if row.regression else None],
            values={
                **{
                    HiddenState(k): v
                    for k, v in (dict(enumerate(golden[f"{side}_hidden"]))).items()
                }
            },
        )
        for side in depths
    }
    mask = golden["attention_mask"]
    batch = Batch(input_ids=mask, attention_mask=mask, token_type_ids=mask, labels=mask, index=mask)
    total = method.loss(batch, sides["student"], sides["teacher"]).total()
    assert total.item() == pytest.approx(golden[f"total_{how}__{task}"].item(), rel=1e-5)


def test_terms_are_the_weighted_relations():
    of = setups.context()
    params = Params(alpha=0.25, wrdist=2.0, wrangle=3.0, ltrdist=5.0, ltrangle=7.0, window=5)
    terms = loss_of(params)
    student = setups.Side(of, of.student, seed=0).hidden
    teacher = setups.Side(of, of.teacher, seed=1).hidden
    mask = setups.batch().attention_mask
    student_hidden, teacher_hidden = (
        [student[k] for k in (0, 1, 2)],
        [teacher[k] for k in (0, 2, 4)],
    )
    words = (
        word_gram(student_hidden, mask, context_padding=2),
        word_gram(teacher_hidden, mask, context_padding=2),
    )
    tokens = layer_gram(student_hidden, mask), layer_gram(teacher_hidden, mask)
    assert set(terms) == TERMS
    assert terms["wrdist"].item() == pytest.approx(2 * pair_relation(*words).item())
    assert terms["wrangle"].item() == pytest.approx(3 * window_relation(*words, window=5).item())
    assert terms["ltrdist"].item() == pytest.approx(5 * pair_relation(*tokens).item())
    assert terms["ltrangle"].item() == pytest.approx(7 * triple_relation(*tokens).item())


def test_every_token_is_compared_without_a_window():
    params = Params(wrangle=3.0, window=None)
    of = setups.context()
    words = [
        word_gram([side.hidden[k] for k in layers], setups.batch().attention_mask)
        for side, layers in (
            (setups.Side(of, of.student, seed=0), (0, 1, 2)),
            (setups.Side(of, of.teacher, seed=1), (0, 2, 4)),
        )
    ]
    expected = 3 * triple_relation(*words).item()
    assert loss_of(params)["wrangle"].item() == pytest.approx(expected)
    assert METHOD(params, of).teacher_outputs().context_padding == 0


@pytest.mark.parametrize("name", ["wrdist", "wrangle", "ltrdist", "ltrangle"])
def test_a_weight_of_zero_leaves_a_term_out(name):
    assert set(loss_of(build(Params, {name: 0}))) == TERMS - {name}


def test_angles_can_be_switched_off():
    assert set(loss_of(Params(angles=False))) == TERMS - {"wrangle", "ltrangle"}
    assert METHOD(Params(angles=False), setups.context()).teacher_outputs().context_padding == 0


def test_tied_weights():
    tied = loss_of(Params(wrdist=2.0, wrangle=3.0, ltrdist=50.0, ltrangle=0.0, tie_ltr_to_wr=True))
    given = loss_of(Params(wrdist=2.0, wrangle=3.0, ltrdist=2.0, ltrangle=3.0))
    assert {k: v.item() for k, v in tied.items()} == {k: v.item() for k, v in given.items()}


def test_regression_divides_scores_by_the_temperature():
    of = setups.context("regression")
    one = loss_of(Params(alpha=1.0, temperature=1.0), of)["distil"].item()
    two = loss_of(Params(alpha=1.0, temperature=2.0), of)["distil"].item()
    assert two == pytest.approx(one / 4)


def test_outputs_are_the_matched_layers_of_the_terms_in_use():
    def read(**values: object):
        method = METHOD(build(Params, values), setups.context())
        return method.teacher_outputs(), method.student_outputs()

    teacher, student = read()
    assert (Logits() in teacher, layers(teacher), teacher.context_padding) == (True, (0, 2, 4), 10)
    assert (Logits() in student, layers(student)) == (True, (0, 1, 2))
    teacher, student = read(layers="final", ltr_layers="emb+skip", alpha=0.0)
    assert (Logits() in teacher, layers(teacher)) == (False, (0, 2, 4))
    teacher, student = read(layers="final", ltrdist=0, ltrangle=0, window=7)
    assert (layers(teacher), layers(student)) == ((4,), (2,))
    assert teacher.context_padding == 3
    assert read(mask_neighbours=True)[0].context_padding == 0
    assert read(wrangle=0)[0].context_padding == 0
    teacher, student = read(wrdist=0, wrangle=0, ltrdist=0, ltrangle=0)
    assert layers(teacher) == layers(student) == ()


def test_padding_beyond_the_margin_does_not_change_the_loss():
    params = Params(window=5)
    of = setups.context()
    method = METHOD(params, of)
    sides = setups.Side(of, of.student, seed=0), setups.Side(of, of.teacher, seed=1)
    full = setups.batch()

    def total(length: int) -> float:
        cut = [
            Outputs(
                logits=side.logits,
                task_loss=torch.zeros(()),
                values={
                    **{
                        HiddenState(k): v
                        for k, v in ({k: h[:, :length] for k, h in side.hidden.items()}).items()
                    }
                },
            )
            for side in sides
        ]
        mask = full.attention_mask[:, :length]
        batch = Batch(
            input_ids=mask, attention_mask=mask, token_type_ids=mask, labels=mask, index=mask
        )
        return method.loss(batch, *cut).total().item()

    longest = int(full.attention_mask.sum(dim=1).max())
    assert total(longest + method.teacher_outputs().context_padding) == pytest.approx(
        total(setups.LENGTH), rel=1e-6
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"distance": "l2"}, "distance 'l2' cannot be compared by 'kldiv'"),
        ({"lossfunc_d": "l2loss"}, "distance 'cos' cannot be compared by 'l2loss'"),
        ({"distnorm": True}, "distnorm scales distances and acts with distance 'l2' only"),
        ({"window": 6}, "'window' must be odd, got 6"),
        ({"window": 1}, r"'window' must lie in \[3, 255\], got 1"),
        ({"layers": "att_skip"}, "'layers' must be emb.skip or skip"),
    ],
)
def test_options_that_make_no_sense_are_refused(values, message):
    with pytest.raises(SpecError, match=message):
        build(Params, values)


@pytest.mark.parametrize(
    ("values", "idle"),
    [
        ({"ltr_layers": "emb+final"}, "ltrdist and ltrangle"),
        ({"ltr_layers": "final", "ltrdist": 0}, "ltrangle"),
        ({"layers": "emb", "ltrangle": 0}, "ltrdist"),
        ({"layers": "emb+final", "distance": "l2", "lossfunc_d": "l2loss"}, "ltrangle"),
        ({"layers": "emb", "tie_ltr_to_wr": True, "ltrdist": 0, "angles": False}, "ltrdist"),
    ],
)
def test_terms_that_are_always_zero_are_refused(values, idle):
    reason = METHOD(build(Params, values), setups.context()).refusal()
    assert f"so {idle} would always be 0" in reason


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ltr_layers": "emb+final", "ltrdist": 0, "ltrangle": 0},
        {"ltr_layers": "final", "ltrdist": 0, "angles": False},
        {"layers": "final", "ltr_layers": "triple"},
    ],
)
def test_terms_that_are_off_are_no_reason_to_refuse(values):
    assert METHOD(build(Params, values), setups.context()).refusal() == ""


def test_models_that_split_text_differently_are_refused_unless_only_logits_are_read():
    of = setups.context(same_tokens=False)
    assert "split text differently" in METHOD(Params(), of).refusal()
    off = build(Params, dict.fromkeys(("wrdist", "wrangle", "ltrdist", "ltrangle"), 0))
    assert METHOD(off, of).refusal() == ""


def test_depths_that_cannot_be_matched_are_refused():
    shallow = ModelDims(layers=1, hidden=8, heads=2, vocabulary=50)
    deep = ModelDims(layers=2, hidden=8, heads=2, vocabulary=50)
    with pytest.raises(SpecError, match="'last' needs a teacher with at least as many blocks"):
        METHOD(Params(layers="last"), setups.context(teacher=shallow, student=deep))
