"""Several teachers: which arm learns from which, what they say together, and who may not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykd.data.task_kinds import task_kind
from raykd.errors import DataError, SpecError
from raykd.spec.load import load_spec, spec_from_dict, to_yaml
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from raykd.task_setup.named_teachers import for_teacher, set_up_all, teacher_names
from raykd.teachers.combined import mean_logits, routed_logits
from tests.unit.task_setup import test_given_teacher as given

NAME = given.NAME
LARGE = {**given.MODEL["model"], "hidden": 24}
TEACHERS: Mapping[str, Any] = {
    "small": given.MODEL,
    "large": {**given.MODEL, "model": LARGE},
}
ARM = {"name": "kd", "method": "kd", "fixed": {"alpha": 0.7}}


def sweep(place: Path, teachers: Mapping[str, Any], arms: Mapping[str, Any]) -> SweepSpec:
    """A sweep of arms, each with its teacher."""
    own = {"name": NAME, "path": str(place), "texts": ["text"], "labels": given.LABELS}
    plain = given.sweep(place, next(iter(teachers.values())), own_tasks={NAME: own}).as_dict()
    methods = {
        name: {**ARM, "name": name, "fixed": {"alpha": 0.7, "teacher": teacher}}
        for name, teacher in arms.items()
    }
    baseline = {"baseline": next(iter(methods))}
    # One tokenizer for all: students of sizes have their teacher's.
    return spec_from_dict({**plain, "teachers": teachers, "methods": methods, "report": baseline})


def logits_of(spec: SweepSpec, place: Path, name: str) -> np.ndarray:
    ready = prepare_task(spec, NAME, place / "cache", lambda *_: None, name=name)[1]
    assert ready.cached_outputs is not None
    return ready.cached_outputs.all_logits()


# ---- the mathematics


def test_a_mean_is_that_of_probabilities():
    one, two = np.asarray([[2.0, 0.0, -1.0]]), np.asarray([[0.0, 1.0, 3.0]])
    actual = mean_logits({"a": one, "b": two}, {"a": 0.75, "b": 0.25}, task_kind("classification"))

    def soft(x):
        return np.exp(x) / np.exp(x).sum()

    assert np.allclose(np.exp(actual), 0.75 * soft(one) + 0.25 * soft(two), atol=1e-6)
    binary = mean_logits({"a": one, "b": two}, {"a": 0.5, "b": 0.5}, task_kind("multi_label"))
    wanted = (1 / (1 + np.exp(-one)) + 1 / (1 + np.exp(-two))) / 2
    assert np.allclose(1 / (1 + np.exp(-binary)), wanted, atol=1e-6)
    scores = mean_logits({"a": one, "b": two}, {"a": 0.5, "b": 0.5}, task_kind("regression"))
    assert np.allclose(scores, (one + two) / 2)
    huge = mean_logits({"a": np.asarray([[900.0, -900.0]])}, {"a": 1.0}, task_kind("multi_label"))
    assert np.isfinite(huge).all()


def test_a_route_takes_the_row_of_its_teacher():
    one, two = np.arange(6.0).reshape(3, 2), -np.arange(6.0).reshape(3, 2)
    actual = routed_logits({"a": one, "b": two}, ["b", "a", "b"])
    assert actual.tolist() == [two[0].tolist(), one[1].tolist(), two[2].tolist()]


# ---- arms and their teachers


def test_every_arm_learns_from_its_own_teacher(tmp_path):
    place = given.folder(tmp_path / "rows")
    spec = sweep(place, TEACHERS, {"one": "small", "two": "large"})
    actual = {}
    for arm, teacher in (("one", "small"), ("two", "large")):
        config = trial_of(spec, tmp_path, NAME, arm, {"lr": 1e-3})
        assert config.coefficients["teacher"] == teacher
        setup, ready, _ = prepare_task(
            spec, NAME, tmp_path / "cache", lambda *_: None, name=teacher
        )
        assert setup.named == teacher
        assert ready.teacher_dims.hidden == (24 if teacher == "large" else 16)
        outcome = run_in_process(config, ready, setup.task, lambda _: None)
        actual[arm] = outcome.evaluation.terms["loss"]
        # The same numbers as in a file with this teacher alone.
        alone = given.sweep(place, TEACHERS[teacher])
        config = trial_of(alone, tmp_path, NAME, "kd", {"lr": 1e-3})
        ready = prepare_task(alone, NAME, tmp_path / "cache", lambda *_: None)[1]
        seeded = trial_of(spec, tmp_path, NAME, arm, {"lr": 1e-3})
        same = run_in_process(
            type(config)(**{f: getattr(config, f) for f in config.__slots__} | {
                "seed": seeded.seed
            }), ready, setup.task, lambda _: None,
        )  # fmt: skip
        assert same.evaluation.terms["loss"] == actual[arm]
    assert actual["one"] != actual["two"]


def test_a_sweep_as_one_teacher_sees_it_has_its_arms(tmp_path):
    place = given.folder(tmp_path / "rows")
    spec = sweep(place, TEACHERS, {"one": "small", "two": "large"})
    plain = spec.as_dict()
    plain["methods"]["both"] = {
        "name": "both", "method": "kd", "domains": {
            "teacher": {"kind": "choice", "choices": ["small", "large"]},
            "alpha": {"kind": "uniform", "low": 0.1, "high": 0.9},
        },
    }  # fmt: skip
    plain["methods"]["none"] = {"name": "none", "method": "none"}
    spec = spec_from_dict(plain)
    assert teacher_names(spec) == ("small", "large")
    assert set(for_teacher(spec, "small").methods) == {"one", "both", "none"}
    large = for_teacher(spec, "large")
    assert set(large.methods) == {"two", "both"}
    assert large.teacher.model.hidden == 24
    assert large.methods["both"].fixed["teacher"] == "large"
    assert "teacher" not in large.methods["both"].domains
    setups = set_up_all(spec)
    assert list(setups) == [f"{NAME} (small)", f"{NAME} (large)"]


@pytest.mark.parametrize("mean", [["small", "large"], {"small": 3, "large": 1}])
def test_a_mean_of_teachers_is_what_students_read(tmp_path, mean):
    place = given.folder(tmp_path / "rows")
    spec = sweep(place, {**TEACHERS, "both": {"mean": mean}}, {"one": "both"})
    small, large, both = (logits_of(spec, tmp_path, name) for name in ("small", "large", "both"))
    weight = 0.5 if isinstance(mean, list) else 0.75

    def soft(x):
        return np.exp(x) / np.exp(x).sum(1, keepdims=True)

    wanted = weight * soft(small.astype(float)) + (1 - weight) * soft(large.astype(float))
    assert np.allclose(soft(both.astype(float)), wanted, atol=1e-5)
    assert not np.allclose(soft(small), soft(large), atol=1e-3)


def test_rows_are_taught_by_the_teacher_of_their_column(tmp_path):
    domains = ["law" if k % 3 else "art" for k in range(given.ROWS)]
    place = given.folder(tmp_path / "rows", {"domain": domains})
    routed = {"by": "domain", "routes": {"law": "small", "art": "large"}}
    spec = sweep(place, {**TEACHERS, "routed": routed}, {"one": "routed"})
    small, large, actual = (logits_of(spec, tmp_path, n) for n in ("small", "large", "routed"))
    wanted = [small[k] if domain == "law" else large[k] for k, domain in enumerate(domains)]
    assert np.allclose(actual, np.asarray(wanted), atol=1e-6)


@pytest.mark.parametrize("has_column", [True, False])
def test_a_combination_is_scored_on_the_rows_that_its_members_are(tmp_path, has_column):
    domains = ["law" if k % 3 else "art" for k in range(given.ROWS)]
    place = given.folder(tmp_path / "rows", {"domain": domains})
    if has_column:
        lines = (place / "train.csv").read_text().splitlines()[:21]
        (place / "validation.csv").write_text("\n".join(lines) + "\n")
    routed = {"by": "domain", "routes": {"law": "small", "art": "large"}}
    both = {"mean": ["small", "large"]}
    spec = sweep(place, {**TEACHERS, "both": both, "routed": routed}, {"a": "both", "b": "routed"})
    ready = {
        name: prepare_task(spec, NAME, tmp_path / "cache", lambda *_: None, name=name)[1]
        for name in ("small", "large", "both", "routed")
    }
    assert ready["both"].metrics.keys() == ready["small"].metrics.keys()
    assert bool(ready["routed"].metrics) is has_column
    labels = ready["both"].splits["test"].labels
    logits = {name: of.scored_logits.get("test") for name, of in ready.items()}
    assert not ready["both"].scored_logits
    mean = sum(np.exp(logits[n] - np.logaddexp.reduce(logits[n], 1)[:, None])
               for n in ("small", "large"))  # fmt: skip
    right = (mean.argmax(1) == labels).mean()
    assert ready["both"].metrics["test/accuracy"] == pytest.approx(right)


def test_a_row_without_a_teacher_is_named(tmp_path):
    place = given.folder(tmp_path / "rows", {"domain": ["law"] * 59 + ["war"]})
    routed = {"by": "domain", "routes": {"law": "small", "art": "large"}}
    spec = sweep(place, {**TEACHERS, "routed": routed}, {"one": "routed"})
    with pytest.raises(DataError) as caught:
        set_up_all(spec)
    (problem,) = caught.value.problems()
    assert problem.path == "teachers.routed.by"
    assert "column 'domain' holds 'war', which has no teacher" in problem.message


def test_methods_that_need_a_model_refuse_a_combination(tmp_path):
    place = given.folder(tmp_path / "rows")
    spec = sweep(place, {**TEACHERS, "both": {"mean": ["small", "large"]}}, {"one": "both"})
    plain = spec.as_dict()
    plain["methods"]["one"]["method"] = "tinybert"
    plain["methods"]["one"]["fixed"] = {"teacher": "both"}
    with pytest.raises(SpecError, match="of this teacher there are logits only"):
        set_up_all(spec_from_dict(plain))


def test_a_combination_is_of_whole_rows(tmp_path):
    from tests.unit.task_setup import test_given_texts as texts

    writer = {**texts.MODEL}
    spec = texts.sweep(tmp_path, writer, "kd", alpha=0.7)
    plain = spec.as_dict()
    plain["teachers"] = {"a": writer, "b": writer, "both": {"mean": ["a", "b"]}}
    plain["methods"]["kd"]["fixed"]["teacher"] = "both"
    with pytest.raises(DataError, match="combined by the logits of whole rows"):
        set_up_all(spec_from_dict(plain))


def test_students_must_be_the_same_with_every_teacher(tmp_path):
    place = given.folder(tmp_path / "rows")
    other = {**given.MODEL, "model": {**given.MODEL["model"], "vocabulary": 64}}
    spec = sweep(place, {"small": given.MODEL, "other": other}, {"one": "small", "two": "other"})
    with pytest.raises(SpecError) as caught:
        set_up_all(spec)
    (problem,) = caught.value.problems()
    assert problem.path == "teachers.other"
    assert "students of teacher 'other' would not be those of 'small'" in problem.message


def test_students_of_sizes_read_the_tokens_of_the_models_that_are_combined(tmp_path):
    place = given.folder(tmp_path / "rows")
    wide = {name: {**one, "model": {**one["model"], "vocabulary": 64}}
            for name, one in TEACHERS.items()}  # fmt: skip
    spec = sweep(place, {**wide, "both": {"mean": ["small", "large"]}}, {"one": "both"})
    setups = set_up_all(spec)
    assert spec.student.model.vocabulary != 64
    sizes = {key: len(setup.tokenizers.student) for key, setup in setups.items()}
    assert len(sizes) == 3
    assert set(sizes.values()) == {64}


# ---- the file

HEAD = """\
name: x
tasks: [glue/rte]
teachers:
  a: {checkpoint: one}
  b: {model: two, finetune: {epochs: 2}}
  both: {mean: {a: 3, b: 1}}
student: {model: three}
train: {epochs: 1}
"""


def load(tmp_path: Path, text: str) -> SweepSpec:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    return load_spec(path)


def test_a_file_with_several_teachers(tmp_path):
    arms = "methods: {none: {}, kd: {}, ckd: {teacher: {choice: [b, both]}}}\n"
    spec = load(tmp_path, HEAD + arms)
    assert list(spec.teachers) == ["a", "b", "both"]
    assert spec.teacher == spec.teachers["a"]
    assert spec.methods["kd"].fixed == {"teacher": "a"}  # the first one, where none is named
    assert "teacher" not in spec.methods["none"].fixed
    assert spec.methods["ckd"].domains["teacher"].choices == ("b", "both")
    assert spec.teachers["both"].weights == {"a": 0.75, "b": 0.25}
    assert load(tmp_path, to_yaml(spec)) == spec
    assert spec_from_dict(spec.as_dict()) == spec


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (("kd: {}", "kd: {teacher: c}"), "methods.kd.teacher", "there is no teacher 'c'"),
        (("none: {}", "none: {teacher: a}"), "methods.none.teacher", "learns from no teacher"),
        (("[b, both]", "[b, bath]"), "methods.ckd.teacher", "there is no teacher 'bath'"),
        (("{a: 3, b: 1}", "[a, c]"), "teachers.both.mean", "there is no teacher 'c'"),
        (("{a: 3, b: 1}", "[a, both]"), "teachers.both.mean", "is a combination itself"),
        (("{a: 3, b: 1}", "{a: 0}"), "teachers.both.mean", "must be > 0, got 0"),
        (("{mean: {a: 3, b: 1}}", "{by: domain}"), "teachers.both", "needs 'model'"),
        (("{mean: {a: 3, b: 1}}", "{routes: {x: a}}"), "teachers.both.routes", "stands next to"),
        (("checkpoint: one", "checkpoint: one, epochs: 2"), "teachers.a.epochs", "unknown key"),
        (("{checkpoint: one}", "{checkpoint: one, serve: weights}"), "teachers.both.mean",
         "served by its weights"),
        (("[b, both]", "[b, a]"), "teachers.both", "no arm learns from teacher 'both'"),
        (("student: {model: three}", "student: {from_teacher: {layers: [0]}}"),
         "student.from_teacher", "made of one teacher"),
        (("teachers:", "teacher: {checkpoint: z}\nteachers:"), "teachers", "not both"),
    ],
)  # fmt: skip
def test_what_will_not_do_is_refused_with_its_place(tmp_path, change, path, words):
    text = HEAD + "methods: {none: {}, kd: {}, ckd: {teacher: {choice: [b, both]}}}\n"
    assert change[0] in text
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text.replace(*change))
    actual = [p for p in caught.value.problems() if p.path == path]
    assert [words in p.message for p in actual] == [True], caught.value.problems()
    assert actual[0].line


def test_one_teacher_has_no_name(tmp_path):
    text = "name: x\ntasks: [glue/rte]\nteacher: {checkpoint: a}\nstudent: {model: b}\n"
    with pytest.raises(SpecError, match="the file has one alone"):
        load(tmp_path, text + "train: {epochs: 1}\nmethods: {kd: {teacher: a}}\n")
    with pytest.raises(SpecError, match="a combination needs the teachers that it combines"):
        load(
            tmp_path,
            text.replace("checkpoint: a", "mean: [a, b]") + "train: {}\nmethods: {kd: {}}\n",
        )
