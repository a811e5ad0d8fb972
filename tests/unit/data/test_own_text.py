"""Text tasks of the user's own: what is read, what is learnt, what is cut."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing

from raykd.data.base import NO_LABEL, DataSettings
from raykd.data.chat_templates import TEMPLATES
from raykd.data.fitting_rows import fitting_rows
from raykd.data.notes import listening
from raykd.data.own_text import OwnText
from raykd.data.table import Table
from raykd.data.text_scores import TextMeasure
from raykd.errors import DataError
from raykd.models.bpe import train_bpe

SPECIALS = ("<pad>", "<s>", "<|im_start|>", "<|im_end|>")
CHAT = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"},
    {"role": "user", "content": "and?"}, {"role": "assistant", "content": "bye"},
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    """Bytes as tokens, and a token of its own before every text, as Llama has it."""
    made = train_bpe(["aaaa bbbb"], 264, SPECIALS)
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    made.bos_token = "<s>"
    return made


@pytest.fixture(scope="module")
def chatting(tokenizer):
    """The same with a chat template that writes the first token itself."""
    made = train_bpe(["aaaa bbbb"], 264, SPECIALS)
    made.backend_tokenizer.post_processor = tokenizer.backend_tokenizer.post_processor
    made.bos_token = "<s>"
    made.chat_template = "{{ bos_token }}" + TEMPLATES["chatml"]
    return made


def task(**changes) -> OwnText:
    values = {
        "name": "mine", "about": "A test.", "hub": ("", "default"), "path": "x",
        "metric": "log_likelihood", "metrics": ("log_likelihood", "token_accuracy"),
        "measure": TextMeasure(names=()), "text_metrics": (),
    }  # fmt: skip
    return OwnText(**(values | changes))


def rows_of(own: OwnText, **columns):
    return own.read_table(Table(columns=columns, origin="rows"))


def text_of(tokenizer, encoded, row: int = 0) -> tuple[str, str]:
    """All of a row, the token that ends it included, and what a decoder learns of it."""
    at = slice(encoded.offsets[row], encoded.offsets[row + 1])
    labels = encoded.labels[at]
    ids = [*encoded.input_ids[at].tolist(), int(labels[-1])]
    return tokenizer.decode(ids), tokenizer.decode(labels[labels != NO_LABEL])


def test_a_prompt_with_a_context_is_worded_plainly_without_a_template(tokenizer):
    own = task(prompt="q", context="c", response="a")
    rows = rows_of(own, q=["Why?", "How?"], c=["It rains.", None], a=["So.", ["Thus.", "Well."]])
    encoded = own.encode(rows, tokenizer, 64)
    assert text_of(tokenizer, encoded) == ("<s>Why?\n\nIt rains.\nSo.<|im_end|>", "So.<|im_end|>")
    assert text_of(tokenizer, encoded, 1) == ("<s>How?\nThus.<|im_end|>", "Thus.<|im_end|>")
    assert encoded.references.answers == (("So.",), ("Thus.", "Well."))


def test_a_template_with_places_is_the_whole_wording(chatting):
    own = task(prompt="q", context="c", response="a", template="{context} Q: {prompt} A:")
    rows = rows_of(own, q=["{context}?"], c=["Rain."], a=["So."])
    whole, learnt = text_of(chatting, own.encode(rows, chatting, 64))
    assert (whole, learnt) == ("<s>Rain. Q: {context}? A:So.<|im_end|>", "So.<|im_end|>")


def test_the_chat_template_of_a_model_is_used_and_no_special_token_is_doubled(chatting):
    own = task(prompt="q", response="a", system="be kind")
    whole, learnt = text_of(chatting, own.encode(rows_of(own, q=["hi"], a=["yo"]), chatting, 99))
    assert whole == (
        "<s><|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\nyo<|im_end|>"
    )
    assert learnt == "yo<|im_end|>"


@pytest.mark.parametrize("form", [CHAT, json.dumps(CHAT)])
def test_the_last_response_is_learnt_or_all_of_them(chatting, form):
    own = task(messages="m", too_long="oldest_turns")
    rows = rows_of(own, m=[form])
    last = own.encode(rows, chatting, 256)
    every = replace(own, loss_on="all").encode(rows, chatting, 256)
    assert text_of(chatting, last)[0] == text_of(chatting, every)[0]
    assert text_of(chatting, last)[1] == "bye<|im_end|>"
    assert text_of(chatting, every)[1] == "hello<|im_end|>bye<|im_end|>"
    # What is generated is the last response in both.
    assert np.array_equal(last.prompt(0), every.prompt(0))
    assert chatting.decode(last.prompt(0)).endswith("and?<|im_end|>\n<|im_start|>assistant\n")


def test_calls_of_tools_and_thoughts_that_the_template_does_not_write_are_counted(chatting):
    call = {"function": {"name": "look", "arguments": "{}"}}
    asked = [
        {"role": "user", "content": "what"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": "it is 3", "reasoning_content": "hm", "name": "Ann"},
    ]
    rows = task(messages="m").read_table(Table(columns={"m": [asked, CHAT]}, origin="rows"))
    with listening() as heard:
        task(messages="m").encode(rows, chatting, 96)
    unread = "tool_calls of 1 and reasoning_content of 1 conversations"
    assert heard == [f"mine: the chat template leaves out {unread}"]
    reads = TEMPLATES["chatml"].replace(
        "m.content", "(m.reasoning_content or '') + m.content + (m.tool_calls or '') | string"
    )
    with listening() as heard:
        task(messages="m", template=reads).encode(rows, chatting, 96)
    assert heard == []


def test_an_encoder_reads_the_turns_before_the_response(tokenizer):
    own = task(messages="m", too_long="oldest_turns").read_by("seq2seq")
    rows = rows_of(own, m=[CHAT])
    encoded = own.encode(rows, tokenizer, 256)
    read = tokenizer.decode(encoded.input_ids)
    assert read == (
        "<s>System:\nbe kind\n\nUser:\nhi\n\nAssistant:\nhello\n\nUser:\nand?\n\nAssistant:\n"
    )
    assert tokenizer.decode(encoded.labels) == "bye<|im_end|>"
    with pytest.raises(DataError, match="loss_on: all of task mine is for decoders"):
        replace(own, loss_on="all").encode(rows, tokenizer, 256)


def test_the_oldest_turns_go_first_and_the_system_turn_stays(chatting):
    own = task(messages="m", too_long="oldest_turns", max_prompt=99)
    rows = rows_of(own, m=[CHAT])
    encoded = own.encode(rows, chatting, 60)
    whole, learnt = text_of(chatting, encoded)
    assert whole == (
        "<s><|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nand?<|im_end|>\n"
        "<|im_start|>assistant\nbye<|im_end|>"
    )
    assert learnt == "bye<|im_end|>"
    assert encoded.truncated == 1
    short = own.encode(rows, chatting, 200)
    assert short.truncated == 0
    assert "hi<" in text_of(chatting, short)[0]


def test_the_context_goes_first_and_the_question_stays(tokenizer):
    own = task(prompt="q", context="c", response="a")
    rows = rows_of(own, q=["Why?"], c=["x" * 99], a=["So."])
    encoded = own.encode(rows, tokenizer, 64)
    whole, _ = text_of(tokenizer, encoded)
    assert whole.startswith("<s>Why?\n\nxxx")
    assert whole.endswith("x\nSo.<|im_end|>")
    assert (encoded.truncated, len(encoded.prompt(0))) == (1, 32)
    longer = replace(own, max_prompt=50).encode(rows, tokenizer, 64)
    assert len(longer.prompt(0)) == 50


def test_the_longest_turn_of_messages_is_cut_as_their_context(chatting):
    chat = [CHAT[0], {"role": "user", "content": "d" * 90}, CHAT[2], *CHAT[3:]]
    own = task(messages="m", too_long="context", max_prompt=120)
    encoded = own.encode(rows_of(own, m=[chat]), chatting, 200)
    whole, _ = text_of(chatting, encoded)
    assert "dd<|im_end|>\n<|im_start|>assistant\nhello" in whole
    assert 90 < len(encoded.prompt(0)) <= 120


def test_rows_that_do_not_fit_every_model_are_left_out_and_counted(tokenizer, chatting):
    own = task(prompt="q", response="a", too_long="drop")
    rows = rows_of(own, q=["short", "y" * 30, "x" * 99], a=["a", "b", "c"])
    splits = {"finetune": rows, "train": rows}
    with listening() as heard:
        one = fitting_rows(own, splits, [tokenizer], 80)
        both = fitting_rows(own, splits, [tokenizer, chatting], 90)
    assert one["train"] is one["finetune"]  # what is shared stays shared
    assert one["train"].texts[1] == ("a", "b")
    assert both["train"].texts[1] == ("a",)  # the template of the other model takes more
    assert heard[0] == (
        "1 of 3 finetune rows are left out: they are longer than data.max_length (80) allows"
    )
    with pytest.raises(DataError, match="every one of the 3 train rows of mine is too long"):
        fitting_rows(own, {"train": rows}, [tokenizer], 8)
    assert fitting_rows(replace(own, too_long="context"), splits, [tokenizer], 8)["train"] is rows


def test_responses_longer_than_the_context_are_cut_at_their_end_and_counted(chatting):
    own = task(prompt="q", response="a")
    encoded = own.encode(rows_of(own, q=["hi"], a=["y" * 99]), chatting, 100)
    assert encoded.truncated == 1
    assert len(encoded.input_ids) == 99


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"q": ["a"], "b": ["b"]}, "has no column 'a'"),
        ({"q": ["a", None], "a": ["b", "c"]}, "row 2: column 'q' holds nothing, expected a text"),
        ({"q": ["a", " "], "a": ["b", "c"]}, "row 2: column 'q' is empty"),
        ({"q": ["a"], "a": [{"text": "x"}]}, "holds the mapping .* expected a text"),
        ({"q": ["a"], "a": [[]]}, "holds the list .* expected a text"),
        ({"q": ["a"], "a": [" "]}, "row 1: has an empty response"),
        ({"q": ["a"], "a": [None]}, "holds nothing, expected a text"),
    ],
)
def test_what_is_no_text_is_reported(columns, words):
    with pytest.raises(DataError, match=words):
        rows_of(task(prompt="q", response="a"), **columns)


def test_numbers_are_texts_in_every_format():
    own = task(prompt="q", response="a")
    rows = rows_of(own, q=["one", 2], a=[1.0, [3, "three"]])
    assert rows.texts == (("one", "2"), ("1", "3"))


def test_a_conversation_is_read_from_files(tmp_path):
    lines = [json.dumps({"messages": CHAT, "id": k}) for k in range(3)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    own = task(messages="messages", path=str(tmp_path))
    rows = own.load("train", DataSettings())
    assert rows.texts[1] == ("bye",) * 3
    assert rows.fields["ids"] == ("0", "1", "2")
