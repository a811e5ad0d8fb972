"""Kills sweeps and prints what came of it: `python -m tests.chaos --kills N --seed S`.

The table is the one of docs/explanation/reliability.md. Every kill but those of a worker, the
controller of a slot or a process of Tune ends the driver, which is started again with ``--resume``.
Columns of a chain stand in the row of its last kill.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import sys
import time

from tests.chaos.campaign import campaign, rows
from tests.chaos.targets import TARGETS

HEADER = (
    "kill", "of", "instant", "driver ended with", "rows equal", "extra or double trials",
    "evaluations repeated", "faults and leftovers",
)  # fmt: skip


def processor() -> str:
    """The name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def main() -> int:
    """Print the table; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--of", action="append", choices=sorted(TARGETS), help="only these")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no chain after")
    asked = parser.parse_args()
    print(f"{asked.kills} kills, seed {asked.seed}, {asked.slots} slots, {processor()}")
    until = time.monotonic() + 60 * asked.minutes
    number, wrong = itertools.count(1), 0
    with campaign(asked.seed, asked.slots) as one:
        chains = [asked.of] if asked.of else one.targets(asked.kills)
        print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}", flush=True)
        for targets in chains:
            if time.monotonic() > until:
                break
            outcome = one.chain(targets)
            wrong += not outcome.well
            for row in rows(outcome, lambda: next(number)):
                print(row, flush=True)
    print(f"chains with something wrong: {wrong}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
