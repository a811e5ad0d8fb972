"""Device seconds until the verdict is decided: seeds by a plan against a fixed number of them.

First in worlds whose truth is known (those of `planted_worlds`), where a confirm run is taken to
last as long as one of the quickstart. Then on the quickstart, swept once with 20 seeds: its records
are read as if fewer seeds had been run, in many orders of these seeds. *Per verdict* are the device
seconds of all sweeps, divided by those that decided rightly: what a verdict costs whoever repeats
the sweep until there is one. In the quickstart, right is what all 20 seeds say.

    python -m tests.benchmarks.time_to_verdict [--worlds 2000] [--orders 100] [--run FOLDER]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from raykd.results.alpha_spending import spending_levels
from raykd.results.confirmed import confirm_seed
from raykd.results.records import SweepResult
from raykd.results.seed_looks import why_to_end
from raykd.results.seed_plan_record import SeedPlanRecord
from raykd.results.store import load_results
from raykd.results.verdict import Verdict, verdict
from tests.benchmarks.planted_worlds import World, by_plan
from tests.benchmarks.quickstart_again import swept

SECONDS = 2.4
"""Device seconds of a confirm run of the planted worlds: that of ``kd`` in the quickstart."""
SEEDS = 20
DESIGNS = ((5, 10, 20), (5,), (10,), (20,))
HEAD = (
    "| {} | seeds | right | wrong | device s | per verdict |\n| --- | --- | --- | --- | --- | --- |"
)


def design(looks: Sequence[int]) -> str:
    """``plan 5, 10, 20`` or ``20 seeds``."""
    return f"plan {', '.join(map(str, looks))}" if len(looks) > 1 else f"{looks[0]} seeds"


def row(label: str, seeds: float, right: float, wrong: float, seconds: float) -> str:
    """A line of a table; shares in %, device seconds of a sweep on average."""
    per = f"{100 * seconds / right:,.0f}" if right else "-"
    return f"| {label} | {seeds:.1f} | {right:.1f} | {wrong:.1f} | {seconds:,.0f} | {per} |"


def planted(worlds: int, seed: int) -> Iterator[str]:
    """Plan and fixed numbers of seeds in the same worlds."""
    for arms in (2, 5):
        for effect, best in ((0.0, 1), (1.0, 1), (2.0, 1), (3.0, 1)):
            of = World(arms=arms, effect=effect, best=best)
            for looks in DESIGNS:
                actual = by_plan(of, looks, worlds, seed)
                label = f"{arms} arms, best by {effect:g} sd: {design(looks)}"
                seconds = arms * actual["seeds"] * SECONDS
                yield row(label, actual["seeds"], actual["right"], actual["false"], seconds)


def of_seeds(
    result: SweepResult, seeds: Sequence[int], plans: Mapping[str, SeedPlanRecord]
) -> SweepResult:
    """The sweep as it was when only these seeds had been confirmed, by plans or by none."""
    kept = set(seeds)
    trials = tuple(t for t in result.trials if t.stage != "confirm" or confirm_seed(t) in kept)
    spec = {**result.spec, "confirm": {**result.spec["confirm"], "seeds": list(seeds)}}
    return replace(result, spec=spec, trials=trials, seed_plans=plans)


def replayed(
    result: SweepResult, task: str, order: Sequence[int], looks: Sequence[int]
) -> tuple[Verdict, int, float]:
    """The verdict with which a design ends, the seeds it took, and the device seconds of these."""
    plan = SeedPlanRecord(task=task, looks=tuple(looks), levels=spending_levels(looks))
    plans = {task: plan} if len(looks) > 1 else {}
    for look, count in enumerate(looks):
        now = of_seeds(result, order[:count], plans)
        if why_to_end(now, task, plan, look):
            break
    seconds = math.fsum(t.device_seconds for t in now.trials if t.stage == "confirm")
    return verdict(now, task), count, seconds


def quickstart(result: SweepResult, orders: int, seed: int) -> Iterator[str]:
    """All designs on the records of one sweep, its seeds in many orders."""
    (task,) = (t.name for t in result.tasks)
    seeds = sorted({confirm_seed(t) for t in result.trials if t.stage == "confirm"})
    last = len(seeds)
    whole = verdict(replace(result, seed_plans={}), task)
    yield f"with {last} seeds: {whole.headline}"
    yield HEAD.format("design")
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(seeds).tolist() for _ in range(orders)]
    for looks in dict.fromkeys(tuple(n for n in looks if n <= last) for looks in DESIGNS):
        if not looks:
            continue
        ends = [replayed(result, task, order, looks) for order in drawn]
        decided = [(v.decided, v.leader == whole.leader and whole.decided) for v, _, _ in ends]
        right = 100 * sum(sure and same for sure, same in decided) / orders
        wrong = 100 * sum(sure and not same for sure, same in decided) / orders
        counts, seconds = (float(np.mean([end[k] for end in ends])) for k in (1, 2))
        yield row(design(looks), counts, right, wrong, seconds)


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--worlds", type=int, default=2000, help="of each kind; 0 for none")
    cli.add_argument("--orders", type=int, default=100)
    cli.add_argument("--seed", type=int, default=20261129)
    cli.add_argument("--run", type=Path, help="a run folder of a sweep of one task, to be read")
    cli.add_argument("--out", type=Path, default=Path("build/time_to_verdict"))
    cli.add_argument("--set", dest="overrides", action="append", default=[])
    given = cli.parse_args()
    print(HEAD.format("planted world"))
    for line in planted(given.worlds, given.seed) if given.worlds else ():
        print(line, flush=True)
    seeds = f"confirm.seeds={list(range(1, SEEDS + 1))}"
    result = (
        load_results(given.run) if given.run else swept(0, given.out, [seeds, *given.overrides])
    )
    for line in quickstart(result, given.orders, given.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
