from __future__ import annotations

import json
import math

import pytest

from raykd import registry
from raykd.data.base import DataSettings
from raykd.data.table import Table
from raykd.errors import DataError


def table(**columns) -> Table:
    return Table(columns=columns, origin="made up")


def read(name: str, **columns):
    return registry.load("tasks", f"step_by_step/{name}").read_table(table(**columns))


SVAMP = {"input": ["a", "b", "c"], "label": ["( 1 - 1 )", "2", "3"]}


def test_what_a_model_did_not_say_is_empty_whatever_stands_for_it():
    rows = read(
        "svamp", **SVAMP, llm_rationale=["why", None, math.nan], llm_label=[math.nan, 2, "3"]
    )
    assert rows.fields["rationales"] == ("why", "", "")
    assert rows.fields["llm_label"] == ("", "2", "3")


def test_rows_are_called_the_same_by_numbers_of_every_type():
    assert read("svamp", **SVAMP, id=[1.0, 2, "3"]).fields["ids"] == ("1", "2", "3")
    assert read("svamp", **SVAMP, id=["x", None, math.nan]).fields["ids"] == ("x", "1", "2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choices": [{"label": ["A"], "text": ["x"]}]}, "row 1: .*'choices' holds the mapping"),
        ({"choices": ["xy"]}, "row 1: .*'choices' holds 'xy', expected a list of texts"),
        ({"choices": [["a", "b"]]}, r"row 1: has the answer 'x', which is not a choice \(a, b\)"),
        ({"choices": [[*"xabcde"]]}, "row 1: has 6 choices, expected at most 5"),
    ],
)
def test_choices_must_be_lists_of_texts_with_the_answer(changes, message):
    with pytest.raises(DataError, match=message):
        read("cqa", **({"question": ["q"], "answer": ["x"], "choices": [["x"]]} | changes))


def seeds(tmp_path, rows: str, outputs: str) -> DataSettings:
    folder = tmp_path / "svamp"
    (folder / "llm").mkdir(parents=True)
    (folder / "svamp_train.json").write_text(rows, encoding="utf-8")
    (folder / "llm" / "train_CoT_0.json").write_text(outputs, encoding="utf-8")
    return DataSettings(root=str(tmp_path))


def test_the_authors_files_are_cut_at_line_feeds_only(tmp_path):
    lines = [{"input": "a\u2028b\x85c", "label": "1"}, {"input": "d", "label": "2"}]
    text = "\ufeff" + "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    output = json.dumps(["Because. The answer is (1).", "So. The answer is (2)."])
    of = registry.load("tasks", "step_by_step/svamp")
    rows = of.load("train", seeds(tmp_path, text, output))
    assert len(rows) == 2
    assert "a\u2028b\x85c" in rows.texts[0][0]
    assert rows.fields["rationales"] == ("Because.", "So.")


@pytest.mark.parametrize(
    ("rows", "outputs", "message"),
    [
        ('{"input": "a", "label": "1"}\n', '["x", "y"]', "has 1 rows, but .* hold 2 outputs"),
        ('{"input": "a", "label": "1"}\n', '{"0": "x"}', "expected a list of outputs"),
        ('{"input": "a", "label": "1"}\n{"inp\n', "[]", "line 2: no JSON"),
        ("", "[]", "has no column 'input'|has no rows"),
    ],
)
def test_the_authors_files_must_be_whole(tmp_path, rows, outputs, message):
    of = registry.load("tasks", "step_by_step/svamp")
    with pytest.raises(DataError, match=message):
        of.load("train", seeds(tmp_path, rows, outputs))
