"""Small sweeps with a fault in them: `python -m tests.chaos.faults --sweeps N --seed S`.

An arm does something bad once, in a random step. The sweep has to end by itself; every trial that
was not at fault, or whose process was and that trained again, has to end as in a sweep without a
fault, to the bit; and nothing may be left.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raykd.results.records import Status
from raykd.results.store import load_results
from raykd.spec.dump import to_yaml
from tests.chaos.__main__ import head, processor, show
from tests.chaos.chain import launch
from tests.chaos.comparison import what
from tests.chaos.family import Family
from tests.chaos.faulty_method import FAIL, FAULTS
from tests.chaos.surroundings import Surroundings
from tests.integration.conftest import tiny_spec

HANG_S = 600.0
"""A sweep that takes longer is counted as one that hangs."""

GONE_S = 20.0
COLUMNS = ("fault", "sweeps", "took", "hangs", "the trial", "others equal to the bit", "wrong")


@dataclass(kw_only=True)
class Faulted:
    """What came of one sweep.

    Attributes:
        fault: What happened in it.
        seconds: What it took.
        hangs: Whether it did not end.
        status: How the trial at fault ended.
        wrong: What else is wrong.
    """

    fault: str
    seconds: float = 0.0
    hangs: bool = False
    status: str = ""
    wrong: list[str] = field(default_factory=list)


def space(folder: Path, seed: int, slots: int, fault: Mapping[str, Any]) -> Path:
    """A search space of two arms, one of them at fault."""
    spec = tiny_spec(
        name="fault",
        report={"path": str(folder / "report.html")},
        resources={"cpus_per_worker": 0.5, "memory_gb_per_worker": 1.5},
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


def sweep(folder: Path, file: Path, surroundings: Surroundings) -> tuple[int | None, Family]:
    """Run one; its exit code, None where it does not end."""
    command = ["sweep", str(file), "--out", str(folder / "runs"), "--allow-imports"]
    process = launch(command, folder / "said.txt", surroundings)
    family = Family(process.pid)
    until = time.monotonic() + HANG_S
    while time.monotonic() < until:
        family.look()
        try:
            return process.wait(0.5), family
        except subprocess.TimeoutExpired:
            continue
    for one in family.alive():
        one.kill()
    return None, family


def try_one(
    folder: Path, seed: int, slots: int, fault: Mapping[str, Any], surroundings: Surroundings,
    reference: Mapping[str, Mapping[str, Any]],
) -> Faulted:  # fmt: skip
    """Run a sweep with a fault, and see what came of it."""
    name, began = str(fault["fault"]), time.monotonic()
    code, family = sweep(folder, space(folder, seed, slots, fault), surroundings)
    came = Faulted(fault=name, seconds=time.monotonic() - began, hangs=code is None)
    if code is None:
        return came
    message = (folder / "said.txt").read_text(errors="replace")
    came.wrong += [f"exit code {code}"] if code else []
    came.wrong += [f"said {word!r}" for word in ("Traceback", "bug in raykd") if word in message]
    came.wrong += [f"left: {process}" for process in family.gone(GONE_S)]
    runs = list((folder / "runs").iterdir()) if code in (0, 3) else []
    came.wrong += surroundings.left(runs[0] if runs else None)
    if not runs:
        return came
    rows = table(runs[0])
    ended = {row["status"] for trial, row in rows.items() if ".faulty." in trial}
    came.status = str(Status.FAILED.value if Status.FAILED in ended else Status.COMPLETED.value)
    if (came.status == Status.FAILED.value) != (name in FAIL):
        came.wrong.append(f"the trial {came.status}")
    if not Path(str(fault["mark"])).exists():
        came.wrong.append("the fault did not happen")
    failed = {t for t, row in rows.items() if ".faulty." in t and row["status"] is Status.FAILED}
    others = {t: row for t, row in reference.items() if t not in failed}
    came.wrong += [f"{t} is another" for t, row in others.items() if rows.get(t) != row]
    return came


def faulted(sweeps: int, seed: int, kinds: Sequence[str]) -> Iterator[Faulted]:
    """Run a sweep without a fault, and then so many with one, one kind after the other.

    Args:
        sweeps: How many.
        seed: Draws the kinds, the steps and the slots.
        kinds: The faults to choose from.
    """
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="raykd-faults-") as temporary:
        top = Path(temporary)
        surroundings = Surroundings(top / "cache")
        whole = top / "whole"
        whole.mkdir()
        code, _ = sweep(whole, space(whole, seed, 1, {}), surroundings)
        assert code == 0, (whole / "said.txt").read_text()
        (run,) = (whole / "runs").iterdir()
        reference, bag = table(run), list[str]()
        for k in range(sweeps):
            bag = bag or chance.sample(kinds, len(kinds))
            folder = top / str(k)
            folder.mkdir()
            fault = {"fault": bag.pop(), "at": chance.randint(1, 9), "mark": str(folder / "mark")}
            slots = chance.choice((1, 2))
            yield try_one(folder, seed, slots, fault, surroundings, reference)
        surroundings.forget()


def summary(came: Sequence[Faulted]) -> None:
    """Print a row for each fault."""
    head(COLUMNS)
    for name in FAULTS:
        of = [one for one in came if one.fault == name]
        if not of:
            continue
        others = sum(not any("is another" in wrong for wrong in one.wrong) for one in of)
        wrong = "; ".join(dict.fromkeys(wrong for one in of for wrong in one.wrong))
        show((
            name, str(len(of)), f"at most {max(one.seconds for one in of):.0f} s",
            str(sum(one.hangs for one in of)), " or ".join(sorted({one.status for one in of})),
            f"{others} of {len(of)}", wrong or "nothing",
        ))  # fmt: skip


def main() -> int:
    """Print the table; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.faults")
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--of", action="append", choices=list(FAULTS), help="only these")
    requested = parser.parse_args()
    print(f"{requested.sweeps} sweeps, seed {requested.seed}, {processor()}", flush=True)
    came = []
    for one in faulted(requested.sweeps, requested.seed, requested.of or list(FAULTS)):
        came.append(one)
        print(one, flush=True)
    print()
    summary(came)
    hangs, wrong = sum(one.hangs for one in came), sum(bool(one.wrong) for one in came)
    print(f"\n{len(came)} sweeps, {hangs} hangs, {wrong} with something wrong")
    return 1 if hangs or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
