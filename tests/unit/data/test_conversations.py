"""Conversations from columns: the same rows in every spelling, and one message for bad ones."""

from __future__ import annotations

import json

import pytest

from raykd.data.conversations import Turn, conversations, message
from raykd.data.notes import listening
from raykd.data.table import Table
from raykd.errors import DataError

HI = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
AS_TURNS = (Turn(role="user", content="hi"), Turn(role="assistant", content="hello"))


def read(*rows, system: str = ""):
    table = Table(columns={"messages": rows}, origin="rows")
    return conversations(table, "messages", system, own="mine")


@pytest.mark.parametrize(
    "row",
    [
        HI,
        json.dumps(HI),
        [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}],
        [
            {"role": "User", "content": "hi", "name": None},
            {"role": "assistant", "content": "hello"},
        ],
        [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, HI[1]],
    ],
)
def test_every_spelling_is_the_same_conversation(row):
    assert read(row) == [AS_TURNS]


def test_a_system_turn_is_added_where_there_is_none():
    own = [{"role": "system", "content": "mine"}, *HI]
    actual = read(HI, own, system="be kind")
    assert [turns[0].content for turns in actual] == ["be kind", "mine"]


def test_calls_of_tools_reach_the_template():
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}
    rows = [HI[0], call, {"role": "tool", "content": "42", "name": "sum"}, HI[1]]
    (turns,) = read(rows)
    assert message(turns[1]) == {"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}
    assert message(turns[2]) == {"role": "tool", "content": "42", "name": "sum"}


def test_what_follows_the_last_response_is_cut_and_counted():
    with listening() as heard:
        assert read([*HI, HI[0], HI[0]]) == [AS_TURNS]
    assert heard == ["rows: 2 messages after the last one of an assistant are cut"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([], "has no message"),
        (None, "has no message"),
        ("[]", "has no message"),
        ("no json", "holds a text that is not JSON"),
        (5, "holds 5, expected a list of messages"),
        (["hi"], "expected a list of messages"),
        ([{"text": "hi"}], r"message 1 says no role \(it has text\)"),
        ([{"role": "user", "content": "hi"}, {"role": "narrator", "content": "x"}],
         "message 2 has the role 'narrator', expected system, user, assistant, tool"),
        ([{"role": "user", "content": 5}, HI[1]], "message 1 of the user holds 5, expected a text"),
        ([{"role": "user", "content": " "}, HI[1]], "message 1 of the user holds ' '"),
        ([{"role": "user", "content": [{"type": "image"}]}, HI[1]], "message 1 of the user"),
        ([HI[0]], "has no message of the assistant"),
        ([HI[1]], "begins with the assistant"),
        ([*HI, {"role": "system", "content": "x"}, HI[1]], "has a system turn that is not the"),
        ([HI[0], {"role": "assistant", "content": "", "tool_calls": [1]}], "without text"),
    ],
)  # fmt: skip
def test_rows_that_are_no_conversations_are_counted_and_the_first_is_reported(row, words):
    with pytest.raises(DataError, match=words) as caught:
        read(HI, row)
    assert "row 2: " in str(caught.value)
    assert caught.value.hint
    with pytest.raises(DataError, match=r"2 .*, first: rows row 1: "):
        read(row, HI, row)
