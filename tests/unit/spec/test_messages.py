"""The bad inputs that belong to the file, with the exact words, line and column."""

from __future__ import annotations

import json
import pickle

import pytest

from raykd.cli.main import main
from tests.unit.spec.files import only, place, problems, write

FILE = """\
name: ckd_glue
tasks: [glue/rte]
teacher:
  model: google-bert/bert-base-uncased
student:
  model: google/bert_uncased_L-6_H-768_A-12
train:
  epochs: 6
  lr: 5e-5
methods:
  none: {}
  kd:
    alpha: {uniform: [0.1, 0.9]}
    temperature: {choice: [1, 2, 4, 8]}
  ckd:
    temperature: {choice: [1, 2, 3, 4]}
    wrdist: {loguniform: [0.1, 1000]}
    ltrdist: {loguniform: [0.1, 1000]}
search:
  algorithm: tpe
  scheduler: {name: asha, grace_period: 1}
"""


def changed(old: str, new: str) -> str:
    assert FILE.count(old) == 1
    return FILE.replace(old, new)


def test_1_a_misspelt_parameter(tmp_path):
    problem = only(tmp_path, changed("    wrdist:", "    wrdsit:"))
    assert place(problem) == (17, 5, "methods.ckd.wrdsit")
    assert problem.message == "method 'ckd' has no parameter 'wrdsit'"
    assert problem.hint == "did you mean 'wrdist'? (all of them: raykd show ckd)"
    assert problem.render() == (
        f"error: {tmp_path}/space.yaml:17:5: methods.ckd.wrdsit: "
        "method 'ckd' has no parameter 'wrdsit'\n"
        "    17 |     wrdsit: {loguniform: [0.1, 1000]}\n"
        "       |     ^\n"
        "       = did you mean 'wrdist'? (all of them: raykd show ckd)"
    )


def test_2_a_logarithmic_range_from_zero(tmp_path):
    problem = only(tmp_path, changed("ltrdist: {loguniform: [0.1,", "ltrdist: {loguniform: [0,"))
    assert place(problem) == (18, 27, "methods.ckd.ltrdist.loguniform")
    assert problem.message == "loguniform needs low > 0, got [0, 1000]"
    assert problem.hint == "use uniform, or a small positive low such as 1e-4"


def test_3_a_constant_out_of_bounds(tmp_path):
    problem = only(tmp_path, changed("alpha: {uniform: [0.1, 0.9]}", "alpha: 1.5"))
    assert place(problem) == (13, 12, "methods.kd.alpha")
    assert problem.message == "'alpha' must lie in [0, 1], got 1.5"


def test_4_an_unknown_distribution(tmp_path):
    problem = only(tmp_path, changed("{choice: [1, 2, 4, 8]}", "{choices: [1, 2, 4, 8]}"))
    assert place(problem) == (14, 28, "methods.kd.temperature.choices")
    assert problem.message == "unknown distribution 'choices'"
    assert problem.hint == "did you mean 'choice'?"


def test_5_a_key_given_twice(tmp_path):
    problem = only(tmp_path, changed("  lr: 5e-5\n", "  epochs: 5\n"))
    assert place(problem) == (9, 3, "train.epochs")
    assert problem.message == "duplicate key 'epochs'"
    assert problem.hint == "first given on line 8"


def test_6_a_condition_on_nothing(tmp_path):
    line = "    wrangle: {loguniform: [0.1, 1000], when: {use_angles: true}}\n"
    problem = only(tmp_path, changed("search:\n", line + "search:\n"))
    assert place(problem) == (19, 47, "methods.ckd.wrangle.when")
    assert problem.message == "'when' refers to 'use_angles', which ckd does not search or set"


def test_7_early_stopping_with_two_objectives(tmp_path):
    two = "  objective: [{metric: accuracy, mode: max}, {metric: latency_ms, mode: min}]\n"
    problem = only(tmp_path, FILE + two)
    assert place(problem) == (21, 3, "search.scheduler")
    assert problem.message == "asha needs one objective, the file has 2 (accuracy, latency_ms)"
    assert problem.hint == "use scheduler: none, or keep one objective"


BROKEN = (
    FILE.replace("alpha: {uniform: [0.1, 0.9]}", "alpha: 1.5")
    .replace("    wrdist:", "    wrdsit:")
    .replace("  lr: 5e-5\n", "  epochs: 5\n")
    .replace("tasks: [glue/rte]", "tasks: [glue/rtr]")
)


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path):
    actual = problems(tmp_path, BROKEN)
    assert [(p.line, p.path) for p in actual] == [
        (2, "tasks"), (9, "train.epochs"), (13, "methods.kd.alpha"), (17, "methods.ckd.wrdsit"),
    ]  # fmt: skip


def test_the_command_ends_with_2_and_shows_them_on_stderr(tmp_path, capsys):
    code = main(["validate", str(write(tmp_path, BROKEN))])
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.count("error: ") == 4
    assert "Traceback" not in err
    assert main(["validate", "-v", str(write(tmp_path, BROKEN))]) == 2
    assert capsys.readouterr().err.count("Traceback (most recent call last)") == 1


def test_the_json_form(tmp_path, capsys):
    path = write(tmp_path, changed("alpha: {uniform: [0.1, 0.9]}", "alpha: 1.5"))
    assert main(["validate", str(path), "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().err) == {
        "file": str(path),
        "line": 13,
        "column": 12,
        "path": "methods.kd.alpha",
        "message": "'alpha' must lie in [0, 1], got 1.5",
        "hint": "",
    }


def test_errors_of_all_files_are_shown(tmp_path, capsys):
    path = write(tmp_path, BROKEN)
    assert main(["validate", str(path), str(tmp_path / "absent.yaml")]) == 2
    err = capsys.readouterr().err
    assert err.count("error: ") == 5
    assert "absent.yaml: there is no such file" in err


def test_a_collected_error_survives_pickling(tmp_path):
    from raykd.errors import SpecError
    from raykd.spec.load import load_spec

    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, BROKEN))
    assert pickle.loads(pickle.dumps(caught.value)).problems() == caught.value.problems()


def test_beyond_a_hundred_problems_are_counted(tmp_path):
    unknown = "".join(f"  unknown{k}: 1\n" for k in range(150))
    actual = problems(tmp_path, FILE.replace("train:\n", f"train:\n{unknown}"))
    assert len(actual) == 101
    assert actual[0].message == "the first 100 of 150 problems are shown"
