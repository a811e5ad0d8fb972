"""A teacher that ran elsewhere: its outputs are read from columns, and students learn the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykd import params, registry
from raykd.data.base import DataSettings
from raykd.errors import DataError, RaykdError, SpecError
from raykd.methods.base import DistillationContext
from raykd.models.base import ModelDims
from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.tasks import task_of
from tests.unit.sweep.specs import PLAIN, SHAPE

NAME = "mine"
LABELS = ("negative", "positive")
ROWS = 60


def texts(count: int) -> list[tuple[str, str]]:
    words = {"negative": ("bad", "dull", "slow"), "positive": ("fine", "great", "warm")}
    actual = []
    for k in range(count):
        label = LABELS[k % 2]
        actual.append((f"a {words[label][k % 3]} film, number {k} {'of many ' * (k % 4)}", label))
    return actual


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def folder(place: Path, extra: Mapping[str, Sequence[Any]] | None = None) -> Path:
    """Train and validation rows with an id, and further columns of the train rows."""
    place.mkdir(exist_ok=True)
    rows = [{"id": f"r{k}", "text": t, "label": y} for k, (t, y) in enumerate(texts(ROWS))]
    write_csv(place / "validation.csv", rows[:20])
    for name, values in (extra or {}).items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    write_csv(place / "train.csv", rows)
    return place


def sweep(place: Path, teacher: Mapping[str, Any], **changes: Any) -> SweepSpec:
    own = {"name": NAME, "path": str(place), "texts": ["text"], "labels": LABELS}
    plain = {
        **PLAIN,
        "tasks": [NAME],
        "own_tasks": {NAME: own},
        "data": {
            "max_length": 32, "select_on": {"split": "validation", "fraction": 0.5},
            "report_on": {"split": "validation"},
        },
        "teacher": teacher,
        "methods": {"kd": {"name": "kd", "method": "kd", "fixed": {"alpha": 0.7}}},
        "report": {"baseline": "kd"},
        **changes,
    }  # fmt: skip
    return spec_from_dict(plain)


MODEL = {"model": {**SHAPE, "hidden": 16}, "finetune": {"epochs": 2, "lr": 1e-3}}


def trained(spec: SweepSpec, place: Path, arm: str = "kd") -> dict[str, float]:
    setup, prepared, _ = prepare_task(spec, NAME, place / "cache", lambda *_: None)
    config = trial_of(spec, place, NAME, arm, {"lr": 1e-3})
    actual = run_in_process(config, prepared, setup.task, lambda _: None)
    return {**actual.metrics, **actual.evaluation.terms}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[np.ndarray, dict[str, float]]:
    """What a teacher says that runs here, and what a student learns of it."""
    place = tmp_path_factory.mktemp("recorded")
    spec = sweep(folder(place / "rows"), MODEL)
    _, prepared, _ = prepare_task(spec, NAME, place / "cache", lambda *_: None)
    assert prepared.cached_outputs is not None
    return prepared.cached_outputs.all_logits(), trained(spec, place)


def softmax(logits: np.ndarray) -> np.ndarray:
    wide = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return wide / wide.sum(axis=1, keepdims=True)


def test_logits_in_a_column_teach_what_the_recorded_teacher_does_bit_for_bit(recorded, tmp_path):
    logits, expected = recorded
    column = [json.dumps([float(v) for v in row]) for row in logits]
    spec = sweep(folder(tmp_path / "rows", {"z": column}), {"outputs": {"logits": "z"}})
    assert trained(spec, tmp_path) == expected


def as_list(row: np.ndarray) -> Any:
    return json.dumps(row.tolist())


def as_mapping(row: np.ndarray) -> Any:
    return json.dumps({LABELS[k]: row[k] for k in (1, 0)})


def as_pipeline(row: np.ndarray) -> Any:
    return json.dumps([{"label": LABELS[k], "score": row[k]} for k in (1, 0)])


@pytest.mark.parametrize("written", [as_list, as_mapping, as_pipeline])
def test_probabilities_in_any_form_teach_the_same_within_rounding(recorded, tmp_path, written):
    logits, expected = recorded
    given = {"p": [written(row) for row in softmax(logits)]}
    spec = sweep(folder(tmp_path / "rows", given), {"outputs": {"probabilities": "p"}})
    assert trained(spec, tmp_path) == pytest.approx(expected, abs=1e-6)


def test_a_file_next_to_the_rows_goes_by_id_or_by_place(recorded, tmp_path):
    logits, expected = recorded
    rows = folder(tmp_path / "rows")
    lines = [{"id": f"r{k}", "z": row.tolist()} for k, row in enumerate(logits)]
    by_place, by_id = tmp_path / "place.jsonl", tmp_path / "id.jsonl"
    by_place.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    by_id.write_text("".join(f"{json.dumps(line)}\n" for line in reversed(lines)))
    for given in ({"path": str(by_place)}, {"path": str(by_id), "id": "id"}):
        assert trained(sweep(rows, {"outputs": {"logits": "z", **given}}), tmp_path) == expected


def test_a_carved_file_and_its_outputs_go_by_the_place_in_the_whole_set(tmp_path):
    rows = [{"text": t, "label": y} for t, y in texts(ROWS)]
    write_csv(tmp_path / "all.csv", rows)
    write_csv(tmp_path / "soft.csv", [{"a": -k, "b": k} for k in range(ROWS)])
    own = {"name": NAME, "path": str(tmp_path / "all.csv"), "texts": ["text"], "labels": LABELS}
    outputs = {"logits": ["a", "b"], "path": str(tmp_path / "soft.csv")}
    spec = sweep(tmp_path, {"outputs": outputs}, own_tasks={NAME: own})
    setup = set_up_task(spec, NAME)
    assert setup.given is not None
    assert setup.given.recorded is not None
    numbers = [int(text.split("number ")[1].split()[0]) for text in setup.rows["train"].texts[0]]
    assert setup.given.recorded.all_logits()[:, 1].tolist() == numbers
    assert set(setup.given.scores) == {"validation", "test"}  # the file has these rows, too


def test_scores_of_the_teacher_are_those_of_the_rows_that_it_said_something_of(recorded, tmp_path):
    logits, _ = recorded
    place = folder(tmp_path / "rows", {"z": [as_list(row) for row in logits]})
    spec = sweep(
        place, {"outputs": {"logits": "z"}},
        data={"max_length": 32, "select_on": {"split": "train", "fraction": 0.25}},
    )  # fmt: skip
    _, prepared, _ = prepare_task(spec, NAME, tmp_path / "cache", lambda *_: None)
    rows = task_of(spec, NAME).load("train", DataSettings())
    assert set(prepared.metrics) == {"validation/accuracy", "validation/f1", "validation/f1_macro",
                                     "validation/matthews"} & set(prepared.metrics)  # fmt: skip
    assert 0 <= prepared.metrics["validation/accuracy"] <= 1
    assert len(rows) == ROWS
    assert (prepared.parameters, prepared.forwards, prepared.teacher) == (0, 0, None)


def test_a_regression_reads_scores(tmp_path):
    place = folder(tmp_path / "rows", {"label": [k / ROWS for k in range(ROWS)],
                                       "s": [k / 7 for k in range(ROWS)]})  # fmt: skip
    write_csv(
        place / "validation.csv", [{"text": "a film", "label": 0.1}, {"text": "b", "label": 1}]
    )
    own = {"name": NAME, "path": str(place), "texts": ["text"], "kind": "regression"}
    setup = set_up_task(sweep(place, {"outputs": {"logits": "s"}}, own_tasks={NAME: own}), NAME)
    assert setup.given is not None
    assert setup.given.recorded is not None
    actual = setup.given.recorded.all_logits()
    assert actual[:, 0] == pytest.approx([k / 7 for k in range(ROWS)])
    with pytest.raises(DataError, match="scores, not probabilities"):
        set_up_task(sweep(place, {"outputs": {"probabilities": "s"}}, own_tasks={NAME: own}), NAME)


def probabilities(**changes: Any) -> dict[str, list[Any]]:
    given: list[Any] = [json.dumps([0.25, 0.75]) for _ in range(ROWS)]
    for row, value in changes.items():
        given[int(row.removeprefix("r"))] = value
    return {"p": given}


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("[0.5, 0.6]", "line 9: column 'p': probabilities add up to 1.1, expected 1"),
        ("[0.5, 0.2, 0.3]", "line 9: column 'p': holds 3 numbers, and there are 2 classes"),
        ("[NaN, 1]", "line 9: column 'p': holds nothing, expected a number"),
        ("[-0.5, 1.5]", "line 9: column 'p': holds -0.5, not a probability"),
        ("", "line 9: column 'p': holds ''"),
        ("[0.5", "which is not JSON"),
        ('{"negative": 1}', "line 9: column 'p': has no number of positive"),
        ('{"negative": 0.5, "neutral": 0.5}', "names the class 'neutral', expected negative"),
        ('{"negative": "x", "positive": 1}', "holds 'x', expected a number"),
        ('[{"label": "negative", "p": 1}]', "among {label, score}"),
        ('[{"label": "negative", "score": 1}, {"label": "negative", "score": 0}]', "twice"),
        ("0.7", "line 9: column 'p': holds '0.7'"),
    ],
)  # fmt: skip
def test_a_cell_that_holds_no_probabilities_is_named(tmp_path, cell, words):
    place = folder(tmp_path / "rows", probabilities(r7=cell))
    with pytest.raises(DataError) as caught:
        set_up_task(sweep(place, {"outputs": {"probabilities": "p"}}), NAME)
    assert words in caught.value.message
    # What is a number for each class, and no distribution, may be something else.
    is_other = "add up" in words or "not a probability" in words
    assert ("outputs.logits" in caught.value.hint) == is_other
    assert str(place / "train.csv") in caught.value.message
    assert caught.value.problems()[0].path == "teacher.outputs.probabilities"


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def test_files_that_do_not_fit_the_rows_are_refused(tmp_path):
    place = folder(tmp_path / "rows")
    rows = [{"id": f"r{k}", "p": [0.5, 0.5]} for k in range(ROWS)]
    path = tmp_path / "soft.jsonl"
    cases: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
        (rows[:-1], {}, "has 59 rows and"),
        (rows[:-1], {"id": "id"}, "rows have no output of the teacher|has no row of it"),
        ([*rows, rows[3]], {"id": "id"}, "line 61: is the second row 'r3', after line 4"),
        ([*rows[:-1], {"p": [1, 0]}], {"id": "id"}, "line 60: column 'id' is empty"),
        (rows, {"id": "name"}, "has no column 'name'"),
        ([{"q": 1} for _ in rows], {}, "has no column 'p'"),
    ]
    for lines, keys, words in cases:
        outputs = {"probabilities": "p", "path": written(path, lines), **keys}
        with pytest.raises(DataError, match=words):
            set_up_task(sweep(place, {"outputs": outputs}), NAME)
    nowhere = sweep(place, {"outputs": {"probabilities": "p", "path": "nowhere.csv"}})
    with pytest.raises(DataError, match=r"there is no file 'nowhere\.csv'"):
        set_up_task(nowhere, NAME)
    with pytest.raises(DataError, match="has no column 'p'"):
        set_up_task(sweep(place, {"outputs": {"probabilities": "p"}}), NAME)
    with pytest.raises(DataError, match="not answered in text"):
        set_up_task(sweep(folder(tmp_path / "said", {"said": ["x"] * ROWS}),
                          {"outputs": {"responses": "said"}}), NAME)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("ckd", "reads hidden states of the teacher, and of this teacher there are logits only"),
        ("pkd", "reads hidden states of the teacher"),
        ("minilmv2", "of the teacher, and of this teacher there are logits only"),
    ],
)
def test_methods_that_need_the_model_are_refused(tmp_path, method, words):
    place = folder(tmp_path / "rows", probabilities())
    arm = {"name": method, "method": method}
    spec = sweep(place, {"outputs": {"probabilities": "p"}}, methods={method: arm},
                 report={"baseline": method})  # fmt: skip
    with pytest.raises(SpecError, match=words):
        set_up_task(spec, NAME)


def test_augmented_rows_have_no_outputs(tmp_path):
    place = folder(tmp_path / "rows", probabilities())
    data = {"max_length": 32, "augment": {"vectors": "words.txt"}}
    with pytest.raises(RaykdError, match="augmented rows need outputs of their own"):
        set_up_task(sweep(place, {"outputs": {"probabilities": "p"}}, data=data), NAME)


PAIR = ModelDims(layers=2, hidden=8, heads=2, vocabulary=40, intermediate=32)


@pytest.mark.parametrize("holds", [("logits",), ("generations",)])
def test_every_method_reads_what_is_held_or_says_why_not(holds):
    served = set()
    for name in registry.names("methods"):
        method = registry.load("methods", name)
        for kind in method.kinds:
            context = DistillationContext(teacher=PAIR, student=PAIR, kind=kind, num_labels=2,
                                          holds=holds)  # fmt: skip
            made = method(params.build(registry.params_of("methods", name), {}), context)
            reason = made.refusal()
            needs = {s.kind for s in made.teacher_outputs() if s.of_teacher}
            if not reason:
                assert needs <= set(holds), (name, kind)
                assert made.teacher_analysis() is None, (name, kind)
                served.add(name)
            else:
                assert "\n" in reason, (name, kind)
    assert {"none", "sft"} < served
    assert ("kd" in served) == (holds == ("logits",))
    assert ("seqkd" in served) == (holds == ("generations",))
