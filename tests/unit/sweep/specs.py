"""A small sweep on generated text, and variations of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec

TASK = "toy/sentiment"
SHAPE = {"family": "bert", "heads": 2, "layers": 2, "vocabulary": 300, "max_positions": 32}
ALPHA = {"kind": "uniform", "low": 0.1, "high": 0.9}
PLAIN: Mapping[str, Any] = {
    "name": "tiny",
    "tasks": [TASK],
    "data": {
        "limit": 120, "max_length": 32, "student_rows": 30,
        "select_on": {"split": "train", "fraction": 0.1},
        "report_on": {"split": "validation"},
    },
    "teacher": {
        "model": {**SHAPE, "hidden": 16},
        "finetune": {"epochs": 1, "lr": 1e-3, "rows": 80},
    },
    "student": {"model": {**SHAPE, "hidden": 8, "layers": 1}},
    "train": {
        "fixed": {"epochs": 2},
        "domains": {"lr": {"kind": "loguniform", "low": 1e-4, "high": 1e-2}},
    },
    "methods": {
        "none": {"name": "none", "method": "none"},
        "kd": {"name": "kd", "method": "kd", "domains": {"alpha": ALPHA}},
        "hot": {
            "name": "hot", "method": "kd", "fixed": {"temperature": 8.0},
            "domains": {"alpha": ALPHA}, "start": [{"alpha": 0.5}],
        },
    },
    "search": {"trials": 4, "seed": 5},
    "confirm": {"seeds": [1, 2]},
    "report": {"baseline": "none"},
}  # fmt: skip


def spec(**changes: Any) -> SweepSpec:
    """The sweep with some parts changed; ``teacher__dtype="fp32"`` changes one entry of a part."""
    plain = {k: dict(v) if isinstance(v, Mapping) else v for k, v in PLAIN.items()}
    for name, value in changes.items():
        part, _, entry = name.partition("__")
        if entry:
            plain.setdefault(part, {})[entry] = value
        else:
            plain[part] = value
    return spec_from_dict(plain)
