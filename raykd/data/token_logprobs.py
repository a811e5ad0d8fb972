"""Log-probabilities of tokens, as servers of language models return them: reading and aligning.

Axes: M token with a label, K alternative.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raykd.data.base import PADDED, Array, TokenizedDataset
from raykd.data.table import Faults, Table
from raykd.data.token_texts import TokenTexts
from raykd.data.values import number, shown

Token = str | int
"""A token by its text or its id."""

_LEAST_ROOM = 0.01
"""By how much rounded probabilities of a token may be above 1 together."""
_FORM = (
    "a list with a mapping for each token of the response: {token or id, logprob, top_logprobs: "
    "[{token or id, logprob}, ...]}"
)


@dataclass(frozen=True, slots=True)
class TokenChoices:
    """One token of a response and what else a teacher held possible there.

    Attributes:
        token: The one that was written.
        alternatives: Log-probabilities, that of `token` among them.
    """

    token: Token
    alternatives: tuple[tuple[Token, float], ...]


def token_logprobs(table: Table, column: str) -> tuple[tuple[TokenChoices, ...], ...]:
    """What a column says of the tokens of every row.

    It holds `_FORM`, or that under ``content``, or the lists ``tokens``, ``token_logprobs`` and
    ``top_logprobs`` side by side; or one of these as JSON.

    Args:
        table: Raw columns.
        column: Which.

    Raises:
        DataError: Rows hold something else; says how many, and the first one.
    """
    faults, choices_of_rows = Faults(table.origin), []
    for row, value in enumerate(table.column(column)):
        choices, wrong = token_choices(value)
        if wrong:
            what = f"column '{column}' {wrong}"
            faults.add("rows have no log-probabilities", table.place(row), what, f"write {_FORM}")
        choices_of_rows.append(choices)
    faults.check()
    return tuple(choices_of_rows)


def token_choices(value: Any) -> tuple[tuple[TokenChoices, ...], str]:
    """The tokens of a row, out of any of the forms above, and what is wrong with them."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as exc:
            return (), f"holds {shown(value)}, which is not JSON ({exc})"
    if isinstance(value, Mapping):
        value = value["content"] if "content" in value else _side_by_side(value)
    if not isinstance(value, list | tuple) or not value:
        return (), f"holds {shown(value)}"
    tokens = []
    for k, entry in enumerate(value):
        one, wrong = _choice(entry)
        if one is None:
            return (), f"token {k + 1}: {wrong}"
        tokens.append(one)
    return tuple(tokens), ""


def _side_by_side(value: Mapping[str, Any]) -> Any:
    """The lists of the completions interface as one list; None where there are none."""
    tokens, logs = value.get("tokens"), value.get("token_logprobs")
    tops = value.get("top_logprobs") or ([None] * len(tokens or ()))
    if not (isinstance(tokens, list) and isinstance(logs, list) and isinstance(tops, list)):
        return None
    if not len(tokens) == len(logs) == len(tops):
        return None
    entries = zip(tokens, logs, tops, strict=True)
    return [{"token": t, "logprob": p, "top_logprobs": _listed(top)} for t, p, top in entries]


def _listed(top: Any) -> Any:
    if not isinstance(top, Mapping):
        return top
    return [{"token": token, "logprob": value} for token, value in top.items()]


def _choice(entry: Any) -> tuple[TokenChoices | None, str]:
    """One token, and what is wrong with it."""
    if not isinstance(entry, Mapping):
        return None, f"holds {shown(entry)}"
    own, wrong = _one(entry)
    if own is None:
        return None, wrong
    logprobs = {}
    for other in entry.get("top_logprobs") or ():
        one, wrong = _one(other)
        if one is None:
            return None, wrong
        if one[0] in logprobs:
            return None, f"{shown(one[0])} is among top_logprobs twice"
        logprobs[one[0]] = one[1]
    logprobs.setdefault(*own)
    total = sum(math.exp(value) for value in logprobs.values())
    if total > 1 + _LEAST_ROOM:
        return None, f"probabilities add up to {total:.4g}, expected at most 1"
    return TokenChoices(own[0], tuple(logprobs.items())), ""


def _one(entry: Any) -> tuple[tuple[Token, float] | None, str]:
    """A token and its log-probability."""
    if not isinstance(entry, Mapping):
        return None, f"holds {shown(entry)}"
    token = entry.get("id", entry.get("token_id", entry.get("token")))
    value = number(entry.get("logprob"))
    if isinstance(token, bool) or not isinstance(token, str | int):
        return None, f"has no token or id in {shown(entry)}"
    if value is None or not math.isfinite(float(value)) or value > 1e-4:
        return None, f"{shown(entry.get('logprob'))} is not a logarithm of a probability"
    return (token, min(float(value), 0.0)), ""


def aligned(
    rows: Sequence[Sequence[TokenChoices]],
    encoded: TokenizedDataset,
    tokens: TokenTexts,
    places: Sequence[str],
) -> tuple[list[Array], list[Array]]:
    """Ids and log-probabilities for the tokens with a label of every row, ``[M, K]`` each.

    K is the same for all; alternatives that do not exist have the log-probability `PADDED`. Where a
    row ends with a token without numbers, as servers leave it out, it is certain.

    Args:
        rows: The numbers of each row.
        encoded: The rows, with token labels.
        tokens: Of the model that reads them.
        places: Where each row stands, in words.

    Raises:
        DataError: Tokens are unknown to the tokenizer, or are not those of the row; says in how
            many rows, and the first one.
    """
    faults = Faults("")
    width = max(len(one.alternatives) for row in rows for one in row)
    columns: tuple[list[Array], list[Array]] = ([], [])
    for choices, wanted, place in zip(rows, encoded.label_rows(), places, strict=True):
        ids, logs, wrong = _row(choices, wanted, tokens, width)
        if wrong:
            faults.add("rows are of other tokens", place, wrong, _OTHER_TOKENS)
        columns[0].append(ids)
        columns[1].append(logs)
    faults.check()
    return columns


_OTHER_TOKENS = (
    "log-probabilities are read for the responses of the rows as the student's tokenizer splits "
    "them: the teacher must have the same tokenizer and have written these responses; give ids "
    "where the text of a token is not unique"
)


def _row(
    choices: Sequence[TokenChoices], wanted: Array, tokens: TokenTexts, width: int
) -> tuple[Array, Array, str]:
    """Ids and log-probabilities of one row, ``[M, K]``, and what is wrong."""
    ids = np.zeros((len(wanted), width), np.int64)
    logs = np.full((len(wanted), width), PADDED, np.float32)
    if len(choices) not in (len(wanted), len(wanted) - 1):
        count = f"{len(wanted)} with the one that ends it"
        return ids, logs, f"{len(choices)} tokens, and the response has {count}"
    for k, (one, own) in enumerate(zip(choices, wanted.tolist(), strict=False)):
        numbers = [tokens.id_of(token) for token, _ in one.alternatives]
        unknown = [t for n, (t, _) in zip(numbers, one.alternatives, strict=True) if n is None]
        if unknown:
            return ids, logs, f"token {k + 1}: {shown(unknown[0])} is not a token of the tokenizer"
        if tokens.id_of(one.token) != own:
            is_ = f"{shown(one.token)}, and that of the row is {shown(tokens.texts[own])} ({own})"
            return ids, logs, f"token {k + 1} is {is_}"
        if len(set(numbers)) < len(numbers):
            return ids, logs, f"token {k + 1} has an alternative twice"
        ids[k, : len(numbers)] = np.asarray(numbers, np.int64)
        logs[k, : len(numbers)] = [max(value, PADDED) for _, value in one.alternatives]
    if len(choices) < len(wanted):
        if wanted[-1] != tokens.tokens.end:
            return ids, logs, "the response is cut"
        ids[-1, 0], logs[-1, 0] = wanted[-1], 0.0
    return ids, logs, ""
