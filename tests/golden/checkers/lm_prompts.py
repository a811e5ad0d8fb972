"""Checks ``lm_prompts.json``: the wording of prompts, and the tokens of responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from raykd.data.table import Table
from raykd.data.tasks.dolly import read
from tests.golden.comparison import Comparison, Unknown, compare_indices

END = 256
_KEYS = {"record", "kept", "prompt", "prompt_len", "response_ids"}


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Word every prompt of a file; a byte is a token there."""
    content = json.loads(path.read_text())
    for row, given in enumerate(content["records"]):
        for key in given.keys() - _KEYS:
            yield Unknown(f"records[{row}].{key}", "follows no documented pattern")
        table = Table(columns={k: [v] for k, v in given["record"].items()}, origin=path.name)
        (example,) = read(table)
        prompt = (example.before + example.context + example.after).encode()
        kept = len(prompt) <= content["max_prompt_length"]
        # What the authors drop because the prompt is too long, raykd cuts.
        yield compare_indices(f"records[{row}].kept", (int(kept),), np.asarray(given["kept"]))
        if not given["kept"]:
            continue
        actual = {
            "prompt": (tuple(prompt), given["prompt"].encode()),
            "prompt_len": ((len(prompt),), [given["prompt_len"]]),
            "response_ids": ((*example.response.encode(), END), given["response_ids"]),
        }
        for key, (got, wanted) in actual.items():
            yield compare_indices(f"records[{row}].{key}", got, np.asarray(list(wanted)))
