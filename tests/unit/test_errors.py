from __future__ import annotations

import pickle

import pytest

from raykd import errors
from raykd.errors import DataError, Problem, RaykdError, SpecError, shortened


def every_error(kind: type[RaykdError] = RaykdError) -> list[type[RaykdError]]:
    return [kind, *(e for sub in kind.__subclasses__() for e in every_error(sub))]


ALL = [e for e in every_error() if e.__module__ == errors.__name__]
EXIT_CODES = {
    "RaykdError": 1, "SpecError": 2, "UnknownName": 2, "ShapeError": 1, "SetupError": 4,
    "ClusterLost": 4, "Unreachable": 4, "DataError": 2, "TeacherError": 1, "TrialError": 1,
    "SweepFailed": 1,
}  # fmt: skip


def test_every_error_ends_the_command_with_its_code():
    assert {e.__name__: e.exit_code for e in ALL} == EXIT_CODES


def test_the_tree_in_the_docstring_names_every_error_and_its_exit_code():
    tree = errors.__doc__.splitlines()
    for error in ALL:
        line = next(text for text in tree if text.split()[:1] == [error.__name__])
        stated = line.partition("exit code ")[2]
        assert stated in ("", str(error.exit_code)), line


@pytest.mark.parametrize("kind", ALL, ids=lambda e: e.__name__)
def test_an_error_survives_pickling(kind):
    """Ray sends the errors of workers to the driver."""
    copy = pickle.loads(pickle.dumps(kind("lr is 0", hint="raise it")))
    assert type(copy) is kind
    assert (str(copy), copy.message, copy.hint) == ("lr is 0", "lr is 0", "raise it")


def test_a_spec_error_keeps_its_problems_when_pickled():
    actual = [Problem(message="no", path="a.b", file="f.yaml", line=3, column=2, source="b: 1")]
    copy = pickle.loads(pickle.dumps(SpecError(problems=actual)))
    assert list(copy.problems()) == actual
    assert str(copy) == "no"


def test_an_error_without_places_is_one_problem():
    (problem,) = RaykdError("the disk is full", hint="free some space").problems()
    assert problem == Problem(message="the disk is full", hint="free some space")
    assert SpecError("bad option").problems() == (Problem(message="bad option"),)


def test_problems_are_shown_in_the_order_of_the_file():
    actual = [
        Problem(message="third", file="b", line=1),
        Problem(message="second", file="a", line=9, column=5),
        Problem(message="first", file="a", line=9, column=1),
    ]
    shown = [p.message for p in SpecError(problems=actual).problems()]
    assert shown == ["first", "second", "third"]


@pytest.mark.parametrize("kind", [SpecError, errors.ShapeError, errors.DataError])
def test_wrong_input_is_a_value_error(kind):
    assert issubclass(kind, ValueError)


def test_the_caret_stands_below_the_column():
    source = "    alpha: 1.5"
    problem = Problem(
        message="'alpha' must lie in [0, 1], got 1.5",
        path="methods.kd.alpha", hint="use 1", file="space.yaml", line=12, column=12, source=source,
    )  # fmt: skip
    head, shown, caret, hint = problem.render().splitlines()
    assert head == (
        "error: space.yaml:12:12: methods.kd.alpha: 'alpha' must lie in [0, 1], got 1.5"
    )
    assert shown == f"    12 | {source}"
    assert shown[caret.index("^") :] == "1.5"
    assert caret.index("|") == shown.index("|")
    assert hint.strip() == "= use 1"


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ({}, "error: no"),
        ({"file": "--set"}, "error: --set: no"),
        ({"file": "f", "line": 3}, "error: f:3: no"),
        ({"path": "a.b"}, "error: a.b: no"),
        ({"hint": "do"}, "error: no\n       = do"),
        ({"line": 3, "source": "x: 1"}, "error: no\n     3 | x: 1"),
    ],
)
def test_a_problem_shows_what_is_known_of_its_place(parts, shown):
    assert Problem(message="no", **parts).render() == shown


def test_a_warning_says_that_it_is_one():
    assert Problem(message="dear", level="warning", line=2).render() == "warning: dear"


def test_what_would_steer_a_terminal_is_spelled_out():
    problem = Problem(
        message="got \x1b[2J", hint="\u202e",
        file="f", line=1, column=4, source="a: \x1b]0;owned\x07",
    )  # fmt: skip
    assert problem.render() == (
        "error: f:1:4: got \\x1b[2J\n"
        "     1 | a: \\x1b]0;owned\\x07\n"
        "       |    ^\n"
        "       = \\u202e"
    )


@pytest.mark.parametrize("column", [1, 60, 61, 500, 999])
def test_a_long_line_is_shown_around_its_column(column):
    source = "x" * (column - 1) + "!" + "y" * (1000 - column)
    lines = Problem(message="m", file="f", line=1, column=column, source=source).render()
    _, shown, caret = lines.splitlines()
    assert len(shown) < 150
    assert shown[caret.index("^")] == "!"


def test_an_error_is_placed_without_losing_its_kind():
    error = DataError("no rows", hint="add some")
    placed = error.at("tasks[1]")
    assert isinstance(placed, DataError)
    assert placed.exit_code == 2
    assert [(p.path, p.message, p.hint) for p in placed.problems()] == [
        ("tasks[1]", "no rows", "add some")
    ]
    assert placed.at("tasks[2]").problems() == placed.problems()
    assert pickle.loads(pickle.dumps(placed)).problems() == placed.problems()


def test_the_rest_of_a_long_message_is_counted():
    assert shortened("x" * 500, 10) == "xxxxxxxxxx... (490 more characters)"
    assert shortened("short", 10) == "short"
