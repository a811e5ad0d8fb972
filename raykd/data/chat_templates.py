"""Renders conversations as text: by the chat template of a tokenizer, or by another one.

Templates are those of Transformers: Jinja texts that read ``messages``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from raykd.data.conversations import Turn, message
from raykd.data.values import shown
from raykd.errors import DataError

AUTO = "auto"
TEMPLATES: Mapping[str, str] = MappingProxyType({
    "verbatim": "{% for m in messages %}{{ m.content }}{% endfor %}",
    "plain": (
        "{% for m in messages %}{{ m.content }}"
        "{% if m.role == 'system' %}{{ '\\n\\n' }}"
        "{% elif m.role != 'assistant' or not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
    ),
    "turns": (
        "{% for m in messages %}{{ m.role | capitalize }}:\n{{ m.content }}"
        "{% if not loop.last or add_generation_prompt %}{{ '\\n\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}"
    ),
    "instruction": (
        "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% else %}"
        "{{ 'Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.' }}{% endif %}"
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}"
        "{% elif m.role == 'tool' %}{{ '\\n\\n### Input:\\n' + m.content + '\\n\\n### Response:\\n'"
        " }}{% elif m.role == 'user' %}{{ '\\n\\n### Instruction:\\n' + m.content + "
        "'\\n\\n### Response:\\n' }}{% endif %}{% endfor %}"
    ),
    "chatml": (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
})  # fmt: skip
"""Templates by name. ``verbatim`` puts nothing between turns, ``plain`` line ends, ``turns`` names
the roles, ``instruction`` is the wording of Alpaca, ``chatml`` that of many chat models."""
FILE = ".jinja"
PLACE = re.compile(r"\{(prompt|context)\}")
"""A place of a template that is a plain text."""

SPOKEN = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking")
"""Further entries of messages that hold what somebody says."""
_MARK = "\ufdd0"  # a noncharacter: no text holds it


def is_jinja(template: str) -> bool:
    """Whether a template is a text in Jinja."""
    return "{{" in template or "{%" in template


def has_places(template: str) -> bool:
    """Whether a template is a text with places for prompt and context."""
    return not is_jinja(template) and PLACE.search(template) is not None


def is_template(template: str) -> bool:
    """Whether a text is the name of a template, a file of one, or one itself."""
    named = template in (AUTO, *TEMPLATES) or template.endswith(FILE)
    return named or is_jinja(template) or has_places(template)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A conversation as text.

    Attributes:
        prompt: All that is read before the response.
        response: The response, and what the template puts after it.
        place: Where the text of a turn is in the prompt, characters from and to.
        lead: What the template writes at the beginning of the response, e.g. an empty thought.
    """

    prompt: str
    response: str
    place: tuple[int, int]
    lead: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatTemplate:
    """A template and the tokenizer that renders it.

    Attributes:
        tokenizer: A ``PreTrainedTokenizerBase``.
        text: The template in Jinja; None: the tokenizer's own.
        settings: Further variables of the template, e.g. ``enable_thinking``.
    """

    tokenizer: Any
    text: str | None
    settings: Mapping[str, Any]

    @property
    def is_own(self) -> bool:
        """Whether it is the tokenizer's own, which writes every special token there must be."""
        return self.text is None

    def prompt(self, turns: Sequence[Turn]) -> str:
        """Turns as they are read before a response.

        Raises:
            DataError: The template refuses them.
        """
        return self._render(turns, generate=True)

    def render(self, turns: Sequence[Turn], mark: int) -> Rendered:
        """A conversation whose last turn is the response.

        Args:
            turns: At least two.
            mark: The number of a turn before the last, whose place is found.

        Raises:
            DataError: The template refuses the conversation, leaves a turn out, or writes the turns
                before a response in another way once it is there.
        """
        prompt = self.prompt(turns[:-1])
        whole = self._render(turns, generate=False)
        if not whole.startswith(prompt):
            raise DataError(
                "the chat template writes what is before a response in another way once the "
                f"response is there, first in the conversation with {_named_by(turns)}",
                hint="give another template, or template_args that change it",
            ).at(".template")
        response = whole[len(prompt) :]
        self._check_kept(turns, whole)
        lead, _, _ = response.partition(turns[-1].content.strip())
        return Rendered(
            prompt=prompt,
            response=self._ended(response),
            place=self._place(turns[:-1], mark, prompt),
            lead=lead,
        )

    def unread(self, turns: Sequence[Turn]) -> list[str]:
        """Which entries of turns the template leaves out, though they hold what somebody says.

        Raises:
            DataError: The template refuses the conversation.
        """
        messages = [message(turn) for turn in turns if turn.more]
        spoken = [key for key in SPOKEN if any(one.get(key) for one in messages)]
        return [key for key in spoken if not self._reads(turns, key)]

    def _reads(self, turns: Sequence[Turn], key: str) -> bool:
        """Whether the template writes something else, or nothing, without an entry of turns."""
        whole = self._render(turns, generate=False)
        try:
            return whole != self._render([turn.without(key) for turn in turns], generate=False)
        except DataError:
            return True

    def _ended(self, response: str) -> str:
        """A response without what follows the token that ends a text, and without blanks there."""
        end = self.tokenizer.eos_token
        if end and end in response:
            return response[: response.rindex(end) + len(end)]
        return response.rstrip()

    def _place(self, turns: Sequence[Turn], mark: int, prompt: str) -> tuple[int, int]:
        """Where a turn is in the prompt; an empty place at its end where that is unknown."""
        with_mark = [*turns[:mark], turns[mark].with_content(_MARK), *turns[mark + 1 :]]
        before, _, after = self.prompt(with_mark).partition(_MARK)
        if prompt.startswith(before) and prompt.endswith(after):
            return len(before), len(prompt) - len(after)
        return len(prompt), len(prompt)

    def _check_kept(self, turns: Sequence[Turn], whole: str) -> None:
        for turn in turns:
            if turn.content.strip() not in whole:
                raise DataError(
                    f"the chat template leaves out the {turn.role} turn {shown(turn.content)}",
                    hint="put its text into a turn that the template writes, or give another "
                    "template",
                ).at(".template")

    def _render(self, turns: Sequence[Turn], *, generate: bool) -> str:
        from jinja2 import TemplateError

        try:
            rendered: str = self.tokenizer.apply_chat_template(
                [message(turn) for turn in turns],
                chat_template=self.text,
                add_generation_prompt=generate,
                tokenize=False,
                **self.settings,
            )
        except (TemplateError, ValueError, TypeError) as exc:
            raise DataError(
                f"the chat template refuses the conversation with {_named_by(turns)}: {exc}",
                hint="repair the conversation, or give another template",
            ).at(".template") from exc
        return rendered


def chat_template(
    name: str, default: str, tokenizer: Any, settings: Mapping[str, Any]
) -> ChatTemplate:
    """The template that a name or a text means.

    Args:
        name: `AUTO` for the tokenizer's own, a key of `TEMPLATES`, a file of Jinja, or Jinja.
        default: The key of `TEMPLATES` for tokenizers that have none of their own.
        tokenizer: A ``PreTrainedTokenizerBase``.
        settings: Further variables of the template.

    Raises:
        DataError: The file cannot be read.
    """
    text: str | None = None
    if name == AUTO:
        text = None if tokenizer.chat_template is not None else TEMPLATES[default]
    elif name.endswith(FILE) and not is_jinja(name):
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, RuntimeError) as exc:
            raise DataError(f"the template '{name}' cannot be read: {exc}").at(".template") from exc
    else:
        text = TEMPLATES.get(name, name)
    return ChatTemplate(tokenizer=tokenizer, text=text, settings=settings)


def _named_by(turns: Sequence[Turn]) -> str:
    """What tells a conversation from others: its first words by somebody else than the system."""
    first = next((turn for turn in turns if turn.role != "system"), turns[0])
    return f"{first.role} {shown(first.content)}"
