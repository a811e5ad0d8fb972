from __future__ import annotations

import pytest

from raykd.spec.load import load_spec
from tests.unit.spec.files import ARMS, HEAD, only, problems, write


def test_values_are_yaml_and_missing_sections_are_made(tmp_path):
    path = write(tmp_path, HEAD + ARMS)
    spec = load_spec(
        path,
        ["search.trials=7", "train.lr=1e-3", "data.select_on={split: validation}",
         "confirm.seeds=[3, 4]", "methods.one.alpha={uniform: [0.1, 0.2]}"],
    )  # fmt: skip
    assert spec.search.trials == 7
    assert spec.train.fixed["lr"] == 1e-3
    assert not spec.train.domains
    assert spec.data.select_on.split == "validation"
    assert spec.confirm.seeds == (3, 4)
    assert spec.methods["one"].domains["alpha"].high == 0.2


def test_the_last_one_wins(tmp_path):
    path = write(tmp_path, HEAD + ARMS)
    assert load_spec(path, ["search.trials=7", "search.trials=8"]).search.trials == 8


def test_an_empty_value_is_null(tmp_path):
    path = write(tmp_path, HEAD + ARMS)
    assert load_spec(path, ["methods.one.window="]).methods["one"].fixed["window"] is None


def test_a_problem_shows_the_option_and_the_place_in_it(tmp_path):
    problem = only(tmp_path, HEAD + ARMS, ["methods.one.alpha=1.5"])
    assert problem.render() == (
        "error: --set: methods.one.alpha: 'alpha' must lie in [0, 1], got 1.5\n"
        "       | --set methods.one.alpha=1.5\n"
        "       |                         ^"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.lr", "expected KEY=VALUE, got 'train.lr'"),
        ("=3", "expected KEY=VALUE, got '=3'"),
        ("train..lr=3", "expected KEY=VALUE, got 'train..lr=3'"),
        ("name.x=3", "'name' is the value small and has no keys"),
        ("tasks.0=toy/sentiment", "'tasks' is a list and has no keys"),
        ("search.trails=3", "unknown key 'trails'"),
    ],
)
def test_wrong_overrides(tmp_path, text, message):
    problem = only(tmp_path, HEAD + ARMS, [text])
    assert problem.message == message
    assert problem.file == "--set"
    assert problem.source == f"--set {text}"


def test_broken_yaml_in_a_value(tmp_path):
    problem = only(tmp_path, HEAD + ARMS, ["tasks=[toy/sentiment"])
    assert problem.message.startswith("cannot be read as YAML: ")
    assert problem.file == "--set"


def test_problems_of_file_and_options_come_together(tmp_path):
    text = HEAD + ARMS + "    alpha: 2\n"
    actual = problems(tmp_path, text, ["search.trials=0", "nonsense"])
    assert {p.message for p in actual} == {
        "'alpha' must lie in [0, 1], got 2",
        "'trials' must be >= 1, got 0",
        "expected KEY=VALUE, got 'nonsense'",
    }


def with_own() -> str:
    own = "tasks: [toy/sentiment, {name: own, path: data, texts: [a], labels: [n, p]}]"
    return HEAD.replace("tasks: [toy/sentiment]", own) + ARMS


def test_numbers_in_brackets_name_entries_of_a_list(tmp_path):
    spec = load_spec(
        write(tmp_path, with_own()),
        ["tasks[1].path=other", "tasks[1].labels[0]=neg", "tasks[1].splits.validation=dev"],
    )
    own = spec.own_tasks["own"]
    assert (own.path, own.labels, own.splits) == ("other", ("neg", "p"), {"validation": "dev"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks[2].path=x", "'tasks' has 2 entries, the last one is [1]"),
        ("tasks[0].path=x", "'tasks[0]' is the value toy/sentiment and has no keys"),
        ("teacher[0]=3", "'teacher' is not a list and has no entry [0]"),
        ("tasks[-1].path=x", "expected KEY=VALUE, got 'tasks[-1].path=x'"),
        ("tasks[1]path=x", "expected KEY=VALUE, got 'tasks[1]path=x'"),
    ],
)
def test_wrong_numbers(tmp_path, text, message):
    assert only(tmp_path, with_own(), [text]).message == message
