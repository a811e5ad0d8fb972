"""Reads conversations from columns: a prompt and its response, or a list of messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raykd.data.notes import note
from raykd.data.table import Faults, Table
from raykd.data.values import is_missing, shown

ROLES = ("system", "user", "assistant", "tool")
_ALIASES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant",
            "developer": "system", "function": "tool", "observation": "tool"}  # fmt: skip
"""What other formats call a role."""
_KEYS = (("role", "content"), ("from", "value"))
"""Who says a message and what, as OpenAI and as ShareGPT call it."""
_FORM = 'write messages like [{"role": "user", "content": "..."}, {"role": "assistant", ...}]'


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One message.

    Attributes:
        role: Who says it, one of `ROLES`.
        content: Its text.
        more: Further entries of the message (names, calls of tools), as JSON; mostly empty.
    """

    role: str
    content: str
    more: str = ""

    def with_content(self, content: str) -> Turn:
        """The same turn with another text."""
        return replace(self, content=content)

    def without(self, key: str) -> Turn:
        """The same turn without one of the further entries."""
        more = {name: of for name, of in json.loads(self.more or "{}").items() if name != key}
        return replace(self, more=json.dumps(more, sort_keys=True) if more else "")


def message(turn: Turn) -> dict[str, Any]:
    """A turn as chat templates read it."""
    more = json.loads(turn.more) if turn.more else {}
    return {"role": turn.role, "content": turn.content, **more}


Conversation = tuple[Turn, ...]


def conversations(
    table: Table, name: str, system: str = "", *, own: str = ""
) -> list[Conversation]:
    """One column of messages, each row a conversation that ends with the assistant.

    Args:
        table: Raw columns.
        name: Of the column; lists of mappings, or the same as JSON.
        system: Begins the conversations that have no system turn; empty: nothing does.
        own: The task of the user's file that names the column, for messages.

    Raises:
        DataError: Rows are no conversations; says how many of each kind, and the first one.
    """
    faults = Faults(table.origin)
    dialogues: list[Conversation] = []
    unanswered = 0
    for row, value in enumerate(table.column(name, f"messages of task '{own}'")):
        place = table.place(row)
        turns = _turns(value, name, place, faults)
        if turns is None:
            continue
        while turns and turns[-1].role != "assistant":
            turns = turns[:-1]
            unanswered += 1
        if _is_conversation(turns, place, faults):
            if system and turns[0].role != "system":
                turns = [Turn(role="system", content=system), *turns]
            dialogues.append(tuple(turns))
    faults.check()
    if unanswered:
        note(f"{table.origin}: {unanswered:,} messages after the last one of an assistant are cut")
    return dialogues


def _turns(value: Any, name: str, place: str, faults: Faults) -> list[Turn] | None:
    """The turns of one row, None where it is none."""
    kind = f"rows have no messages in column '{name}'"
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as exc:
            what = f"column '{name}' holds a text that is not JSON: {exc}"
            faults.add(kind, place, what, _FORM)
            return None
    if is_missing(value) or (isinstance(value, list | tuple) and not len(value)):
        faults.add("rows have an empty conversation", place, "has no message", "remove them")
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(m, Mapping) for m in value):
        what = f"column '{name}' holds {shown(value)}, expected a list of messages"
        faults.add(kind, place, what, _FORM)
        return None
    turns = [_turn(one, k, place, faults) for k, one in enumerate(value, start=1)]
    return None if None in turns else [turn for turn in turns if turn is not None]


def _turn(one: Mapping[str, Any], number: int, place: str, faults: Faults) -> Turn | None:
    """One message, None where it is none."""
    keys = next((keys for keys in _KEYS if keys[0] in one), None)
    if keys is None:
        what = f"message {number} says no role (it has {', '.join(map(str, one)) or 'nothing'})"
        faults.add("rows have messages without a role", place, what, _FORM)
        return None
    role = str(one[keys[0]]).strip().lower()
    role = _ALIASES.get(role, role)
    if role not in ROLES:
        what = f"message {number} has the role {shown(one[keys[0]])}, expected {', '.join(ROLES)}"
        faults.add("rows have messages of an unknown role", place, what, "rename the role")
        return None
    # Columns of structs have every key in every row, most of them with nothing in it.
    more = {key: part for key, part in one.items() if key not in keys and part is not None}
    content = _content(one.get(keys[1]))
    if content is None or (not content.strip() and not more):
        got = shown(one.get(keys[1]))
        what = f"message {number} of the {role} holds {got}, expected a text"
        faults.add("rows have messages without text", place, what, "repair or remove them")
        return None
    calls = json.dumps(more, sort_keys=True, default=str) if more else ""
    return Turn(role=role, content=content, more=calls)


def _content(value: Any) -> str | None:
    """The text of a message: a text, or a list of parts that are texts; None for anything else."""
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if isinstance(value, list | tuple) and value:
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(parts):
            return "".join(texts)
    return None


def _is_conversation(turns: Sequence[Turn], place: str, faults: Faults) -> bool:
    """Whether somebody asks before the assistant answers, and it answers in words."""
    if not turns:
        what = "has no message of the assistant"
        faults.add("rows have no message of an assistant", place, what, "remove them")
        return False
    speakers = [turn.role for turn in turns if turn.role != "system"]
    if speakers[0] == "assistant":
        what = "begins with the assistant, and nothing is asked before it"
        hint = "begin with a user turn, or put the greeting into a system turn"
        faults.add("conversations begin with the assistant", place, what, hint)
        return False
    if any(turn.role == "system" for turn in turns[1:]):
        what = "has a system turn that is not the first one"
        faults.add("conversations have a late system turn", place, what, "put it first")
        return False
    if not turns[-1].content.strip():
        what = "ends with a message of the assistant without text"
        faults.add("conversations end without text", place, what, "remove them")
        return False
    return True


def unanswered(value: Any) -> Any:
    """Messages of which the last one asks, as if they were answered; any other value as it is.

    Args:
        value: A cell of a column of messages.
    """
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if not isinstance(value, list | tuple) or not value or not isinstance(value[-1], Mapping):
        return value
    keys = next((keys for keys in _KEYS if keys[0] in value[-1]), None)
    if keys is None:
        return value
    role = str(value[-1][keys[0]]).strip().lower()
    asks = _ALIASES.get(role, role) != "assistant"
    return [*value, {keys[0]: "assistant", keys[1]: "-"}] if asks else value


def answered(turns: Conversation) -> Iterator[int]:
    """The numbers of the turns of the assistant."""
    return (k for k, turn in enumerate(turns) if turn.role == "assistant")
