from __future__ import annotations

from pathlib import Path

import pytest

from raykd.errors import SpecError
from raykd.spec.yaml_loader import parse, read_file
from raykd.spec.yaml_nodes import Findings, Source, YamlNode


def read(text: str) -> tuple[YamlNode, Findings]:
    findings = Findings()
    node = parse(text, Source("f.yaml", tuple(text.splitlines())), findings)
    assert node is not None
    return node, findings


def refused(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read_file(path, Findings())
    [problem] = caught.value.problems()
    assert problem.file == str(path)
    return problem.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("1", 1), ("0x1F", 31), ("1_000", 1000), ("012", 12), ("-3", -3),
        ("true", True), ("no", "no"), ("yes", "yes"), ("12:30", "12:30"), ("~", None), ("", None),
        ("2001-12-14", "2001-12-14"), ("'1'", "1"), ("1.50", 1.5),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2(text, value):
    node, findings = read(f"a: {text}\n")
    assert node.plain() == {"a": value}
    assert type(node.plain()["a"]) is type(value)
    assert not findings.problems


def test_every_key_and_value_has_a_position():
    node, _ = read("a: 1\nb:\n  - {c: 2}\n")
    inner = node.entries["b"].node.items[0].entries["c"]
    assert (node.entries["a"].mark.line, node.entries["a"].mark.column) == (1, 1)
    assert (node.entries["a"].node.mark.line, node.entries["a"].node.mark.column) == (1, 4)
    assert (inner.mark.line, inner.mark.column) == (3, 6)
    assert (inner.node.mark.line, inner.node.mark.column) == (3, 9)


def test_a_value_left_out_is_placed_at_its_key():
    node, _ = read("a:\n\n\nb: 1\n")
    assert node.entries["a"].node.mark.line == 1


def test_numbers_keep_what_was_typed():
    node, _ = read("a: [1e-5, 010]\n")
    assert node.entries["a"].node.typed() == "[1e-5, 010]"


def test_all_duplicate_keys_are_found_and_the_first_value_stays():
    node, findings = read("a: 1\nb: 2\na: 3\nc:\n  d: 1\n  d: 2\n")
    assert node.plain()["a"] == 1
    assert [(p.path, p.line, p.column, p.hint) for p in findings.problems] == [
        ("a", 3, 1, "first given on line 1"),
        ("c.d", 6, 3, "first given on line 5"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x\n", "anchor 'x' is used again; aliases are not supported"),
        ("a: !!python/none x\n", "tags are not supported, got tag:yaml.org,2002:python/none"),
        ("a: .inf\n", "a number must be finite, got .inf"),
        ("a: .nan\n", "a number must be finite, got .nan"),
        ("? [a]\n: 1\n", "a key must be a plain word"),
    ],
)
def test_what_a_search_space_may_not_hold(text, message):
    _, findings = read(text)
    assert [p.message for p in findings.problems] == [message]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a: [1,\n", 2, 1), ("a: 1\n\tb: 2\n", 2, 1), ("a: b: c\n", 1, 5), ("a: *x\n", 1, 4),
     ("a: 1\n---\nb: 1\n", 2, 1), ("[" * 3000, 1, 33)],
)  # fmt: skip
def test_broken_yaml_is_one_problem_with_a_place(tmp_path, text, line, column):
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_file(path, Findings())
    [problem] = caught.value.problems()
    assert (problem.line, problem.column) == (line, column)
    assert "\n" not in problem.message


def test_a_tab_is_answered_with_what_to_do(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("a: 1\n\tb: 2\n")
    with pytest.raises(SpecError) as caught:
        read_file(path, Findings())
    assert caught.value.problems()[0].hint == "indent with spaces, not tabs"


def test_files_that_are_no_search_space(tmp_path):
    assert refused(tmp_path / "absent.yaml") == "there is no such file"
    assert refused(tmp_path) == "cannot read the file: Is a directory"
    empty = tmp_path / "empty.yaml"
    empty.write_text("# nothing\n")
    assert refused(empty) == "the file is empty"
    listed = tmp_path / "list.yaml"
    listed.write_text("- a\n- b\n")
    assert refused(listed) == "expected sections (key: value), got a list"
    single = tmp_path / "single.yaml"
    single.write_text("hello\n")
    assert refused(single) == "expected sections (key: value), got a single value"
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: caf\xe9".encode("latin-1"))
    assert refused(latin) == "the file is not UTF-8 text (byte 9, line 1)"
    zero = tmp_path / "zero.yaml"
    zero.write_bytes(b"name: \x00")
    assert "special characters are not allowed" in refused(zero)
