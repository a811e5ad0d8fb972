"""Checks ``lm_step_by_step_text.json``: parsed outputs of language models, and equations.

Where the authors' parsers raise or give a blank, raykd gives an empty text. Their label of ANLI
loses its last character whatever it is; raykd's loses a full stop only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from raykd.data.equations import value
from raykd.data.rationale_parsers import PARSERS
from raykd.data.tasks.step_by_step import same_value
from tests.golden.comparison import Comparison, Unknown, compare_indices, compare_value

_NAMES = {"anli1": "anli"}


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Parse every text of a file."""
    content = json.loads(path.read_text())
    for row, case in enumerate(content.pop("parse")):
        actual = PARSERS[_NAMES.get(case["dataset"], case["dataset"])](case["text"])
        for key, got in (("rationale", actual.rationale), ("label", actual.label)):
            wanted = case.get(key, "").strip() if "raises" not in case else ""
            yield _same(f"parse[{row}].{key}", got, wanted)
    for row, case in enumerate(content.pop("equation")):
        got = value(case["text"])
        if case["value"] is None:
            yield _same(f"equation[{row}]", math.isnan(got), True)
        else:
            yield _same(f"equation[{row}]", got, float(case["value"]))
    accuracy: dict[str, Any] = content.pop("equation_acc")
    pairs = list(zip(accuracy["preds"], accuracy["labels"], strict=True))
    share = sum(same_value(p, (label,)) for p, label in pairs) / len(pairs)
    yield compare_value("equation_acc", share, np.asarray(accuracy["acc"]), 1e-9)
    for key in content:
        yield Unknown(key, "follows no documented pattern")


def _same(key: str, got: object, wanted: object) -> Comparison:
    return compare_indices(key, (int(got == wanted),), np.asarray(1))
