"""Cuts the raw output of a prompted language model into a rationale and a label.

The formats are those of "Distilling step-by-step" (Hsieh et al., 2023,
https://arxiv.org/abs/2305.02301), whose models were shown a few examples and continued with further
ones of their own. What cannot be found is an empty text, and such rows are counted and left out of
the term that needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_CHOICE = re.compile(r"\([a-e]\)(.*)", re.DOTALL)
_EQUATION = re.compile(r"\(.*\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LLMOutput:
    """The output of a language model for one row.

    Attributes:
        rationale: Why; empty when it did not say.
        label: The answer; empty when it gave none.
    """

    rationale: str
    label: str


def _cqa(text: str) -> LLMOutput:
    halves = _split(text.split("Q:")[0].rstrip(), "So the answer is")
    if halves is None:
        return LLMOutput("", "")
    rationale, answer = halves
    label = _CHOICE.search(answer)
    return LLMOutput(rationale, _without_stop(label.group(1).strip()) if label else "")


def _svamp(text: str) -> LLMOutput:
    halves = _split(text.split("Q:")[0].rstrip(), "The answer is")
    if halves is None:
        return LLMOutput("", "")
    rationale, answer = halves
    # From the first bracket to the last one, whatever is between them.
    label = _EQUATION.search(answer)
    return LLMOutput(rationale, label.group(0) if label else "")


def _esnli(text: str) -> LLMOutput:
    before, mark, after = text.partition("Answer:")
    label = after[1:].split("Premise")[0].strip() if mark and after.startswith(" ") else ""
    return LLMOutput(before.strip(), label)


def _anli(text: str) -> LLMOutput:
    own = text.split("Premise:")[0].rstrip()
    halves = _split(own, "So the answer is") or _split(own, "The answer is")
    if halves is None:
        return LLMOutput("", "")
    rationale, answer = halves
    return LLMOutput(rationale, _without_stop(answer.strip()))


PARSERS: Mapping[str, Callable[[str], LLMOutput]] = {
    "cqa": _cqa, "svamp": _svamp, "esnli": _esnli, "anli": _anli,
}  # fmt: skip


def _split(text: str, mark: str) -> tuple[str, str] | None:
    """What is before and after a mark that occurs once."""
    parts = text.split(mark)
    return (parts[0].strip(), parts[1]) if len(parts) == 2 else None


def _without_stop(label: str) -> str:
    return label.removesuffix(".")
