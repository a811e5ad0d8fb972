from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raykd.methods.base import DistillationContext
from raykd.models.base import ModelDims
from raykd.models.signals.logits import Logits
from raykd.models.signals.running_model import RunningModel
from raykd.spec import arms
from raykd.spec.arms import combinations, refusals, union_of_outputs
from raykd.spec.load import load_spec
from tests.unit.signals_of import blocks, layers
from tests.unit.spec.files import ARMS, HEAD, write
from tests.unit.spec.layer_method import METHOD
from tests.unit.sweep.specs import spec

TEACHER = ModelDims(layers=4, hidden=8, heads=2, vocabulary=100)
STUDENT = ModelDims(layers=2, hidden=4, heads=2, vocabulary=100)
CONTEXT = DistillationContext(teacher=TEACHER, student=STUDENT, kind="classification", num_labels=3)


def spec_of(folder, arm: str):
    return load_spec(write(folder, HEAD + ARMS + arm))


def test_choices_are_enumerated_and_numbers_stand_at_both_ends_and_in_the_middle(tmp_path):
    spec = spec_of(
        tmp_path,
        "    alpha: {uniform: [0.1, 0.9]}\n    window: {choice: [3, null]}\n    scale: 2\n",
    )
    actual = [(v["window"], v["alpha"]) for v in combinations(spec.methods["one"])]
    assert actual == [(w, pytest.approx(a)) for w in (3, None) for a in (0.9, 0.1, 0.5)]
    assert all(v["scale"] == 2 for v in combinations(spec.methods["one"]))


def test_every_number_is_moved_apart_from_the_others(tmp_path):
    arm = (
        "    alpha: {uniform: [0, 1]}\n    scale: {loguniform: [1, 100]}\n"
        "    wrangle: {uniform: [0, 4]}\n"
    )
    spec = spec_of(tmp_path, arm)
    actual = {(v["alpha"], v["scale"], v["wrangle"]) for v in combinations(spec.methods["one"])}
    low, high = (0.0, 1.0, 0.0), (1.0, 100.0, 4.0)
    assert {low, high, (0.5, 10.0, 2.0)} < actual
    for k in range(3):
        assert (*high[:k], low[k], *high[k + 1 :]) in actual
        assert (*low[:k], high[k], *low[k + 1 :]) in actual
    inner = list(combinations(spec.methods["one"], ends=False))
    assert all(0 < v["alpha"] < 1 and 1 < v["scale"] < 100 and 0 < v["wrangle"] < 4 for v in inner)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [("{int: [3, 6]}", {3, 4, 5, 6}), ("{logint: [1, 4]}", {1, 2, 3, 4}),
     ("{int: [3, 299]}", {3, 151, 299}), ("{logint: [1, 400]}", {1, 20, 400})],
)  # fmt: skip
def test_small_domains_of_whole_numbers_are_listed(tmp_path, domain, expected):
    arm = spec_of(tmp_path, "").methods["one"]
    of = load_spec(write(tmp_path, HEAD + f"methods:\n  sinkd: {{iterations: {domain}}}\n"))
    actual = [v["iterations"] for v in combinations(of.methods["sinkd"])]
    assert set(actual) == expected
    assert all(type(v) is int for v in actual)
    assert list(combinations(arm)) == [{}]


def test_values_on_a_grid_are_those_of_the_grid(tmp_path):
    spec = spec_of(tmp_path, "    alpha: {quniform: [0.1, 0.8, 0.1]}\n")
    actual = [v["alpha"] for v in combinations(spec.methods["one"])]
    assert actual == pytest.approx([0.8, 0.1, 0.5])


def test_conditional_parameters_are_there_only_when_active(tmp_path):
    spec = spec_of(
        tmp_path,
        "    angles: {choice: [true, false]}\n"
        "    wrangle: {choice: [2, 3], when: {angles: true}}\n"
        "    scale: {uniform: [1, 2], when: {wrangle: 2}}\n",
    )
    actual = list(combinations(spec.methods["one"]))
    assert actual[0] == {"angles": True, "wrangle": 2, "scale": 2.0}
    assert {"angles": True, "wrangle": 3} in actual
    assert {"angles": True, "wrangle": 2, "scale": 1.0} in actual
    assert all(v == {"angles": False} for v in actual if not v["angles"])


WEIGHTED = "    method: tests.unit.spec.layer_method\n"


def spec_by_layer(folder, arm: str):
    return load_spec(write(folder, HEAD + "methods:\n  one:\n" + WEIGHTED + arm))


def test_a_term_of_weight_one_minus_x_is_recorded(tmp_path):
    spec = spec_by_layer(tmp_path, "    given: {uniform: [0, 1]}\n")
    assert Logits() in union_of_outputs(spec, CONTEXT)
    assert Logits() not in union_of_outputs(spec_by_layer(tmp_path, "    given: 1\n"), CONTEXT)


@pytest.mark.parametrize("kind", ["int", "logint"])
def test_every_layer_that_a_number_can_name_is_recorded(tmp_path, kind):
    spec = spec_by_layer(tmp_path, f"    layer: {{{kind}: [1, 4]}}\n")
    assert layers(union_of_outputs(spec, CONTEXT)) == (1, 2, 3, 4)


def test_a_number_that_decides_among_many_layers_reads_all_that_lie_between(tmp_path):
    spec = spec_by_layer(tmp_path, "    layer: {int: [0, 40]}\n    deep: true\n")
    assert layers(union_of_outputs(spec, CONTEXT)) == tuple(range(41))


def test_what_a_trial_reads_is_recorded_whatever_it_draws(tmp_path):
    arm = "    given: {uniform: [0, 1]}\n    layer: {int: [0, 4]}\n    pull: {uniform: [0, 2]}\n"
    spec = spec_by_layer(tmp_path, arm)
    union = union_of_outputs(spec, CONTEXT)
    random = np.random.default_rng(0)
    for _ in range(200):
        values = {"given": random.uniform(0, 1), "layer": int(random.integers(0, 5)),
                  "pull": random.uniform(0, 2)}  # fmt: skip
        method = METHOD(arms.parameters("tests.unit.spec.layer_method", values), CONTEXT)
        assert method.teacher_outputs().within(union)


def test_a_weight_that_is_hardly_ever_zero_does_not_refuse_an_arm(tmp_path):
    text = (
        "methods:\n  one_to_one: {alpha_task: {uniform: [0, 1]}, alpha_corr: {uniform: [0, 1]}}\n"
    )
    spec = load_spec(write(tmp_path, HEAD + text))
    wide = replace(CONTEXT, student=replace(STUDENT, hidden=8))
    assert refusals(spec, wide) == []
    assert refusals(spec, CONTEXT) != []  # 4 neurons cannot be paired with 8


def test_what_is_wrong_at_the_low_end_only_is_refused(tmp_path):
    spec = spec_by_layer(tmp_path, "    layer: {int: [0, 4]}\n    first: 2\n")
    assert refusals(spec, CONTEXT) == [("one", "cannot read layer 1 before 2")]


def test_a_scoring_that_differs_from_trial_to_trial_is_refused(tmp_path):
    def actual(domain):
        text = f"methods:\n  stark: {{score_temperature: {domain}}}\n"
        spec = load_spec(write(tmp_path, HEAD + text))
        bert = ModelDims(layers=4, hidden=16, heads=2, vocabulary=100, intermediate=32)
        return refusals(spec, replace(CONTEXT, teacher=bert))

    assert actual("{choice: [1, 2]}") == []
    assert actual("{choice: [1, 2]}, sparsity: {int: [0, 90]}, lam: {uniform: [0, 1]}") == []
    [(arm, reason)] = actual("{uniform: [1, 2]}")
    assert arm == "stark"
    assert "every value of 'score_temperature', which is searched in uniform [1, 2]" in reason


def test_the_union_covers_every_combination(tmp_path):
    arm = """\
    layers: {choice: [last, none]}
    angles: {choice: [false, true]}
    wrangle: {uniform: [0.5, 2], when: {angles: true}}
"""
    union = union_of_outputs(spec_of(tmp_path, arm), CONTEXT)
    assert Logits() in union
    assert layers(union) == (4,)
    assert blocks(union) == (0,)


def test_nothing_is_served_that_no_trial_reads(tmp_path):
    union = union_of_outputs(spec_of(tmp_path, "    layers: none\n"), CONTEXT)
    assert layers(union) == ()
    assert blocks(union) == ()


def test_too_many_combinations_count_with_all_a_method_may_read(tmp_path, monkeypatch):
    monkeypatch.setattr(arms, "MAX_COMBINATIONS", 1)
    spec = spec_of(tmp_path, "    layers: {choice: [none, last]}\n")
    assert layers(union_of_outputs(spec, CONTEXT)) == ("all",)


@pytest.mark.parametrize(("layers", "refused"), [("last", True), ("none", False)])
def test_hidden_states_need_the_same_tokens(tmp_path, layers, refused):
    spec = spec_of(tmp_path, f"    layers: {layers}\n")
    actual = refusals(spec, replace(CONTEXT, same_tokens=False))
    assert [arm for arm, _ in actual] == (["one"] if refused else [])
    assert all("split text differently" in reason for _, reason in actual)
    assert refusals(spec, CONTEXT) == []


@pytest.mark.parametrize(
    ("methods", "online"),
    [
        (("seqkd",), False),
        (("seqkd", "kd"), False),
        (("tests.unit.spec.written_method",), True),
        (("seqkd", "kd", "tests.unit.spec.written_method"), True),
        (("gkd", "kd"), True),
    ],
)
def test_the_teacher_runs_where_one_method_reads_text_that_is_not_recorded(methods, online):
    """Two methods, of which one reads its text and one its distributions, are no such method."""
    arms = {m: {"name": m.split(".")[-1], "method": m} for m in methods}
    of = spec(methods=arms, report={"baseline": methods[0]})
    output_spec = union_of_outputs(of, replace(CONTEXT, kind="causal_lm"))
    assert (RunningModel() in output_spec) == online
