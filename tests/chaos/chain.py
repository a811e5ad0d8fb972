"""One run folder: a sweep that is killed, resumed and killed again, and then left to end."""

from __future__ import annotations

import random
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raykd.results.store import read_events
from tests.chaos.comparison import Difference, compare, repeated_evaluations
from tests.chaos.family import Family
from tests.chaos.surroundings import Surroundings
from tests.chaos.targets import TARGETS

LOOK_S = 0.1
SOON_S = 60.0
"""A driver whose sweep was killed has this long to end, or to continue."""
GONE_S = {False: 20.0, True: 90.0}
"""Processes have this long after their driver; longer where nobody is left to end them."""
QUIET_S = 150.0
"""No sweep of this size is without an event for so long."""
TO_CONTINUE = "continue with: raykd sweep --resume"


@dataclass(kw_only=True)
class Kill:
    """What was done to a sweep, and what came of it.

    Attributes:
        target: Name of the target.
        instant: Where the sweep was.
        code: What the driver ended with; None where it continued.
        seconds: From the kill to the end of the driver.
        faults: What is wrong with that.
    """

    target: str
    instant: str
    code: int | None = None
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Chain:
    """A sweep and its kills.

    Args:
        file: The search space.
        folder: Where runs and the output of the commands go.
        reference: The run that was left alone.
        surroundings: What it may leave something in.
        chance: Chooses the instants.
    """

    def __init__(
        self, file: Path, folder: Path, reference: Path, surroundings: Surroundings,
        chance: random.Random,
    ) -> None:  # fmt: skip
        self._file = file
        self._folder = folder
        self._reference = reference
        self._surroundings = surroundings
        self._chance = chance
        self._events = len(events_of(reference))
        self.kills: list[Kill] = []

    def run(self, targets: Sequence[str]) -> Difference:
        """Kill and resume it, once for each target, and leave it to end."""
        waiting = list(targets)
        for start in range(2 * len(targets) + 1):
            if self._live(start, waiting):
                break
        else:
            raise AssertionError(f"the sweep does not end: {self._said(start)}")
        assert self.folder is not None
        return compare(self.folder, self._reference)

    def strike_after_the_end(self, target: str, wait_s: float) -> Kill:
        """Let it run to its end, and kill something while Ray is left.

        Args:
            target: Name of the target.
            wait_s: How long after the log says that the sweep is over.
        """
        process = launch(self._command(), self._log(0), self._surroundings.environment())
        family = Family(process.pid)
        for _ in self._looks(process, family):
            if place_of(self.folder).startswith("end"):
                break
        time.sleep(wait_s)
        kill = Kill(target=target, instant=place_of(self.folder))
        self.kills.append(kill)
        TARGETS[target].strike(family, self._chance)
        self._end(kill, process, family, time.monotonic(), 0)
        return kill

    @property
    def folder(self) -> Path | None:
        """The run folder, None before it is made."""
        return next((p.parent for p in self._folder.glob("runs/*/events.jsonl")), None)

    @property
    def repeated(self) -> int:
        """Evaluations that were computed again."""
        return repeated_evaluations(self.folder) if self.folder else 0

    def _live(self, start: int, waiting: list[str]) -> bool:
        """One life of the driver; whether it came to the end of the sweep."""
        log = self._log(start)
        process = launch(self._command(), log, self._surroundings.environment())
        family = Family(process.pid)
        plan, begun = self._plan(waiting), len(events_of(self.folder))
        for done in self._looks(process, family):
            if plan is None or done - begun < plan[1] or self.folder is None:
                continue
            time.sleep(self._chance.uniform(0.0, 1.5))
            target = TARGETS[plan[0]]
            instant = place_of(self.folder)
            if not target.strike(family, self._chance):
                continue  # at the next look
            self.kills.append(Kill(target=waiting.pop(0), instant=instant))
            struck, plan = time.monotonic(), None
            if target.continues:
                plan, begun = self._plan(waiting), done
                continue
            self._end(self.kills[-1], process, family, struck, start)
            return False
        left = [] if process.returncode else self._surroundings.left(self.folder)
        faults = [*self._left(family), *left]
        if process.returncode:
            faults.append(f"ended with {process.returncode}: {self._said(start)}")
        if faults and not self.kills:
            self.kills.append(Kill(target="nothing", instant="-"))
        if faults:
            self.kills[-1].faults += faults
        return process.returncode == 0

    def _end(
        self, kill: Kill, process: subprocess.Popen[bytes], family: Family, struck: float,
        start: int,
    ) -> None:  # fmt: skip
        """See how a driver ends that was killed, or whose Ray was."""
        target = TARGETS[kill.target]
        try:
            kill.code = process.wait(SOON_S)
        except subprocess.TimeoutExpired:
            kill.faults.append(f"the driver was still there after {SOON_S:.0f} s")
            process.kill()
            kill.code = process.wait()
        kill.seconds = time.monotonic() - struck
        # A sweep that was done when it lost its cluster ends as if it had kept it.
        done = kill.code == 0 and kill.instant.startswith("end")
        if kill.code not in target.codes and not done:
            kill.faults.append(f"exit code {kill.code} instead of {target.codes}")
        kill.faults += self._left(family, alone=target.silent)
        message = self._said(start)
        if not target.silent:
            at_once = target.sudden or kill.code == 1
            kill.faults += self._surroundings.left(None if at_once else self.folder)
            if TO_CONTINUE not in message and not done:
                kill.faults.append(f"did not say how to continue: {message[-200:]!r}")
        kill.faults += [
            f"said {words!r}" for words in ("Traceback", "core_worker") if words in message
        ]

    def _left(self, family: Family, *, alone: bool = False) -> list[str]:
        family.look()
        return [f"process left: {name}" for name in family.gone(GONE_S[alone])]

    def _looks(self, process: subprocess.Popen[bytes], family: Family) -> Iterator[int]:
        """How many events there are, again and again until the driver ends."""
        seen, moved = -1, time.monotonic()
        while process.poll() is None:
            family.look()
            done = len(events_of(self.folder))
            if done != seen:
                seen, moved = done, time.monotonic()
            if time.monotonic() - moved > QUIET_S:
                for one in family.alive():
                    one.kill()
                raise AssertionError(f"no event for {QUIET_S:.0f} s, {place_of(self.folder)}")
            yield done
            time.sleep(LOOK_S)

    def _plan(self, waiting: Sequence[str]) -> tuple[str, int] | None:
        """The next target, and how many events it is to come after."""
        if not waiting:
            return None
        rest = max(1, self._events - len(events_of(self.folder)))
        return waiting[0], self._chance.randint(0, max(1, rest // len(waiting)))

    def _command(self) -> list[str]:
        if self.folder is not None:
            return ["sweep", "--resume", str(self.folder)]
        return ["sweep", str(self._file), "--out", str(self._folder / "runs")]

    def _log(self, start: int) -> Path:
        return self._folder / f"said-{start}.txt"

    def _said(self, start: int) -> str:
        return self._log(start).read_text(errors="replace")


def launch(
    arguments: Sequence[str], log: Path, environment: Mapping[str, str],
    prefix: Sequence[str] = (), where: Path | None = None,
) -> subprocess.Popen[bytes]:  # fmt: skip
    """Start a command of raykd.

    Args:
        arguments: What is typed after ``raykd``.
        log: Takes what it prints.
        environment: All variables.
        prefix: A command that becomes this one.
        where: The folder that it is started in, None for this process's own.
    """
    with log.open("wb") as file:
        file.write(f"$ raykd {shlex.join(arguments)}\n".encode())
        file.flush()
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "raykd", *arguments], stdin=subprocess.DEVNULL,
            stdout=file, stderr=file, env=environment, cwd=where, start_new_session=True,
        )  # fmt: skip


def events_of(run: Path | None) -> list[dict[str, object]]:
    """The events of a run, none before it is there."""
    return read_events(run / "events.jsonl")[0] if run is not None else []


def place_of(run: Path | None) -> str:
    """Where a sweep is: its stage, and its last event."""
    events = events_of(run)
    starts = [k for k, e in enumerate(events) if e["event"] in ("sweep_started", "sweep_resumed")]
    stage = "start"
    for event in events[starts[-1] :] if starts else []:
        if event["event"] == "teacher_progress":
            stage = "teacher"
        elif event["event"] == "stage":
            stage = str(event["stage"])
        elif event["event"] == "sweep_finished":
            stage = "end"
    return f"{stage}, after {events[-1]['event']}" if events else stage
