from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.methods.base import DistillationContext, OutputSpec
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.teachers.cache_keys import cache_keys_of
from raykd.teachers.open_teacher import open_variant, record_outputs_of_variant
from raykd.teachers.teacher_variants import analysis_name, variant_key
from tests.integration.scaled_teacher import METHOD, Mean, Params
from tests.unit.teachers import tiny

LOGITS = OutputSpec(Logits())
TWICE = Mean(8), Mean(12)


@pytest.fixture(scope="module")
def prepared():
    return tiny.prepared(teacher_analyses=TWICE)[0]


def variant(prepared, factor: float):
    context = DistillationContext(
        teacher=prepared.teacher_dims, student=prepared.student.dims,
        kind="classification", num_labels=3,
    )  # fmt: skip
    method = METHOD(Params(factor=factor), context)
    return method.teacher_variant(
        prepared.analysis_results[analysis_name(method.teacher_analysis())].arrays
    )


def test_every_derivation_is_analysed_once_under_a_name_of_its_own(prepared):
    assert set(prepared.analysis_results) == {analysis_name(d) for d in TWICE}
    assert prepared.analysis_results[analysis_name(Mean(12))].arrays["rows"] == 12
    assert all(actual.seconds > 0 for actual in prepared.analysis_results.values())
    assert analysis_name(Mean(8)) == analysis_name(Mean(8)) != analysis_name(Mean(9))


def test_the_bench_trains_a_student_and_leaves_the_teacher_alone(prepared):
    untrained = prepared.student.build(seed=0)
    norm = sum(p.norm().item() for p in untrained.parameters())
    assert prepared.analysis_results[analysis_name(Mean(8))].arrays["norm"] != pytest.approx(norm)
    alone = tiny.ready()[0]
    assert np.array_equal(prepared.cached_outputs.all_logits(), alone.cached_outputs.all_logits())


def test_weights_are_kept_for_deriving(prepared):
    assert prepared.teacher is not None
    assert tiny.ready()[0].teacher is None


def test_the_outputs_of_a_variant_are_those_of_the_derived_model(prepared):
    cached_outputs = record_outputs_of_variant(prepared, variant(prepared, 3.0), LOGITS, tiny.WORLD)
    assert np.allclose(
        cached_outputs.all_logits(), 3 * prepared.cached_outputs.all_logits(), atol=1e-4
    )
    assert cached_outputs.names == ("logits",)


def test_variants_are_made_of_copies(prepared):
    blocks = [array for block in prepared.cached_outputs.chunks() for array in block]
    shared = [*prepared.arrays(), *blocks]
    before = [a.copy() for a in shared]
    record_outputs_of_variant(prepared, variant(prepared, 3.0), LOGITS, tiny.WORLD)
    assert all(np.array_equal(a, b) for a, b in zip(shared, before, strict=True))


def test_a_live_variant_says_the_same_as_a_recorded_one(prepared):
    online = replace(prepared, cached_outputs=None)
    batch = tiny_batch(prepared)
    both = [
        open_variant(p, variant(prepared, 2.0), LOGITS, tiny.WORLD).outputs_fn(LOGITS)(batch).logits
        for p in (prepared, online)
    ]
    assert torch.allclose(both[0], both[1], atol=1e-4)


def tiny_batch(prepared):
    from raykd.data.collate import Collator

    return Collator(prepared.pad_id, max_length=prepared.max_length)(
        prepared.splits["train"], np.array([3, 1])
    )


def test_findings_survive_the_cache(tmp_path):
    first = tiny.through(tmp_path, tiny.inputs(teacher_analyses=TWICE)).prepared
    again = tiny.through(tmp_path, tiny.inputs(teacher_analyses=TWICE))
    assert again.made is None
    for name, actual in first.analysis_results.items():
        for key, array in actual.arrays.items():
            assert np.array_equal(again.prepared.analysis_results[name].arrays[key], array)


def test_what_was_found_with_a_student_trained_in_another_precision_is_something_else():
    """Otherwise a cache that machines share gives one the results of the other."""
    one, two = (
        cache_keys_of(
            tiny.inputs(teacher_analyses=TWICE, finetune=None, precision=precision), tiny.words()
        )
        for precision in ("fp32", "bf16")
    )
    assert one.teacher == two.teacher
    assert {name for name, key in one.parts.items() if two.parts[name] != key} == {
        *(f"analyses/{analysis_name(d)}" for d in TWICE), "scores/validation", "scores/test"
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["outputs", "weights"])
def test_another_derivation_is_analysed_with_what_was_recorded_before(tmp_path, mode):
    tiny.through(tmp_path, tiny.inputs(teacher_analyses=TWICE[:1], mode=mode))
    second = tiny.through(tmp_path, tiny.inputs(teacher_analyses=TWICE, mode=mode))
    assert second.lookup.missing == (f"analyses/{analysis_name(TWICE[1])}",)
    assert second.made.cached_outputs is None
    assert set(second.prepared.analysis_results) == {analysis_name(d) for d in TWICE}


def test_keys_tell_variants_tasks_and_signals_apart(prepared):
    two, three = variant(prepared, 2.0), variant(prepared, 3.0)
    keys = {
        variant_key("a", two, LOGITS), variant_key("a", three, LOGITS),
        variant_key("b", two, LOGITS), variant_key("a", two, OutputSpec(*hidden_states((1,)))),
    }  # fmt: skip
    assert len(keys) == 4
    assert variant_key("a", two, LOGITS) == variant_key("a", variant(prepared, 2.0), LOGITS)


def test_arms_tell_which_derivations_they_reach():
    from raykd.spec.arms import teacher_analyses
    from tests.integration.conftest import tiny_spec

    arm = {
        "name": "scaled", "method": "tests.integration.scaled_teacher",
        "domains": {"factor": {"kind": "choice", "choices": [1.0, 2.0, 3.0]},
                    "rows": {"kind": "choice", "choices": [4, 8]}},
    }  # fmt: skip
    spec = tiny_spec(methods={"none": {"name": "none", "method": "none"}, "scaled": arm})
    context = DistillationContext(
        teacher=tiny.given().teacher.dims, student=tiny.given().student.dims,
        kind="classification", num_labels=3,
    )  # fmt: skip
    assert teacher_analyses(spec, context) == (Mean(4), Mean(8))
    assert registry.load("methods", arm["method"]) is METHOD
