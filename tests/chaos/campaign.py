"""Many kills: a reference, and chains of kills next to it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
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
    """

    def __init__(self, folder: Path, seed: int, slots: int = 1) -> None:
        self._folder = folder
        self._chance = random.Random(f"{seed} {slots}")
        self._surroundings = Surroundings(folder / "cache")
        self._file = folder / "chaos.yaml"
        self._file.write_text(to_yaml(_spec(folder, seed, slots)), encoding="utf-8")
        self._chains = 0
        self._reference = self._left_alone()

    def chain(self, targets: Sequence[str]) -> Outcome:
        """Kill a sweep in every way that is named, in that order."""
        self._chains += 1
        folder = self._folder / f"chain-{self._chains}"
        folder.mkdir()
        chain = Chain(self._file, folder, self._reference, self._surroundings, self._chance)
        difference = chain.run(targets)
        return Outcome(kills=chain.kills, difference=difference, repeated=chain.repeated)

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
        process = launch(["sweep", str(self._file), "--out", str(out)], log, self._surroundings)
        family = Family(process.pid)
        code = process.wait(LIMIT_S)
        assert code == 0, log.read_text()
        assert not family.gone(LIMIT_S)
        (run,) = out.iterdir()
        assert events_of(run)
        return run


@contextmanager
def campaign(seed: int, slots: int = 1) -> Iterator[Campaign]:
    """A campaign in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="raykd-chaos-") as folder:
        campaign = Campaign(Path(folder), seed, slots)
        try:
            yield campaign
        finally:
            campaign.close()


def rows(outcome: Outcome, number: Callable[[], int]) -> Iterator[str]:
    """The rows of a chain in the table."""
    end = outcome.difference
    for k, kill in enumerate(outcome.kills):
        last = k == len(outcome.kills) - 1
        code = "went on" if kill.code is None else f"{kill.code} after {kill.seconds:.0f} s"
        rest = [f"{end.equal} of {end.rows}", str(end.extra), str(outcome.repeated)] if last else [
            "", "", ""
        ]  # fmt: skip
        faults = [*kill.faults, *(end.faults if last else ())]
        cells = [str(number()), kill.target, kill.instant, code, *rest, "; ".join(faults) or "none"]
        yield f"| {' | '.join(cells)} |"


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
