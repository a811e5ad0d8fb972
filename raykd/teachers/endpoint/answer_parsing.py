"""What answers of a server mean: texts, probabilities of classes, likely tokens.

Axes: C class.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from raykd.data.token_logprobs import TokenChoices, token_choices
from raykd.data.values import shown
from raykd.teachers.endpoint.requests import Answer

_ID = "token_id:"
"""How a server writes the id of a token in place of its text."""


def class_named(answer: Answer, choices: Sequence[str]) -> tuple[list[float] | None, str]:
    """Probabilities that are 1 for the choice that an answer names, and what is wrong.

    Args:
        answer: A text.
        choices: How each class is called.
    """
    text = answer.text.strip()
    named = [k for k, choice in enumerate(choices) if _same(text, choice)]
    if not named:
        named = [k for k, choice in enumerate(choices) if _within(choice, text)]
        # 'not good' names 'good', too: the longest that is named counts.
        longest = max((len(choices[k]) for k in named), default=0)
        named = [k for k in named if len(choices[k]) == longest]
    if len(named) != 1:
        what = "none" if not named else "several"
        return None, f"the answer {shown(text)} names {what} of {_listed(choices)}"
    return [float(k == named[0]) for k in range(len(choices))], ""


UNCLEAR = 0.01
"""Share of the probability that may lie on tokens which several classes begin with."""


def class_begun(answer: Answer, choices: Sequence[str]) -> tuple[list[float] | None, str]:
    """Probabilities by the first token of an answer, and what is wrong.

    A class has the mass of all tokens that its name begins with, and no other's.
    """
    content = (answer.logprobs or {}).get("content") or ()
    if not content:
        return None, "the server gave no log-probabilities"
    mass, unclear = [0.0] * len(choices), 0.0
    for one in content[0].get("top_logprobs") or content[:1]:
        token = str(one["token"]).strip().casefold()
        begun = [k for k, choice in enumerate(choices) if token and _begins(choice, token)]
        if len(begun) == 1:
            mass[begun[0]] += math.exp(float(one["logprob"]))
        elif begun:
            unclear += math.exp(float(one["logprob"]))
    if unclear > UNCLEAR * (sum(mass) + unclear):
        return None, (
            f"several of {_listed(choices)} begin with the same token, which is likely here; let "
            "ask.choices name classes by letters that differ, or set ask.score_by"
        )
    if not sum(mass):
        likely = [one["token"] for one in content[0].get("top_logprobs") or content[:1]]
        return None, f"{_listed(choices)} begin with none of the likeliest tokens {shown(likely)}"
    return [value / sum(mass) for value in mass], ""


def text_score(answer: Answer, prompt: str) -> tuple[float, str]:
    """The log-probability of what follows a prompt in a text, and what is wrong.

    Args:
        answer: To the whole text, with the place in it of every token.
        prompt: Its beginning.
    """
    logprobs = answer.logprobs or {}
    places, logs = logprobs.get("text_offset") or (), logprobs.get("token_logprobs") or ()
    written = answer.written or 1  # tokens beyond the text
    end = len(logs) - written if len(logs) > written else len(logs)
    scored = [
        log
        for place, log in list(zip(places, logs, strict=False))[:end]
        if place >= len(prompt.rstrip()) and log is not None
    ]
    if not scored:
        return 0.0, "the server gave no log-probabilities of the text that it was sent (echo)"
    return float(sum(scored)), ""


def normalised(scores: Sequence[float]) -> list[float]:
    """Probabilities ``[C]`` out of log-probabilities of the choices alone."""
    top = max(scores)
    mass = [math.exp(score - top) for score in scores]
    return [value / sum(mass) for value in mass]


def tokens_at(answer: Answer, places: Sequence[int]) -> tuple[tuple[TokenChoices, ...], str]:
    """What was likely at some places of a text that was sent, and what is wrong.

    Args:
        answer: To the whole text.
        places: Of its tokens, from 0.
    """
    logprobs = answer.logprobs or {}
    tokens, logs = logprobs.get("tokens") or (), logprobs.get("token_logprobs") or ()
    tops = logprobs.get("top_logprobs") or ()
    if not len(tokens) == len(logs) == len(tops) or len(tokens) <= max(places):
        return (), "the server gave no log-probabilities of the text that it was sent (echo)"
    rows = [
        {
            **_entry(tokens[k], logs[k]),
            "top_logprobs": [_entry(token, log) for token, log in (tops[k] or {}).items()],
        }
        for k in places
    ]
    return token_choices(rows)


def _entry(token: Any, log: Any) -> Mapping[str, Any]:
    """A token by its id where the server wrote that, else by its text."""
    if isinstance(token, str) and token.startswith(_ID):
        return {"id": int(token.removeprefix(_ID)), "logprob": log}
    return {"token": token, "logprob": log}


def _same(text: str, choice: str) -> bool:
    return text.rstrip(".!").casefold() == choice.strip().casefold()


def _begins(choice: str, token: str) -> bool:
    return choice.strip().casefold().startswith(token)


def _within(choice: str, text: str) -> bool:
    """Whether a choice is among the words of an answer."""
    pattern = rf"(?<!\w){re.escape(choice.strip())}(?!\w)"
    return re.search(pattern, text, re.IGNORECASE) is not None


def _listed(choices: Sequence[str]) -> str:
    return ", ".join(choices[:6]) + (", ..." if len(choices) > 6 else "")
