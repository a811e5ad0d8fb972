"""Conversations as text: whose special tokens are written, and what a template may not do."""

from __future__ import annotations

import pytest

from raykd.data.chat_templates import TEMPLATES, chat_template
from raykd.data.conversations import Turn
from raykd.errors import DataError
from raykd.models.bpe import train_bpe

# As Qwen3 writes it: an empty thought before the last response only.
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
    "{% if m.role == 'assistant' and loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)
NO_SYSTEM = TEMPLATES["chatml"].replace(
    "{% for m in messages %}", "{% for m in messages if m.role != 'system' %}"
)
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"


@pytest.fixture(scope="module")
def tokenizer():
    made = train_bpe(["aaaa bbbb"], 262, ("<pad>", "<|im_start|>", "<|im_end|>"))
    assert made.eos_token == "<|im_end|>"
    return made


def turns(*output: str) -> tuple[Turn, ...]:
    return tuple(
        Turn(role=role, content=text) for role, _, text in (one.partition(": ") for one in output)
    )


ASKED = turns("system: be kind", "user: hi", "assistant: hello")


def render(tokenizer, template: str, output=ASKED, mark: int = 1, **settings):
    return chat_template(template, "plain", tokenizer, settings).render(output, mark)


def test_a_response_ends_with_the_token_that_ends_texts_and_no_blank(tokenizer):
    actual = render(tokenizer, "chatml")
    assert actual.prompt == (
        "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert actual.response == "hello<|im_end|>"


def test_the_place_of_a_turn_is_its_text_wherever_the_same_text_stands(tokenizer):
    output = turns("user: a", "assistant: a", "user: a", "assistant: b")
    for mark in (0, 1, 2):
        actual = render(tokenizer, "chatml", output, mark)
        begin, end = actual.place
        before = actual.prompt[:begin]
        assert actual.prompt[begin:end] == "a"
        assert before.count("<|im_start|>") == mark + 1


@pytest.mark.parametrize(
    ("name", "prompt", "response"),
    [
        ("plain", "be kind\n\nhi\n", "hello"),
        ("turns", "System:\nbe kind\n\nUser:\nhi\n\nAssistant:\n", "hello"),
        ("verbatim", "be kindhi", "hello"),
        ("instruction", "be kind\n\n### Instruction:\nhi\n\n### Response:\n", "hello"),
    ],
)
def test_templates_by_name(tokenizer, name, prompt, response):
    actual = render(tokenizer, name)
    assert (actual.prompt, actual.response) == (prompt, response)
    longer = (*ASKED, *turns("user: and", "assistant: then"))
    again = render(tokenizer, name, longer, 3)
    assert again.prompt.startswith(prompt + response)


def test_the_tokenizers_own_template_comes_first_and_its_settings_reach_it(tokenizer):
    tokenizer.chat_template = THINKING
    try:
        actual = render(tokenizer, "auto")
        assert actual.response == "<think>\n\n</think>\n\nhello<|im_end|>"
        assert actual.lead == "<think>\n\n</think>\n\n"
        actual = render(tokenizer, "auto", enable_thinking=False)
        assert actual.response == "hello<|im_end|>"
        assert actual.prompt.endswith("assistant\n<think>\n\n</think>\n\n")
    finally:
        tokenizer.chat_template = None
    assert render(tokenizer, "auto").response == "hello"


def test_a_template_may_be_a_file(tokenizer, tmp_path):
    (tmp_path / "mine.jinja").write_text(TEMPLATES["chatml"], encoding="utf-8")
    assert render(tokenizer, f"{tmp_path}/mine.jinja") == render(tokenizer, "chatml")
    with pytest.raises(DataError, match=r"the template '.*none.jinja' cannot be read"):
        render(tokenizer, f"{tmp_path}/none.jinja")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (NO_SYSTEM, "leaves out the system turn 'be kind'"),
        (STRICT, "refuses the conversation with user 'hi': no system"),
        ("{{ messages[0].content.nothing.at_all }}", "refuses the conversation"),
        ("{% for m in messages %}", "refuses the conversation"),
        ("{{ messages | length }}", "in another way once the response is there"),
    ],
)
def test_what_a_template_may_not_do_is_reported(tokenizer, template, message):
    with pytest.raises(DataError, match=message) as caught:
        render(tokenizer, template)
    assert caught.value.hint
    assert caught.value.problems()[0].path == ".template"
