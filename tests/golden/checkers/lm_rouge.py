"""Checks ``lm_rouge.json``: Rouge-L and exact match of generated text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from raykd.data.rouge import rouge_l, same_words
from raykd.data.text_scores import TextMeasure
from tests.golden.comparison import Comparison, Unknown, compare_value

RTOL = 1e-9
_TRUNCATED = "corpus_first3_preds_all_refs"


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Score every text of a file."""
    content = json.loads(path.read_text())
    pairs = content.pop("pairs")
    for row, pair in enumerate(pairs):
        text, references = pair["prediction"], pair["references"]
        got = {
            "rougeL_max": rouge_l(text, references),
            "exact_match": same_words(text, references),
        }
        for key, value in got.items():
            yield _compare(f"pairs[{row}].{key}", value, pair[key])
        for k, reference in enumerate(references):
            value = pair["rougeL_f"][k]
            yield _compare(f"pairs[{row}].rougeL_f[{k}]", rouge_l(text, [reference]), value)
    for key, wanted in content.items():
        if key not in ("corpus", _TRUNCATED):
            yield Unknown(key, "follows no documented pattern")
            continue
        # The authors stop at the shorter of two lists; raykd refuses lists of different lengths.
        part = pairs[:3] if key == _TRUNCATED else pairs
        score = TextMeasure(names=("rouge_l", "exact_match"))
        actual = score([p["prediction"] for p in part], [p["references"] for p in part])
        yield _compare(f"{key}.rougeL", round(100 * actual["rouge_l"], 4), wanted["rougeL"])
        yield _compare(
            f"{key}.exact_match", round(100 * actual["exact_match"], 4), wanted["exact_match"]
        )


def _compare(key: str, got: float, wanted: float) -> Comparison:
    return compare_value(key, got, np.asarray(wanted), RTOL)
