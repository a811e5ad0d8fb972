"""The memory that scoring a row takes: by hand, on any device, and of models that are compiled."""

from __future__ import annotations

import copy

import torch
from torch import nn

from raykd.data.task_kinds import KINDS
from raykd.training.device import DistributedContext
from raykd.training.inference import InferenceSetup
from raykd.training.memory_use import _TensorBytes, memory_mb
from raykd.training.settings import TrainSettings
from tests.small_pairs import SmallPair
from tests.unit.training.toys import COLLATOR, CPU, bert, encoded

WORLD = DistributedContext(0, 1, CPU)


def setup(precision: str = "fp32") -> InferenceSetup:
    return InferenceSetup(TrainSettings(precision=precision), COLLATOR, WORLD)


def test_what_is_alive_at_a_time_counts_and_a_view_holds_nothing():
    weight = torch.zeros(100, 100)
    counted = _TensorBytes([weight])
    with torch.no_grad(), counted:
        first = torch.ones(100, 100)  # 40,000 bytes
        second = first @ weight
        assert counted.peak == 80_000
        del second
        view, own = first.t(), weight.view(-1)
        second = first + 1
        assert counted.peak == 80_000
        del first, view, own
        second.add_(1)
        more = torch.ones(200, 100)
    assert counted.peak == 120_000
    del more


def test_weights_count_once_and_the_longest_row_decides():
    model = bert()
    weights = sum(p.numel() for p in model.parameters()) * 4 / 1e6
    short, long = memory_mb(model, encoded(5), setup()), memory_mb(model, encoded(37), setup())
    assert weights < short <= long < weights + 1
    tied = copy.deepcopy(model)
    tied.again = nn.Linear(1, 1)
    tied.again.weight = next(tied.parameters())
    assert memory_mb(tied, encoded(5), setup()) - short < 1e-5  # the bias of the new part


def test_the_figure_is_the_same_again_and_leaves_the_student_as_it_was():
    model = bert(dropout=0.5).train()
    draws = torch.get_rng_state()
    assert memory_mb(model, encoded(9), setup()) == memory_mb(model, encoded(9), setup())
    assert model.training
    assert torch.equal(torch.get_rng_state(), draws)


def test_a_student_whose_blocks_are_compiled_is_measured_as_it_is_written():
    model = bert()
    plain = memory_mb(model, encoded(9), setup())
    model.compile(backend="eager")
    assert memory_mb(model, encoded(9), setup()) == plain


def test_every_kind_of_task_has_a_figure():
    for kind in KINDS:
        pair = SmallPair.of(kind)
        job = pair.job(pair.method("none" if kind != "causal_lm" else "sft"), pair.student, WORLD)
        own = InferenceSetup(TrainSettings(precision="fp32"), job.collator, WORLD)
        held = sum(p.numel() for p in pair.student.parameters()) * 4 / 1e6
        assert held < memory_mb(pair.student, job.train, own) < 20 * held, kind
