"""Metrics of generated text by name, and functions of the user's own."""

from __future__ import annotations

import functools
import importlib
import math
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from raykd import user_code
from raykd.data.rouge import rouge_l, same_words
from raykd.errors import DataError, SetupError, SpecError

Texts = Sequence[str]
Accepted = Sequence[Sequence[str]]
TextScore = Callable[[Texts, Accepted], float]
"""The score of texts against what is accepted for each; higher is better."""

MATCHED = "matched"
"""The metric that compares what a regular expression captures."""


def mean_rouge_l(texts: Texts, accepted: Accepted) -> float:
    """Mean Rouge-L, in [0, 1]."""
    return _mean(rouge_l, texts, accepted)


def exact_match(texts: Texts, accepted: Accepted) -> float:
    """Share of texts that are one of those accepted without case, punctuation and blanks."""
    return _mean(same_words, texts, accepted)


def bleu(texts: Texts, accepted: Accepted) -> float:
    """BLEU of the whole, in [0, 1], as sacrebleu computes it (13a, exponential smoothing)."""
    return _sacrebleu("BLEU", texts, accepted)


def chrf(texts: Texts, accepted: Accepted) -> float:
    """chrF2 of the whole, in [0, 1], as sacrebleu computes it."""
    return _sacrebleu("CHRF", texts, accepted)


SCORES: Mapping[str, TextScore] = MappingProxyType(
    {"rouge_l": mean_rouge_l, "exact_match": exact_match, "bleu": bleu, "chrf": chrf}
)
"""Scores by the name of the metric."""
NAMES = (*SCORES, MATCHED)
MEANS = ("rouge_l", "exact_match", MATCHED)
"""Scores that are means of those of single texts."""


def matched(pattern: str, texts: Texts, accepted: Accepted) -> float:
    """Share of texts in which a pattern captures the same as in one that is accepted.

    The last place of a text counts where there are several, and groups that are not part of it are
    empty. A text without such a place is wrong.

    Args:
        pattern: A regular expression; with groups, these are compared, else the whole of it.
        texts: What was generated.
        accepted: What is accepted; an accepted text without such a place is compared as it is.
    """
    compiled = re.compile(pattern)

    def captured(text: str) -> tuple[str, ...] | None:
        places = list(compiled.finditer(text))
        if not places:
            return None
        last = places[-1]
        groups = last.groups(default="") if compiled.groups else (last.group(),)
        return tuple(part.strip() for part in groups)

    def wanted(text: str) -> tuple[str, ...]:
        return captured(text) or (text.strip(),)

    def is_right(text: str, answers: Sequence[str]) -> float:
        return float(captured(text) in [wanted(answer) for answer in answers])

    return _mean(is_right, texts, accepted)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextMeasure:
    """Metrics of texts by name.

    Attributes:
        names: Keys of `SCORES`, `MATCHED`, or functions with dots in their names.
        pattern: The regular expression of `MATCHED`.
    """

    names: tuple[str, ...]
    pattern: str = ""

    def __call__(self, texts: Texts, accepted: Accepted) -> Mapping[str, float]:
        """Every metric."""
        return {name: self._score(name)(texts, accepted) for name in self.names}

    def by_text(self, metric: str, texts: Texts, accepted: Accepted) -> list[float] | None:
        """What each text adds to a metric; None where that is not known to be a mean."""
        if metric not in MEANS:
            return None
        score = self._score(metric)
        return [score([text], [of]) for text, of in zip(texts, accepted, strict=True)]

    def _score(self, name: str) -> TextScore:
        if name == MATCHED:
            return functools.partial(matched, self.pattern)
        return SCORES[name] if name in SCORES else _checked(name, user_score(name))


def user_score(name: str) -> TextScore:
    """The function that a dotted name reaches.

    Raises:
        SpecError: There is none, or its module must not be imported.
    """
    module, _, function = name.rpartition(".")
    hint = "a metric of your own is MODULE.FUNCTION, a function of texts and accepted texts"
    user_code.check(module)
    try:
        scorer = getattr(importlib.import_module(module), function, None)
    except Exception as exc:  # a module of the user's may fail in any way
        why = f"{type(exc).__name__}: {exc}"
        raise SpecError(f"metric '{name}' cannot be imported: {why}", hint=hint) from exc
    if not callable(scorer):
        raise SpecError(f"module '{module}' has no function '{function}'", hint=hint)
    score: TextScore = scorer
    return score


def _checked(name: str, score: TextScore) -> TextScore:
    """A function of the user's that must give a number."""

    def checked(texts: Texts, accepted: Accepted) -> float:
        try:
            value: Any = score(list(texts), [list(answers) for answers in accepted])
        except Exception as exc:
            why = f"{type(exc).__name__}: {exc}"
            raise DataError(f"metric '{name}' fails: {why}", hint="see its code") from exc
        if not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise DataError(f"metric '{name}' gives {value!r}, expected a number")
        return float(value)

    return checked


def check_packages(names: Sequence[str]) -> None:
    """Refuse metrics whose package is not installed.

    Raises:
        SetupError: It is missing.
    """
    if {"bleu", "chrf"} & set(names):
        _metrics()


def _sacrebleu(kind: str, texts: Texts, accepted: Accepted) -> float:
    most = max(len(answers) for answers in accepted)
    streams = [[of[k] if k < len(of) else None for of in accepted] for k in range(most)]
    metric = getattr(_metrics(), kind)()
    return float(metric.corpus_score(list(texts), streams).score) / 100


def _metrics() -> Any:  # the module sacrebleu.metrics
    try:
        import sacrebleu.metrics
    except ModuleNotFoundError as exc:
        raise SetupError(
            "the metrics bleu and chrf need the package 'sacrebleu', which is not installed",
            hint="install it: pip install 'raykd[bleu]'",
        ) from exc
    return sacrebleu.metrics


def _mean(score: Callable[[str, Sequence[str]], float], texts: Texts, accepted: Accepted) -> float:
    pairs = list(zip(texts, accepted, strict=True))
    return sum(score(text, answers) for text, answers in pairs) / len(pairs)
