"""A small sweep in which something goes wrong: how it is started, and what came of it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raykd.results.store import load_results
from raykd.spec.dump import to_yaml
from tests.chaos.comparison import what
from tests.chaos.family import Family
from tests.integration.conftest import tiny_spec

HANG_S = 600.0
"""A sweep that takes longer is counted as one that hangs."""

GONE_S = 20.0
LOOK_S = 0.25


@dataclass(kw_only=True)
class Faulted:
    """What came of one sweep.

    Attributes:
        fault: What happened in it.
        slots: How many slots it had.
        seconds: What it took.
        hangs: Whether it did not end.
        ended: How the trial at fault ended; on a machine at fault, how the sweep did.
        equal: Whether all other trials are those of a sweep without a fault, to the bit.
        wrong: What else is wrong.
    """

    fault: str
    slots: int
    seconds: float = 0.0
    hangs: bool = False
    ended: str = ""
    equal: bool = False
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return self.equal and not self.hangs and not self.wrong


def space(
    folder: Path, seed: int, slots: int, fault: Mapping[str, Any], resources: Mapping[str, Any]
) -> Path:
    """A search space of two arms.

    Args:
        folder: Where it goes.
        seed: Of the sweep.
        slots: How many it has.
        fault: Parameters of the arm that is at fault; none: it is not.
        resources: What is not the usual of them.
    """
    spec = tiny_spec(
        name="fault",
        report={"path": str(folder / "report.html")},
        resources={"cpus_per_worker": 0.5, "memory_gb_per_worker": 1.5, **resources},
        methods={
            "none": {"name": "none", "method": "none"},
            "faulty": {
                "name": "faulty", "method": "tests.chaos.faulty_method", "fixed": dict(fault)
            },
        },
        search={
            "trials": 2, "seed": seed, "max_concurrent": slots, "trial_time_limit_s": 60.0,
            "algorithm": {"name": "random"},
        },
        confirm={"seeds": []},
    )  # fmt: skip
    file = folder / "fault.yaml"
    file.write_text(to_yaml(spec), encoding="utf-8")
    return file


def table(run: Path) -> dict[str, dict[str, Any]]:
    """The trials of a run, without what the fault is set by."""
    return {t.trial_id: {**what(t), "params": None} for t in load_results(run).trials}


def follow(
    process: subprocess.Popen[bytes], look: Callable[[Family], None] = lambda family: None,
    look_s: float = LOOK_S,
) -> tuple[int | None, Family]:  # fmt: skip
    """Wait for the end of a sweep.

    Args:
        process: Its driver.
        look: Called again and again with its processes.
        look_s: How often.

    Returns:
        The exit code, None where it did not end and was killed; and the processes.
    """
    family = Family(process.pid)
    until = time.monotonic() + HANG_S
    while time.monotonic() < until:
        family.look()
        look(family)
        try:
            return process.wait(look_s), family
        except subprocess.TimeoutExpired:
            continue
    for one in family.alive():
        one.kill()
    return None, family


def keep(folder: Path, place: Path | None, came: Faulted) -> None:
    """Copy what something is wrong with.

    Args:
        folder: All of the sweep.
        place: Where the copy goes; None: nothing is kept.
        came: What came of it.
    """
    if place is None or came.well:
        return
    with contextlib.suppress(shutil.Error):  # sockets
        shutil.copytree(
            folder, place / f"{came.fault.replace('/', '_')} {folder.name}", symlinks=True
        )


def bad_words(message: str) -> list[str]:
    """What no sweep says, whatever happens to it."""
    return [f"said {word!r}" for word in ("Traceback", "bug in raykd") if word in message]
