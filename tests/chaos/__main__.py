"""Kills sweeps and prints what came of it: `python -m tests.chaos --kills N --seed S`.

Every kill but those of a worker or a process of Tune ends the driver,
which is started again with ``--resume``. The first table has a row for each kill, as they come;
what is known at the end of a run folder alone stands with its last kill. The second one, that of
docs/explanation/reliability.md, has a row for each kind of kill.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.chaos.campaign import Outcome, campaign, rows, summary
from tests.chaos.targets import TARGETS

KILLS = (
    "killed", "instant", "driver ended with", "rows equal", "extra or double trials",
    "evaluations repeated", "faults and leftovers",
)  # fmt: skip
SUMMARY = (
    "killed", "kills", "in", "driver ended", "said how to continue, left nothing",
    "table equal to the bit", "trials extra or twice",
)  # fmt: skip


def processor() -> str:
    """The name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def show(cells: Iterable[str]) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def head(cells: Sequence[str]) -> None:
    """Print the head of a table."""
    show(cells)
    show(["---"] * len(cells))


def main() -> int:
    """Print the tables; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--of", action="append", choices=sorted(TARGETS), help="only these")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no chain after")
    parser.add_argument("--keep", type=Path, help="where to keep what something is wrong with")
    requested = parser.parse_args()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Begun in the background: its sweeps would ignore Ctrl-C, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"{requested.kills} kills, seed {requested.seed}, {requested.slots} slots, {processor()}")
    until = time.monotonic() + 60 * requested.minutes
    outcomes: list[Outcome] = []
    with campaign(requested.seed, requested.slots, requested.keep) as one:
        head(KILLS)
        for targets in [requested.of] if requested.of else one.targets(requested.kills):
            if time.monotonic() > until:
                break
            outcomes.append(one.chain(targets))
            for row in rows(outcomes[-1]):
                show(row)
    print()
    head(SUMMARY)
    for row in summary(outcomes):
        show(row)
    wrong = sum(not outcome.well for outcome in outcomes)
    print(f"\n{len(outcomes)} run folders, {wrong} of them with something wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
