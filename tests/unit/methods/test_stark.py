from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raykd.data.base import Batch
from raykd.methods.base import DistillationContext
from raykd.methods.stark import Params, Scoring, SparseTeacher
from raykd.models.base import Outputs
from raykd.models.forward import forward
from raykd.models.load import model_dims
from raykd.models.unit_masks import count_units
from raykd.params import Scalar
from tests.unit.methods import setups
from tests.unit.models.checkpoints import tiny

SIZES = {"hidden": 32, "heads": 4, "intermediate": 32}
SCORES = tuple(f"{s}_{u}" for s in ("expressiveness", "friendliness") for u in ("heads", "neurons"))


class ToyAnalysisContext:
    """A context of random models; the "distilled" student is another random one."""

    def __init__(self, kind: str = "classification") -> None:
        labels = 3 if kind == "classification" else 1
        self.of_teacher = tiny(kind, labels, layers=3, **SIZES).eval().requires_grad_(False)
        self.of_student = tiny(kind, labels, seed=1, layers=1, **SIZES)
        self.distillation = DistillationContext(
            teacher=model_dims(self.of_teacher),
            student=model_dims(self.of_student),
            kind=kind,
            num_labels=labels,
        )
        self.distilled: list[tuple[Mapping[str, Scalar], float, int]] = []
        self.requested: list[tuple[str, int, int | None]] = []

    def teacher(self) -> nn.Module:
        return self.of_teacher

    def student(self) -> nn.Module:
        return copy.deepcopy(self.of_student)

    def distil(self, train: Mapping[str, Scalar], temperature: float, seed: int) -> nn.Module:
        self.distilled.append((train, temperature, seed))
        return self.student()

    def batches(self, split: str, batch_size: int, rows: int | None = None) -> Iterator[Batch]:
        self.requested.append((split, batch_size, rows))
        kind = self.distillation.kind
        yield from (setups.batch(lengths, kind) for lengths in ((9, 5, 2), (3, 14)))

    def run(self, model: nn.Module, batch: Batch) -> Outputs:
        out = forward(model, batch)
        if self.distillation.kind == "regression":
            return out.scored(F.mse_loss(out.logits.squeeze(-1), batch.labels))
        return out.scored(F.cross_entropy(out.logits, batch.labels))


def method(context: ToyAnalysisContext | None = None, **values: Scalar) -> SparseTeacher:
    context = context or ToyAnalysisContext()
    return SparseTeacher(Params(**values), context.distillation)


@pytest.fixture(scope="module")
def analysis_result() -> Mapping[str, np.ndarray]:
    context = ToyAnalysisContext()
    return method(context).teacher_analysis().analyse(context)


def test_the_loss_by_hand():
    of = setups.context(num_labels=2)
    student = Outputs(logits=torch.tensor([[0.0, 2.0]]), task_loss=torch.tensor(3.0))
    teacher = Outputs(logits=torch.tensor([[1.0, -1.0]]))
    terms = SparseTeacher(Params(temperature=2.0, soft_weight=0.25), of).loss(
        setups.batch((3,)), student, teacher
    )
    p = torch.softmax(torch.tensor([0.5, -0.5]), 0)
    log_q = torch.log_softmax(torch.tensor([0.0, 1.0]), 0)
    assert terms["task"].item() == pytest.approx(0.75 * 3)
    assert terms["distil"].item() == pytest.approx(0.25 * 4 * -(p * log_q).sum().item())


def test_the_loss_of_scores_has_no_temperature():
    of = setups.context("regression")
    student = Outputs(logits=torch.tensor([[1.0], [2.0]]), task_loss=torch.tensor(3.0))
    teacher = Outputs(logits=torch.tensor([[3.0], [2.0]]))
    terms = SparseTeacher(Params(temperature=5.0), of).loss(setups.batch(), student, teacher)
    assert terms["distil"].item() == pytest.approx(0.5 * 2.0)


def test_the_whole_teacher_needs_no_scoring():
    assert method(sparsity=0).teacher_analysis() is None
    assert method(sparsity=0).teacher_variant({}) is None
    assert method(soft_weight=0.0).teacher_analysis() is None
    assert not method(soft_weight=0.0).teacher_outputs()


def test_what_is_searched_does_not_repeat_the_scoring():
    usual = method().teacher_analysis()
    for changes in ({"lam": 0.1}, {"sparsity": 90}, {"temperature": 7.0}, {"soft_weight": 0.9}):
        assert method(**changes).teacher_analysis() == usual
    for changes in (
        {"score_split": "train"},
        {"score_batch_size": 8},
        {"score_temperature": 3.0},
        {"trial_epochs": 2},
        {"trial_lr": 1e-3},
    ):
        assert method(**changes).teacher_analysis() != usual
    assert method(score_rows=7).teacher_analysis() == usual
    assert hash(usual) == hash(method(lam=0.9).teacher_analysis())
    assert pickle.loads(pickle.dumps(usual)) == usual


def test_the_trial_student_and_the_rows_are_those_requested():
    context = ToyAnalysisContext()
    chosen = method(
        context, score_split="train", score_rows=50, score_batch_size=4, score_temperature=3.0,
        trial_epochs=2, trial_lr=1e-3,
    )  # fmt: skip
    chosen.teacher_analysis().analyse(context)
    assert context.distilled == [({"epochs": 2, "lr": 1e-3}, 3.0, 0)]
    assert context.requested == [("train", 4, 50)]
    context = ToyAnalysisContext()
    method(context).teacher_analysis().analyse(context)
    assert context.requested == [("validation", 32, None)]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_every_head_and_neuron_is_scored(kind):
    context = ToyAnalysisContext(kind)
    actual = method(context).teacher_analysis().analyse(context)
    assert tuple(sorted(actual)) == SCORES
    for name in SCORES:
        assert actual[name].shape == ((3, 4) if name.endswith("heads") else (3, 32))
        assert actual[name].dtype == np.float32
        assert (actual[name] >= 0).all()
        assert actual[name].max() > 0
    assert not np.allclose(actual["expressiveness_neurons"], actual["friendliness_neurons"])


def test_the_student_is_scored_without_dropout(analysis_result):
    context = ToyAnalysisContext()
    assert context.of_student.training
    again = method(context).teacher_analysis().analyse(context)
    for name in SCORES:
        assert np.array_equal(again[name], analysis_result[name])


def test_friendliness_needs_no_labels(analysis_result):
    context = ToyAnalysisContext()
    inner = context.batches
    context.batches = lambda *args: (
        dataclasses.replace(b, labels=(b.labels + 1) % 3) for b in inner(*args)
    )
    actual = method(context).teacher_analysis().analyse(context)
    assert np.array_equal(actual["friendliness_heads"], analysis_result["friendliness_heads"])
    assert not np.allclose(actual["expressiveness_heads"], analysis_result["expressiveness_heads"])


def test_lam_decides_between_the_two(analysis_result):
    names = {1.0: "expressiveness", 0.0: "friendliness"}
    for lam, name in names.items():
        kept = method(lam=lam, sparsity=50).kept(analysis_result)
        scores = analysis_result[f"{name}_heads"]
        scores = scores / np.linalg.norm(scores, axis=1, keepdims=True)
        assert np.median(scores) >= scores[~kept.heads].max()
    assert (
        method(lam=1.0).teacher_variant(analysis_result).key
        != method(lam=0.0).teacher_variant(analysis_result).key
    )


def test_a_variant_is_the_teacher_without_what_goes(analysis_result):
    context = ToyAnalysisContext()
    chosen = method(context, sparsity=70)
    variant = chosen.teacher_variant(analysis_result)
    teacher = copy.deepcopy(context.of_teacher)
    sparse = variant.make(teacher)
    heads, neurons = count_units(sparse)
    kept = chosen.kept(analysis_result)
    assert list(heads) == kept.heads.sum(axis=1).tolist()
    assert list(neurons) == kept.neurons.sum(axis=1).tolist()
    assert sum(heads) == 12 - 8
    assert variant.about.startswith("4 of 12 heads and ")
    logits = forward(sparse, setups.batch()).logits
    assert torch.isfinite(logits).all()
    assert count_units(context.of_teacher) == ((4,) * 3, (32,) * 3)


def test_equal_choices_are_one_variant(analysis_result):
    one = method(sparsity=40, lam=0.5, temperature=1.0).teacher_variant(analysis_result)
    two = method(sparsity=40, lam=0.5, temperature=8.0, soft_weight=0.1).teacher_variant(
        analysis_result
    )
    assert (one.key, one.about) == (two.key, two.about)
    assert one.key != method(sparsity=50).teacher_variant(analysis_result).key


@pytest.mark.parametrize(
    ("side", "change", "reason"),
    [
        ("teacher", {"heads": 8}, "teacher 'BERT' has heads of width 4"),
        ("teacher", {"intermediate": 36}, "36 feed-forward neurons"),
        ("teacher", {"intermediate": None}, "family whose heads and neurons"),
        ("teacher", {"uneven": True}, "has lost heads or neurons before"),
    ],
)
def test_teachers_that_cannot_be_made_sparse_are_refused(side, change, reason):
    of = ToyAnalysisContext().distillation
    of = dataclasses.replace(
        of, teacher_name="BERT", **{side: dataclasses.replace(getattr(of, side), **change)}
    )
    assert reason in SparseTeacher(Params(), of).refusal()
    assert SparseTeacher(Params(sparsity=0), of).refusal() == ""


def test_students_that_split_text_differently_are_refused():
    of = dataclasses.replace(ToyAnalysisContext().distillation, same_tokens=False)
    assert "split text differently" in SparseTeacher(Params(), of).refusal()
    assert SparseTeacher(Params(sparsity=0), of).refusal() == ""


def test_a_pruned_student_is_no_obstacle():
    of = ToyAnalysisContext().distillation
    of = dataclasses.replace(of, student=dataclasses.replace(of.student, uneven=True))
    assert SparseTeacher(Params(), of).refusal() == ""


def test_a_scoring_is_plain_values():
    names = [f.name for f in dataclasses.fields(Scoring)]
    assert names == ["split", "rows", "batch_size", "temperature", "epochs", "lr"]
