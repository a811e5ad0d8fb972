"""Turns of a conversation: what of it may be cut, and which parts of its text are learnt."""

from __future__ import annotations

from raykd.data.chat_templates import ChatTemplate, Rendered
from raykd.data.conversations import Conversation, answered
from raykd.errors import DataError


def longest_turn(turns: Conversation) -> tuple[int, int, int]:
    """The longest turn before the response, where a document would be: all of its characters."""
    user_turns = [k for k, turn in enumerate(turns[:-1]) if turn.role in ("user", "tool")]
    k = max(user_turns, key=lambda k: len(turns[k].content))
    return k, 0, len(turns[k].content)


def oldest_exchange(turns: Conversation) -> tuple[int, int] | None:
    """The turns of the oldest exchange, from and to; none where there is one exchange only."""
    first = 1 if turns[0].role == "system" else 0
    asks = [k for k, turn in enumerate(turns) if turn.role == "user" and k > first]
    return (first, asks[0]) if asks else None


def cut_in(one: Rendered, within: tuple[int, int, int]) -> tuple[int, int]:
    """Which characters of a prompt may be cut; templates may strip blanks around a turn."""
    _, begin, end = within
    first, last = one.place
    return min(first + begin, last), min(first + end, last)


def dialogue(
    template: ChatTemplate, turns: Conversation
) -> tuple[str, str, tuple[tuple[int, int], ...]]:
    """The text before the first response, that from there on, and what of it is a response.

    Raises:
        DataError: The template writes earlier responses in another way than the last one.
    """
    parts = [template.render(turns[: k + 1], k - 1) for k in answered(turns)]
    first = parts[0].prompt
    whole = parts[-1].prompt + parts[-1].response
    spoken = []
    for part in parts:
        begin, end = len(part.prompt), len(part.prompt) + len(part.response)
        if whole[:end] != part.prompt + part.response:
            raise DataError(
                "the chat template writes earlier responses in another way than the last one",
                hint="loss_on: last, or give another template",
            ).at(".loss_on")
        spoken.append((begin - len(first), end - len(first)))
    return first, whole[len(first) :], tuple(spoken)
