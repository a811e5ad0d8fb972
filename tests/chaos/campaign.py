"""Many kills: a reference, and chains of kills next to it."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raykd.spec.dump import to_yaml
from tests.chaos.chain import Chain, Kill, events_of, launch
from tests.chaos.comparison import Difference
from tests.chaos.family import Family
from tests.chaos.surroundings import Surroundings
from tests.chaos.targets import TARGETS
from tests.integration.conftest import tiny_spec

PER_CHAIN = 4
LIMIT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a chain.

    Attributes:
        kills: Its kills.
        difference: How far its end is from the reference.
        repeated: Evaluations that were computed again.
    """

    kills: Sequence[Kill]
    difference: Difference
    repeated: int

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return self.difference.nothing and not any(kill.faults for kill in self.kills)


class Campaign:
    """A sweep that is left alone once, and killed as often as wanted.

    Args:
        folder: Where everything goes.
        seed: Decides about targets and instants, and is the seed of the sweep.
        slots: How many slots it has.
        keep: Where to keep runs that something is wrong with, with what the commands printed.
    """

    def __init__(self, folder: Path, seed: int, slots: int = 1, keep: Path | None = None) -> None:
        self._folder = folder
        self._keep = keep
        self._chance = random.Random(f"{seed} {slots}")
        self._surroundings = Surroundings(folder / "cache")
        self._file = folder / "chaos.yaml"
        self._file.write_text(to_yaml(_spec(folder, seed, slots)), encoding="utf-8")
        self._chains = 0
        self._reference = self._left_alone()

    def chain(self, targets: Sequence[str]) -> Outcome:
        """Kill a sweep in every way that is named, in that order."""
        folder = self.new_folder()
        chain = self.new_chain(folder)
        difference = chain.run(targets)
        outcome = Outcome(kills=chain.kills, difference=difference, repeated=chain.repeated)
        if self._keep is not None and not outcome.well:
            shutil.copytree(folder, self._keep / f"{self._folder.name}-{folder.name}")
        return outcome

    def new_folder(self) -> Path:
        """A folder for the next chain."""
        self._chains += 1
        folder = self._folder / f"chain-{self._chains}"
        folder.mkdir()
        return folder

    def new_chain(self, folder: Path) -> Chain:
        """A chain in a folder."""
        return Chain(self._file, folder, self._reference, self._surroundings, self._chance)

    def targets(self, kills: int) -> list[list[str]]:
        """Targets for chains, each kind as often as the others, in any order."""
        bag: list[str] = []
        while len(bag) < kills:
            bag += self._chance.sample(sorted(TARGETS), len(TARGETS))
        bag = bag[:kills]
        return [bag[k : k + PER_CHAIN] for k in range(0, kills, PER_CHAIN)]

    def close(self) -> None:
        """Delete what is temporary."""
        self._surroundings.forget()

    def _left_alone(self) -> Path:
        out, log = self._folder / "reference", self._folder / "reference.txt"
        command = ["sweep", str(self._file), "--out", str(out)]
        process = launch(command, log, self._surroundings.environment())
        family = Family(process.pid)
        code = process.wait(LIMIT_S)
        assert code == 0, log.read_text()
        assert not family.gone(LIMIT_S)
        (run,) = out.iterdir()
        assert events_of(run)
        return run


@contextmanager
def campaign(seed: int, slots: int = 1, keep: Path | None = None) -> Iterator[Campaign]:
    """A campaign in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="raykd-chaos-") as folder:
        campaign = Campaign(Path(folder), seed, slots, keep)
        try:
            yield campaign
        finally:
            campaign.close()


def rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """What each kill of a chain came to; what is known at its end alone stands in the last row."""
    end = outcome.difference
    for k, kill in enumerate(outcome.kills):
        last = k == len(outcome.kills) - 1
        code = "continued" if kill.code is None else f"{kill.code} after {kill.seconds:.0f} s"
        rest = (f"{end.equal} of {end.rows}", str(end.extra), str(outcome.repeated))
        faults = [*kill.faults, *(end.faults if last else ())]
        yield (
            kill.target, kill.instant, code, *(rest if last else ("", "", "")),
            "; ".join(faults) or "none",
        )  # fmt: skip


def summary(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    """What all kills of a target came to."""
    for target in TARGETS:
        pairs = [(o, kill) for o in outcomes for kill in o.kills if kill.target == target]
        if not pairs:
            continue
        kills = [kill for _, kill in pairs]
        places = Counter(kill.instant.partition(",")[0] for kill in kills)
        ended = [kill.seconds for kill in kills if kill.code is not None]
        ends = [o.difference for o, _ in pairs]
        yield (
            target,
            str(len(kills)),
            ", ".join(f"{count} {place}" for place, count in places.items()),
            f"at most {max(ended):.0f} s" if ended else "continued",
            f"{sum(not kill.faults for kill in kills)} of {len(kills)}",
            f"{sum(end.equal == end.rows for end in ends)} of {len(ends)}",
            f"{sum(end.extra > 0 for end in ends)} of {len(ends)}",
        )


def _spec(folder: Path, seed: int, slots: int) -> object:
    halving = {"name": "asha", "params": {"grace_period": 1, "reduction_factor": 2}}
    return tiny_spec(
        name="chaos",
        report={"path": str(folder / "report.html")},
        resources={"cpus_per_worker": 0.5},
        train={
            "fixed": {"epochs": 6, "batch_size": 4, "precision": "fp32"},
            "domains": {"lr": {"kind": "loguniform", "low": 1e-4, "high": 1e-2}},
        },
        search={
            "trials": 4, "seed": seed, "max_concurrent": slots, "scheduler": halving,
            "algorithm": {"name": "tpe", "params": {"startup_trials": 2}},
        },
    )  # fmt: skip
