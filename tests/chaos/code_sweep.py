"""A sweep with an arm that does something bad once."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raykd.results.records import Status
from tests.chaos.chain import launch
from tests.chaos.faulted import GONE_S, Faulted, bad_words, follow, space, table
from tests.chaos.faulty_method import FAIL
from tests.chaos.surroundings import Surroundings

STEPS = 9
"""Of a trial."""


def sweep_with(
    name: str, folder: Path, seed: int, surroundings: Surroundings,
    reference: Mapping[str, Mapping[str, Any]], chance: random.Random,
) -> Faulted:  # fmt: skip
    """Run a sweep with a fault in the code that trains, and see what came of it.

    Args:
        name: The fault, of `tests.chaos.faulty_method`.
        folder: Where everything goes.
        seed: Of the sweep.
        surroundings: What it may leave something in.
        reference: The trials of a sweep without a fault.
        chance: Draws the step and the slots.
    """
    mark, slots = folder / "mark", chance.choice((1, 2))
    fault = {"fault": name, "at": chance.randint(1, STEPS), "mark": str(mark)}
    came, began = Faulted(fault=name, slots=slots), time.monotonic()
    file = space(folder, seed, slots, fault, {})
    command = ["sweep", str(file), "--out", str(folder / "runs"), "--allow-imports"]
    code, family = follow(launch(command, folder / "said.txt", surroundings.environment()))
    came.seconds, came.hangs = time.monotonic() - began, code is None
    if code is None:
        return came
    message = (folder / "said.txt").read_text(errors="replace")
    came.wrong += [f"exit code {code}"] if code else []
    came.wrong += bad_words(message)
    came.wrong += [f"left: {process}" for process in family.gone(GONE_S)]
    runs = list((folder / "runs").iterdir()) if code in (0, 3) else []
    came.wrong += surroundings.left(runs[0] if runs else None)
    if not runs:
        return came
    rows = table(runs[0])
    failed = {t for t, row in rows.items() if ".faulty." in t and row["status"] is Status.FAILED}
    came.ended = "failed" if failed else "completed"
    if len(failed) != (name in FAIL):  # it happens once
        came.wrong.append(f"{len(failed)} trials failed")
    if not mark.exists():
        came.wrong.append("the fault did not happen")
    others = {t: row for t, row in reference.items() if t not in failed}
    came.equal = rows.keys() == reference.keys() and all(rows[t] == others[t] for t in others)
    return came
