"""Small sweeps with a fault in them: `python -m tests.chaos.faults --sweeps N --seed S`.

Either an arm does something bad once, in a random step, or the machine is full, closed, small or
slow. The sweep has to end by itself; every trial that was not at fault, or whose process was and
that trained again, has to end as in a sweep without a fault, to the bit; a sweep that the machine
ended has to say why and what to do, and to continue once that is done; and nothing may be left.

The process begins again with file systems of its own, where the system allows it; else it says
which machines it leaves out. ``--rows FILE`` keeps what came of each sweep, and the tables are of
all that is in it: several runs add up, and ``--sweeps 0`` prints them once more.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from huggingface_hub import constants

from tests.chaos import own_mounts
from tests.chaos.__main__ import head, processor, show
from tests.chaos.chain import events_of, launch
from tests.chaos.code_sweep import sweep_with
from tests.chaos.faulted import Faulted, follow, keep, space, table
from tests.chaos.faulty_method import FAULTS
from tests.chaos.machine_sweep import MachineSweep
from tests.chaos.machines import MACHINES
from tests.chaos.surroundings import Surroundings

COLUMNS = ("sweeps", "took", "hangs")
CODE = ("fault", *COLUMNS, "the trial", "others equal to the bit", "wrong")
MACHINE = ("machine", *COLUMNS, "the sweep", "table equal to the bit", "wrong")

ABLE = "this process is able to have: "


def kinds(able: frozenset[str]) -> list[str]:
    """The faults that a process is able to make.

    Args:
        able: What it can do, of `own_mounts`.
    """
    made = [name for name, kind in MACHINES.items() if able.issuperset(kind.needs)]
    return [*FAULTS, *made]


def without_teacher(events: Sequence[Mapping[str, object]]) -> int:
    """How many events a sweep writes whose teacher is in the cache, as those of later sweeps are.

    Args:
        events: Of a sweep that makes its teacher.
    """
    return sum(not str(event["event"]).startswith("teacher_") for event in events)


class Sweeps:
    """A sweep without a fault, and others of the same seed with one.

    Args:
        top: Where everything goes.
        seed: Of the sweeps; draws moments, steps and slots, too.
        keep: Where to keep what something is wrong with.
    """

    def __init__(self, top: Path, seed: int, keep: Path | None = None) -> None:
        self._top, self._seed, self._keep = top, seed, keep
        self._chance = random.Random(seed)
        self._count = 0
        self._surroundings = Surroundings(top / "cache", top)
        folder = self._folder("whole")
        file = space(folder, seed, 1, {}, {})
        command = ["sweep", str(file), "--out", str(folder / "runs"), "--allow-imports"]
        code, _ = follow(launch(command, folder / "said.txt", self._surroundings.environment()))
        assert code == 0, (folder / "said.txt").read_text()
        (run,) = (folder / "runs").iterdir()
        self._reference, self._events = table(run), without_teacher(events_of(run))

    def one(self, name: str) -> Faulted:
        """Run a sweep with a fault."""
        self._count += 1
        folder = self._folder(str(self._count))
        if name in FAULTS:
            came = sweep_with(
                name, folder, self._seed, self._surroundings, self._reference, self._chance
            )
            keep(folder, self._keep, came)
        else:
            came = MachineSweep(
                name, folder, self._seed, self._surroundings.cache,
                (self._reference, self._events), self._chance,
            ).run(self._keep)  # fmt: skip
        shutil.rmtree(folder)
        return came

    def _folder(self, name: str) -> Path:
        folder = self._top / name
        folder.mkdir()
        return folder


def faulted(
    sweeps: int, seed: int, names: Sequence[str], *, place: Path | None = None,
    minutes: float = 1e9, keep: Path | None = None,
) -> Iterator[Faulted]:  # fmt: skip
    """Run a sweep without a fault, and then so many with one, one kind after the other.

    Args:
        sweeps: How many.
        seed: Draws the order of the kinds, too.
        names: The faults to choose from.
        place: Where everything goes, in a folder of its own; None for the usual place.
        minutes: Begin no sweep after.
        keep: Where to keep what something is wrong with.
    """
    until = time.monotonic() + 60 * minutes
    chance, bag = random.Random(seed), list[str]()
    with tempfile.TemporaryDirectory(prefix="r", dir=place) as top:
        one_after_the_other = Sweeps(Path(top), seed, keep)
        for _ in range(sweeps):
            if time.monotonic() > until:
                break
            bag = bag or chance.sample(names, len(names))
            yield one_after_the_other.one(bag.pop())


def summary(came: Sequence[Faulted]) -> None:
    """Print a row for each fault: of the code, and of the machine."""
    for names, columns in ((FAULTS, CODE), (MACHINES, MACHINE)):
        of_kind = {name: [one for one in came if one.fault == name] for name in names}
        if not any(of_kind.values()):
            continue
        head(columns)
        for name, of in of_kind.items():
            if not of:
                continue
            wrong = "; ".join(dict.fromkeys(wrong for one in of for wrong in one.wrong))
            show((
                name, str(len(of)), f"at most {max(one.seconds for one in of):.0f} s",
                str(sum(one.hangs for one in of)),
                " or ".join(sorted({one.ended for one in of})),
                f"{sum(one.equal for one in of)} of {len(of)}", wrong or "nothing",
            ))  # fmt: skip
        print()


def read(rows: Path) -> list[Faulted]:
    """What came of earlier sweeps."""
    if not rows.exists():
        return []
    return [Faulted(**json.loads(line)) for line in rows.read_text().splitlines()]


def reads() -> list[Path]:
    """What sweeps read besides the checkout and its interpreter."""
    places = os.environ.get("RAYKD_DATA"), constants.HF_HOME, constants.HF_HUB_CACHE
    return [Path(place) for place in places if place]


def main() -> int:
    """Print the tables; 1 where something is wrong."""
    every = kinds(frozenset((own_mounts.MOUNTS, own_mounts.ROOT, own_mounts.TMP)))
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.faults")
    parser.add_argument("--sweeps", type=int, help="how many; each fault once, if left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--of", action="append", choices=every, help="only these")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no sweep after")
    parser.add_argument("--rows", type=Path, help="where to add what came of each sweep")
    parser.add_argument("--keep", type=Path, help="where to keep what something is wrong with")
    given = parser.parse_args()
    own = own_mounts.begin(reads(), [path for path in (given.rows, given.keep) if path])
    possible = kinds(own.able)
    names = given.of or possible
    if beyond := set(names) - set(possible):
        parser.error(f"this process is not able to make: {', '.join(sorted(beyond))}")
    sweeps = len(names) if given.sweeps is None else given.sweeps
    print(f"{sweeps} sweeps, seed {given.seed}, {processor()}", flush=True)
    print(f"{ABLE}{', '.join(sorted(own.able)) or 'nothing'}", flush=True)
    for name in MACHINES.keys() - set(possible):
        print(f"left out, as it needs {', '.join(MACHINES[name].needs)}: {name}", flush=True)
    came = [] if given.rows is None else read(given.rows)
    if sweeps:
        for one in faulted(
            sweeps, given.seed, names, place=own.place, minutes=given.minutes, keep=given.keep
        ):
            came.append(one)
            print(one, flush=True)
            if given.rows is not None:
                with given.rows.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(dataclasses.asdict(one)) + "\n")
        print()
    summary(came)
    hangs, wrong = sum(one.hangs for one in came), sum(not one.well for one in came)
    print(f"{len(came)} sweeps, {hangs} hangs, {wrong} with something wrong")
    return 1 if hangs or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
