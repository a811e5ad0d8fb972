"""Requests to a server with OpenAI's interface: one request, its name, and its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CHAT, COMPLETIONS = "chat", "completions"
"""The two interfaces of such servers."""
_IDS = {"return_tokens_as_token_ids": True}
"""Asks servers that know it (vLLM) for the ids of tokens in place of their texts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request.

    Attributes:
        interface: `CHAT` or `COMPLETIONS`.
        body: What is sent, without the name of the model.
        place: Which row it is of, in words.
        extra: Entries of the body that are not of OpenAI's interface.
    """

    interface: str
    body: Mapping[str, Any]
    place: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def key(self) -> str:
        """Its name in the cache of answers of one model: equal requests have equal names."""
        plain = json.dumps([self.interface, self.body, self.extra], sort_keys=True)
        return hashlib.sha256(plain.encode()).hexdigest()

    @property
    def most_written(self) -> int:
        """Most tokens that may be written in answer to it."""
        return int(self.body["max_tokens"])

    def read_texts(self) -> tuple[str, ...]:
        """The texts that the server reads of it; none where it reads token ids."""
        if self.interface == CHAT:
            return tuple(message["content"] for message in self.body["messages"])
        prompt = self.body["prompt"]
        return (prompt,) if isinstance(prompt, str) else ()

    def read_ids(self) -> int:
        """The token ids that the server reads of it."""
        prompt = self.body.get("prompt")
        return 0 if prompt is None or isinstance(prompt, str) else len(prompt)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server said to one request.

    Attributes:
        text: What it wrote.
        finish: Why it stopped: ``stop``, ``length``, or something else.
        logprobs: Of its tokens, as the server gave them; None where there are none.
        read: Tokens that it read, as it counts them.
        written: Tokens that it wrote.
    """

    text: str
    finish: str = ""
    logprobs: Mapping[str, Any] | None = None
    read: int = 0
    written: int = 0


def written(
    interface: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    place: str,
    most: int,
    temperature: float,
    seed: int,
) -> Request:
    """A request for a text.

    Args:
        interface: `CHAT`, or `COMPLETIONS`, where the turns are one text.
        messages: The conversation so far, turn by turn.
        place: Which row it is of.
        most: Most tokens of the text.
        temperature: Of the distribution that tokens are drawn from; 0 takes the likeliest.
        seed: Of the draws.
    """
    body = {"max_tokens": most, "temperature": temperature, "seed": seed}
    if interface == CHAT:
        return Request(
            interface=CHAT, body={"messages": [dict(m) for m in messages], **body}, place=place
        )
    return Request(interface=COMPLETIONS, body={"prompt": _joined(messages), **body}, place=place)


def first_token(messages: Sequence[Mapping[str, Any]], *, place: str, count: int) -> Request:
    """A request for the likeliest first tokens of an answer.

    Args:
        messages: The conversation so far, turn by turn.
        place: Which row it is of.
        count: How many of them are requested.
    """
    body = {
        "messages": [dict(m) for m in messages], "max_tokens": 1, "temperature": 0.0,
        "logprobs": True, "top_logprobs": count,
    }  # fmt: skip
    return Request(interface=CHAT, body=body, place=place)


def scored_text(messages: Sequence[Mapping[str, Any]], answer: str, *, place: str) -> Request:
    """A request for the log-probability of an answer, token by token."""
    prompt = _joined(messages)
    gap = "" if prompt[-1:].isspace() else " "
    body = {
        "prompt": f"{prompt}{gap}{answer}", "max_tokens": 1, "temperature": 0.0, "echo": True,
        "logprobs": 1,
    }  # fmt: skip
    return Request(interface=COMPLETIONS, body=body, place=place)


def scored_tokens(ids: Sequence[int], *, place: str, count: int) -> Request:
    """A request for the likeliest tokens at every place of a text that is given by its tokens.

    Args:
        ids: Of the text.
        place: Which row it is of.
        count: How many of them are requested.
    """
    body = {
        "prompt": list(ids), "max_tokens": 1, "temperature": 0.0, "echo": True, "logprobs": count,
    }  # fmt: skip
    return Request(interface=COMPLETIONS, body=body, place=place, extra=_IDS)


def _joined(messages: Sequence[Mapping[str, Any]]) -> str:
    """Turns as one text."""
    return "\n\n".join(str(message["content"]) for message in messages)
