"""A sweep on a machine at fault: what it says there, and what becomes of it once that is mended."""

from __future__ import annotations

import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos.chain import events_of, launch
from tests.chaos.family import Family
from tests.chaos.faulted import (
    GONE_S,
    Faulted,
    bad_words,
    follow,
    keep,
    space,
    table,
)
from tests.chaos.machines import MACHINES, Kind, Machine
from tests.chaos.surroundings import Surroundings

TORCH = "torchinductor_"
"""An empty folder that PyTorch makes when it is imported, for what it compiles."""

CALLED = {0: "ran to its end", 2: "refused", 4: "said what is wrong"}


class MachineSweep:
    """One sweep on one machine.

    Args:
        name: The machine, of `tests.chaos.machines`.
        folder: Where everything goes.
        seed: Of the sweep.
        cache: Where teachers are kept, unless the machine has a cache of its own.
        reference: The trials of a sweep on a machine without a fault, and how many events it had
            without those of its teacher.
        chance: Draws the moment and the slots.
    """

    def __init__(
        self, name: str, folder: Path, seed: int, cache: Path,
        reference: tuple[Mapping[str, Mapping[str, Any]], int], chance: random.Random,
    ) -> None:  # fmt: skip
        self._kind: Kind = MACHINES[name]
        self._seed = seed
        self._reference, events = reference
        self._came = Faulted(fault=name, slots=chance.choice((1, 2)))
        (folder / "t").mkdir()
        (folder / "runs").mkdir()
        self._machine = Machine(
            folder=folder, events=events, chance=chance, out=folder / "runs", place=folder / "t",
            cache=cache,
        )  # fmt: skip

    def run(self, kept: Path | None = None) -> Faulted:
        """Run it, mend the machine, run the rest, and see what came of it.

        Args:
            kept: Where to keep it if something is wrong with it.
        """
        # What is on disks of its own has to be copied before they go, and what is copied to where
        # one of them is would go with it.
        with tempfile.TemporaryDirectory(prefix="k", dir=self._machine.folder.parent) as copies:
            self._run(None if kept is None else Path(copies))
            if kept is not None and not self._came.well:
                shutil.copytree(copies, kept, symlinks=True, dirs_exist_ok=True)
        return self._came

    def _run(self, copies: Path | None) -> None:
        machine = self._machine
        with machine.gone:
            with machine.mended:
                self._kind.make(machine)
                surroundings = Surroundings(machine.cache, machine.place)
                before = {path: set(os.listdir(path)) for path in machine.clean}
                code, family = self._sweep(surroundings, "said.txt", at_fault=True)
                if code is not None:
                    self._look(code, family, surroundings)
                for path, names in before.items():
                    left = {name for name in os.listdir(path) if not name.startswith(TORCH)} - names
                    self._came.wrong += [f"left: {path / name}" for name in left]
            if code:
                self._again(surroundings)
            elif code == 0 and (newest := self._newest()) is not None:
                self._came.equal = table(newest) == self._reference
            surroundings.forget()
            keep(machine.folder, copies, self._came)

    def _look(self, code: int, family: Family, surroundings: Surroundings) -> None:
        """See how it ended."""
        kind, wrong = self._kind, self._came.wrong
        self._came.ended = CALLED.get(code, f"exit code {code}")
        message = self._said("said.txt")
        low = " ".join(message.lower().split())
        wrong += [] if code in kind.codes else [f"exit code {code}"]
        wrong += bad_words(message)
        wanted = kind.says if code else kind.notes
        wrong += [f"did not say {words!r}" for words in wanted if not re.search(words, low)]
        problems = sum(line.startswith("error:") for line in message.splitlines())
        if problems != bool(code):
            wrong.append(f"said {problems} errors")
        wrong += [f"left: {process}" for process in family.gone(GONE_S)]
        if code and not kind.resumes:  # refused: nothing has begun
            wrong += [f"left: {path}" for path in self._machine.out.iterdir()]
        newest = self._newest()
        wrong += [f"left: {name}" for name in surroundings.left(newest)]
        wrong += [] if self._machine.happened else ["the fault did not happen"]
        if code and newest is not None and events_of(newest):
            done = {t: row for t, row in table(newest).items() if row["status"] == "completed"}
            wrong += [f"{t} is another" for t, row in done.items() if self._reference[t] != row]

    def _again(self, surroundings: Surroundings) -> None:
        """Resume it, or start it once more, on the machine that is mended."""
        came, newest = self._came, self._newest()
        resumed = newest if self._kind.resumes else None
        code, family = self._sweep(surroundings, "said-again.txt", resumed)
        if code != 0:
            came.hangs |= code is None
            came.wrong.append(f"once mended: exit code {code}: {self._said('said-again.txt')}")
            return
        came.ended += ", then resumed" if resumed is not None else ", then begun anew"
        came.wrong += [f"left: {process}" for process in family.gone(GONE_S)]
        run = resumed or self._newest()
        came.wrong += [f"left: {name}" for name in surroundings.left(run)]
        came.equal = run is not None and table(run) == self._reference

    def _sweep(
        self, surroundings: Surroundings, log: str, resumed: Path | None = None,
        *, at_fault: bool = False,
    ) -> tuple[int | None, Family]:  # fmt: skip
        machine = self._machine
        file = space(machine.folder, self._seed, self._came.slots, {}, machine.resources)
        given = [str(file), "--out", str(machine.out)]
        command = ["sweep", *(["--resume", str(resumed)] if resumed else given), "--allow-imports"]
        changed = {**surroundings.environment(), **machine.variables}
        environment = {name: value for name, value in changed.items() if value is not None}
        process = launch(command, machine.folder / log, environment, machine.prefix, machine.where)
        if not at_fault:
            return follow(process)
        began = time.monotonic()
        code, family = follow(process, self._watch, machine.look_s)
        self._came.seconds, self._came.hangs = time.monotonic() - began, code is None
        return code, family

    def _watch(self, family: Family) -> None:
        if self._machine.watch is not None:
            self._machine.watch(family, len(events_of(self._newest())))

    def _newest(self) -> Path | None:
        """The run folder of the last sweep."""
        runs = [path for path in self._machine.out.glob("fault-*") if (path / "lock").exists()]
        return max(runs, key=lambda path: path.stat().st_mtime_ns, default=None)

    def _said(self, log: str) -> str:
        return (self._machine.folder / log).read_text(errors="replace")
