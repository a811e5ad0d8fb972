from __future__ import annotations

import pytest

from raykd.clusters.document import dotted, read_documents
from raykd.errors import SpecError


@pytest.fixture
def read(tmp_path):
    def make(text: str):
        file = tmp_path / "f.yaml"
        file.write_text(text)
        return read_documents(str(file))

    return make


def refused(read, text: str):
    with pytest.raises(SpecError) as caught:
        read(text)
    return caught.value.problems()


def test_a_place_has_line_and_column(read):
    (document,) = read("a:\n  - b: 1\n    c: 2\n")
    problem = document.problem(("a", 0, "c"), "wrong")
    assert (problem.line, problem.column, problem.source) == (3, 5, "    c: 2")
    assert problem.path == "a[0].c"


def test_a_place_that_is_not_written_is_that_above(read):
    (document,) = read("a:\n  b: 1\n")
    assert document.problem(("a", "x", "y"), "wrong").line == 1
    assert document.problem(("x",), "wrong").line == 0


def test_anchors_and_merged_keys_are_resolved_as_ray_does(read):
    (document,) = read("a: &a {k: 1, l: 2}\nb:\n  <<: *a\n  k: 3\nc: *a\n")
    assert document.value["b"] == {"k": 3, "l": 2}
    assert document.get("c", "l") == 2
    assert [dotted(place) for place, _ in document.scalars()] == ["a.k", "a.l", "b.k"]


def test_get_gives_none_for_what_is_not_there(read):
    (document,) = read("a: [1]\n")
    assert document.get("a", 0) == 1
    assert document.get("a", 1) is None
    assert document.get("a", "b") is None
    assert document.get("a", 0, "b") is None


def test_several_documents(read):
    first, second = read("a: 1\n---\nb: 2\n")
    assert (first.value, second.value) == ({"a": 1}, {"b": 2})
    assert second.problem(("b",), "wrong").line == 3


def test_every_duplicate_is_reported(read):
    one, two = refused(read, "a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert (one.path, one.line, one.column) == ("b.c", 2, 11)
    assert (two.path, two.line) == ("a", 3)
    assert two.message == "duplicate key 'a'; Ray would take the last one"


def test_no_file(tmp_path):
    with pytest.raises(SpecError, match="there is no such file"):
        read_documents(str(tmp_path / "nosuch.yaml"))


@pytest.mark.parametrize(
    ("text", "output", "line"),
    [
        ("a: [1\n", "cannot be read as YAML: expected ',' or ']'", 2),
        ("a: 1\n\tb: 2\n", "cannot be read as YAML: found character '\\t'", 2),
        ("a: !Ref b\n", "cannot be read as YAML: could not determine a constructor", 1),
        ("", "the file is empty", 0),
        ("#!/bin/bash\necho\n", "not a ray up file: it is a script", 0),
        ("a: &a [*a]\n", "anchor holds itself", 0),
    ],
)
def test_what_is_no_yaml_for_ray(read, text, output, line):
    (problem,) = refused(read, text)
    assert output in problem.message
    assert problem.line == line


def test_text_that_is_not_utf8(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_bytes(b"a: \xff")
    with pytest.raises(SpecError, match=r"not UTF-8 text \(byte 3\)"):
        read_documents(str(file))
