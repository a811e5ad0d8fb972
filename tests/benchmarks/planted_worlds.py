"""Is the verdict right? Sweeps whose truth is known, judged by raykd's own comparison.

A world is a table of confirm scores, arm by seed, drawn around planted means; where rows count, a
table of right and wrong answers, arm by seed by row. Nothing is trained. Every line gives, in % of
worlds: a wrong "Take A" (A is not better than every other arm), a worse arm that is taken, the
right one that is taken, any wrong mark in the table against the baseline, a leader that is declared
to beat the baseline or no teacher and does not, and how many 95 % intervals hold the truth.

    python -m tests.benchmarks.planted_worlds [--worlds 2000] [--tables summary seeds rows ...]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from raykd.results.alpha_spending import Look, spending_levels
from raykd.results.collapse import allow_for_collapses, collapsed_runs
from raykd.results.differences import (
    Comparison,
    ConfirmScores,
    PairedDifference,
    all_against,
    mean_of,
)
from raykd.results.records import SweepResult
from raykd.results.seed_looks import LEAST_CHANCE, chance
from raykd.results.stats import ALPHA, ConfidenceInterval, holm_correction
from raykd.results.summary import arm_summaries
from raykd.results.verdict import verdict
from tests.cases.planted_records import TASK, sweep

MEAN, SD, MAJORITY = 0.66, 0.012, 0.527
BASELINE = "kd"
SAME = 1e-12

Scores = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class World:
    """One kind of world.

    Attributes:
        arms: none, kd (the baseline), then others.
        seeds: Confirm seeds.
        effect: How much better the best arms are, in sd of one run; in points with `rows`.
        best: How many arms are that good, the last ones.
        noise: ``normal``, ``t3`` (heavy tails), ``collapse`` (10 % of the runs at chance),
            ``uneven`` (the last arm varies three times as much).
        rho: Correlation of two arms on a seed.
        lost: Share of the confirm runs that leave no score.
        rows: Test rows whose outcomes are kept; 0: scores alone.
        share: Of the variance over rows, what an arm has of its own.
        apart: The sd, in points, of the true scores of the configurations that searches of one
            method find.
        searches: Of each arm, each confirmed on `seeds`; 1: the seeds of one configuration are what
            is counted, and the truth is still that of the method.
    """

    arms: int = 5
    seeds: int = 5
    effect: float = 0.0
    best: int = 1
    noise: str = "normal"
    rho: float = 0.3
    lost: float = 0.0
    rows: int = 0
    share: float = 0.1
    apart: float = 0.0
    searches: int = 1

    def names(self) -> list[str]:
        return ["none", BASELINE, *(f"arm{i}" for i in range(2, self.arms))]

    @property
    def least(self) -> float:
        """The least spread that the test split can tell from none."""
        return 1 / (self.rows or 277)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A world as a sweep sees it, and its truth."""

    scores: Scores  # [arm, seed], NaN for a lost run
    truth: Scores  # [arm]
    outcomes: Scores | None = None  # [arm, seed, row]


def draw(of: World, rng: np.random.Generator) -> Drawn:
    if of.rows:
        return _draw_rows(of, rng)
    shape = (of.arms, of.seeds * of.searches)
    means = np.full(of.arms, MEAN)
    means[of.arms - of.best :] += of.effect * SD
    own = rng.standard_normal(shape)
    if of.noise == "t3":
        own = rng.standard_t(3, shape) / np.sqrt(3)
    scale = np.full((of.arms, 1), SD)
    if of.noise == "uneven":
        scale[-1] *= 3
    shared = rng.standard_normal((1, shape[1]))
    scores = means[:, None] + scale * (np.sqrt(of.rho) * shared + np.sqrt(1 - of.rho) * own)
    if of.noise == "collapse":
        scores = np.where(rng.random(shape) < 0.1, MAJORITY + 0.002 * own, scores)
        means = 0.9 * means + 0.1 * MAJORITY
    if of.apart:
        actual = of.apart / 100 * rng.standard_normal((of.arms, of.searches))
        scores = scores + np.repeat(actual, of.seeds, axis=1)
    if of.searches > 1:
        scores = scores.reshape(of.arms, of.searches, of.seeds).mean(2)
    return Drawn(scores=_without_lost(of, scores, rng), truth=means)


def _draw_rows(of: World, rng: np.random.Generator, accuracy: float = 0.8) -> Drawn:
    """Right where ability + row + arm x row + run x row > 0."""
    truth = np.full(of.arms, accuracy)
    truth[of.arms - of.best :] += of.effect / 100
    runs = (of.arms, of.seeds)
    noise = rng.standard_normal(runs)
    if of.noise == "t3":
        noise = rng.standard_t(3, runs) / np.sqrt(3)
    if of.noise == "uneven":
        noise[-1] *= 3
    ability = special.ndtri(np.clip(truth[:, None] + 0.004 * noise, 0.01, 0.99))
    row = np.sqrt(0.6) * rng.standard_normal((1, 1, of.rows), dtype=np.float32)
    own = np.sqrt(of.share) * rng.standard_normal((of.arms, 1, of.rows), dtype=np.float32)
    rest = rng.standard_normal((*runs, of.rows), dtype=np.float32)
    right = ability[..., None] + row + own + np.sqrt(0.4 - of.share) * rest > 0
    if of.noise == "collapse":  # to the answer that is right for these rows
        frequent = rng.random(of.rows) < MAJORITY
        right = np.where((rng.random(runs) < 0.1)[..., None], frequent, right)
        truth = 0.9 * truth + 0.1 * MAJORITY
    scores = _without_lost(of, right.mean(2), rng)
    return Drawn(scores=scores, truth=truth, outcomes=right.astype(np.float32))


def _without_lost(of: World, scores: Scores, rng: np.random.Generator) -> Scores:
    """The scores, NaN for those that are lost; every arm keeps two."""
    if not of.lost:
        return scores
    gone = rng.random(scores.shape) < of.lost
    gone[:, :2] = False
    return np.where(gone, np.nan, scores)


def confirmed(of: World, drawn: Drawn, seeds: int = 0) -> list[ConfirmScores]:
    """The confirm runs of the first seeds of a world."""
    arms = []
    for k, (name, row) in enumerate(zip(of.names(), drawn.scores, strict=True)):
        kept = {s: float(v) for s, v in enumerate(row[: seeds or None]) if np.isfinite(v)}
        rows = {} if drawn.outcomes is None else {s: drawn.outcomes[k, s] for s in kept}
        arms.append(ConfirmScores(name=name, seeds=kept, outcomes=rows))
    return arms


def compared(of: World, drawn: Drawn, looks: Sequence[int] = (), number: int = 0) -> Comparison:
    """raykd's comparison of the seeds of a world, or of those of a look of a plan."""
    look = Look(looks=tuple(looks), number=number) if looks else None
    arms = confirmed(of, drawn, looks[number] if looks else 0)
    return Comparison(arms, "max", of.least, (-1.0, 1.0), look)


def own_intervals(of: World, drawn: Drawn) -> list[ConfidenceInterval | None]:
    """The interval of every arm by itself, as `arm_summaries` has them."""
    arms = confirmed(of, drawn)
    fallen = collapsed_runs(
        {a.name: a.seeds for a in arms},
        "max",
        min_sd=of.least,
        constant=(MAJORITY,),  # which a sweep records of a task with classes
        error=float(np.sqrt(MAJORITY * (1 - MAJORITY) * of.least)),
    )
    low = [a.seeds[s] for a in arms for s in fallen[a.name]]
    runs = sum(len(a.seeds) for a in arms)
    actual = [mean_of(a, of.least) for a in arms]
    return [
        m if m is None or fallen[a.name] else allow_for_collapses(m, low, runs, "max")
        for m, a in zip(actual, arms, strict=True)
    ]


def winner(of: World, together: Comparison, drawn: Drawn) -> tuple[str, bool, float]:
    """The leader, whether it is taken, and its largest p value, as `verdict` has them."""
    names = of.names()
    ran = np.isfinite(drawn.scores).sum(1)
    lost = {n: drawn.scores.shape[1] - int(k) for n, k in zip(names, ran, strict=True)}
    kept = [n for n in together.order() if lost[n] <= drawn.scores.shape[1] / 2]
    actual = [together.difference(kept[0], n) for n in kept[1:]]
    taken = not lost[kept[0]] and all(d is not None and d.better for d in actual)
    return kept[0], taken, max((d.p or 0.0 for d in actual if d is not None), default=1.0)


def marks(of: World, together: Comparison, other: str = BASELINE) -> dict[str, PairedDifference]:
    """Differences to the baseline, corrected over the arms, as `arm_summaries` has them."""
    actual = all_against(together, other, of.names())
    return {name: d for name, (d, _) in actual.items() if d is not None}


def beaten(of: World, together: Comparison, leader: str, truth: Scores) -> bool:
    """Whether the leader is declared to beat the baseline or no teacher, and is no better."""
    names = of.names()
    own = truth[names.index(leader)]
    against = {other: marks(of, together, other).get(leader) for other in names[:2]}
    return any(
        d is not None and d.better and own <= truth[names.index(other)] + SAME
        for other, d in against.items()
    )


def judge(of: World, worlds: int, seed: int) -> dict[str, float]:
    """Rates over worlds, in %."""
    rng = np.random.default_rng(seed)
    counts = dict.fromkeys(("false", "worse", "right", "marks", "beats", "interval", "own"), 0.0)
    for _ in range(worlds):
        drawn = draw(of, rng)
        together = compared(of, drawn)
        name, taken, _ = winner(of, together, drawn)
        k = of.names().index(name)
        others = np.delete(drawn.truth, k)
        counts["false"] += taken and drawn.truth[k] <= others.max() + SAME
        counts["worse"] += taken and drawn.truth[k] < others.max() - SAME
        counts["right"] += taken and drawn.truth[k] > others.max() + SAME
        gaps = np.delete(drawn.truth - drawn.truth[1], 1)
        actual = list(zip(marks(of, together).values(), gaps, strict=True))
        counts["marks"] += _any_wrong(of, together, drawn.truth)
        counts["beats"] += beaten(of, together, name, drawn.truth)
        within = [d.interval.low - SAME <= gap <= d.interval.high + SAME for d, gap in actual]
        counts["interval"] += np.mean(within)
        own = zip(own_intervals(of, drawn), drawn.truth, strict=True)
        counts["own"] += np.mean([m is not None and m.low <= truth <= m.high for m, truth in own])
    return {key: 100 * float(value) / worlds for key, value in counts.items()}


def agreement(worlds: int, seed: int) -> float:
    """Share of worlds in which `verdict` and `arm_summaries` say what is counted here."""
    rng, same = np.random.default_rng(seed), 0
    for i in range(worlds):
        of = World(
            arms=2 + i % 4, seeds=3 + i % 5, effect=1.5, lost=0.1 * (i % 2),
            noise=("normal", "collapse", "t3")[i % 3], rows=(0, 277)[i % 4 == 3],
        )  # fmt: skip
        drawn = draw(of, rng)
        together = compared(of, drawn)
        name, taken, _ = winner(of, together, drawn)
        result = as_result(of, drawn)
        actual = verdict(result, TASK)
        message = [a.versus for a in arm_summaries(result, TASK) if a.versus is not None]
        mine = list(marks(of, together).values())
        same += (
            (actual.leader, actual.decided) == (name, taken)
            and [d.undecided for d in message] == [d.undecided for d in mine]
            and np.allclose([d.corrected.low for d in message], [d.corrected.low for d in mine])
        )
    return same / worlds


def as_result(of: World, drawn: Drawn) -> SweepResult:
    """The world in the records of a sweep."""
    table = {
        name: [float(v) if np.isfinite(v) else None for v in row]
        for name, row in zip(of.names(), drawn.scores, strict=True)
    }
    result = sweep(rows=of.rows or 277, **table)
    if drawn.outcomes is None:
        return result
    kept, trials = {}, []
    numbers = {name: k for k, name in enumerate(of.names())}
    for trial in result.trials:
        if trial.stage == "confirm":
            seed = int(trial.trial_id.rpartition(".")[2]) - 11
            kept[trial.trial_id] = drawn.outcomes[numbers[trial.arm], seed]
            trial = replace(trial, row_outcomes=trial.trial_id)
        trials.append(trial)
    return replace(result, trials=tuple(trials), row_outcomes=kept)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Where a plan ended in a world.

    Attributes:
        drawn: With the seeds of all looks.
        seeds: How many were run.
        together: The comparison of these.
        leader: Name of the arm that is ahead.
        taken: Whether it is taken.
        p: Its largest p value, over all looks; 1 where it is not taken.
    """

    drawn: Drawn
    seeds: int
    together: Comparison
    leader: str
    taken: bool
    p: float


def end_of_plan(of: World, looks: Sequence[int], rng: np.random.Generator) -> Ended:
    """Add seeds to a world as `why_to_end` does: until it is decided, futile, or the last look."""
    last = spending_levels(looks)[-1]
    drawn = draw(replace(of, seeds=looks[-1]), rng)
    for number, seeds in enumerate(looks):
        together = compared(of, drawn, looks, number)
        order = together.order()
        actual = [together.difference(order[0], n) for n in order[1:]]
        taken = all(d is not None and d.better for d in actual)
        leads = [d.mean / d.error.value for d in actual if d is not None]
        done = seeds / looks[-1]
        if taken or done == 1 or chance(min(leads), done, last) < LEAST_CHANCE:
            break
    p = max((together.overall_p(d) or 0.0 for d in actual), default=1.0)
    return Ended(
        drawn=drawn, seeds=seeds, together=together, leader=order[0], taken=taken,
        p=p if taken else 1.0,
    )  # fmt: skip


def by_plan(of: World, looks: Sequence[int], worlds: int, seed: int) -> dict[str, float]:
    """Seeds added by a plan: false and right claims in %, mean number of seeds.

    ``bound`` are the right claims of a test that knows the spread of every arm: no procedure with
    these levels finds more.
    """
    rng, levels = np.random.default_rng(seed), spending_levels(looks)
    counts = {"false": 0.0, "right": 0.0, "marks": 0.0, "seeds": 0.0, "bound": 0.0}
    for _ in range(worlds):
        end = end_of_plan(of, looks, rng)
        k = of.names().index(end.leader)
        truth = end.drawn.truth
        is_best = truth[k] > np.delete(truth, k).max() + SAME
        counts["false"] += 100 * (end.taken and not is_best)
        counts["right"] += 100 * (end.taken and is_best)
        counts["marks"] += 100 * _any_wrong(of, end.together, truth)
        counts["seeds"] += end.seeds
        counts["bound"] += 100 * _found_by_who_knows(of, end.drawn, looks, levels)
    return {key: float(value) / worlds for key, value in counts.items()}


def _any_wrong(of: World, together: Comparison, truth: Scores) -> bool:
    """Whether the table has a mark against the baseline that is wrong."""
    gaps = np.delete(truth - truth[1], 1)
    actual = zip(marks(of, together).values(), gaps, strict=True)
    return any(not d.undecided and gap * d.mean <= SAME for d, gap in actual)


def _found_by_who_knows(
    of: World, drawn: Drawn, looks: Sequence[int], levels: Sequence[float]
) -> bool:
    """Whether a normal test with the true spread takes the best arm, which is the last one."""
    if not of.effect or of.best > 1:
        return False
    for seeds, level in zip(looks, levels, strict=True):
        means = drawn.scores[:, :seeds].mean(1)
        least = -special.ndtri(level / 2) * SD * np.sqrt(2 * (1 - of.rho) / seeds)
        if means[-1] - means[:-1].max() > least:
            return True
    return False


def over_tasks(
    of: World, tasks: int, worlds: int, seed: int, looks: Sequence[int] = ()
) -> dict[str, float]:
    """How often the heading over several tasks names a winner that is none, in %.

    Args:
        of: Every task.
        tasks: How many.
        worlds: Sweeps.
        seed: Of the random numbers.
        looks: The plan of seeds of each task; empty: all seeds at once.
    """
    rng = np.random.default_rng(seed)
    counts = {"false heading": 0.0, "right": 0.0}
    for _ in range(worlds):
        p_values, is_best = [], []
        for _ in range(tasks):
            name, p, truth = _on_a_task(of, looks, rng)
            k = of.names().index(name)
            p_values.append(p)
            is_best.append(truth[k] > np.delete(truth, k).max() + SAME)
        sure = [(p or 0.0) < ALPHA for p in holm_correction(p_values)]
        counts["false heading"] += any(s and not b for s, b in zip(sure, is_best, strict=True))
        counts["right"] += any(s and b for s, b in zip(sure, is_best, strict=True))
    return {key: 100 * value / worlds for key, value in counts.items()}


def _on_a_task(
    of: World, looks: Sequence[int], rng: np.random.Generator
) -> tuple[str, float, Scores]:
    """The leader of a task, its p value (1 where it is not taken), and the truth."""
    if looks:
        end = end_of_plan(of, looks, rng)
        return end.leader, end.p, end.drawn.truth
    drawn = draw(of, rng)
    name, taken, p = winner(of, compared(of, drawn), drawn)
    return name, p if taken else 1.0, drawn.truth


def marked_over_tasks(of: World, tasks: int, worlds: int, seed: int) -> float:
    """How often some table of a page of several tasks with equal arms has a mark, in %."""
    rng, wrong = np.random.default_rng(seed), 0
    for _ in range(worlds):
        tables = [marks(of, compared(of, draw(of, rng))) for _ in range(tasks)]
        wrong += any(not d.undecided for table in tables for d in table.values())
    return 100 * wrong / worlds


def _line(label: str, actual: dict[str, float]) -> str:
    return f"{label:58}" + "".join(f"{key} {value:5.1f}   " for key, value in actual.items())


def seeds_table(worlds: int, seed: int) -> Iterator[str]:
    noises = ("normal", "t3", "collapse", "uneven")
    for noise, k, n in itertools.product(noises, (2, 3, 5, 10), (3, 5, 10, 20)):
        of = World(arms=k, seeds=n, noise=noise)
        yield _line(f"{noise}, {k} arms, {n} seeds, all equal", judge(of, worlds, seed))
    for noise, k, n in itertools.product(noises, (3, 5, 10), (3, 5, 10)):
        of = World(arms=k, seeds=n, noise=noise, effect=3.0, best=2)
        yield _line(f"{noise}, {k} arms, {n} seeds, two tied 3 sd ahead", judge(of, worlds, seed))
    for effect, n in itertools.product((0.5, 1.0, 2.0), (3, 5, 10, 20)):
        of = World(seeds=n, effect=effect)
        yield _line(f"normal, 5 arms, {n} seeds, one {effect:g} sd ahead", judge(of, worlds, seed))
    for k, effect in itertools.product((3, 5), (0.0, 1.0)):
        of = World(arms=k, lost=0.15, effect=effect)
        yield _line(f"15 % of the runs lost, {k} arms, {effect:g} sd", judge(of, worlds, seed))


def rows_table(worlds: int, seed: int) -> Iterator[str]:
    for share, rows, k, n in itertools.product(
        (0.0, 0.05, 0.1, 0.2), (56, 277, 872, 5000), (2, 5), (3, 5, 10)
    ):
        if rows == 5000 and (n == 10 or share not in (0.0, 0.1)):
            continue
        label = f"{rows} rows, share {share}, {k} arms, {n} seeds"
        of = World(arms=k, seeds=n, rows=rows, share=share)
        yield _line(f"{label}, all equal", judge(of, worlds, seed))
        four = replace(of, effect=4.0)
        yield _line(f"{label}, one 4 points ahead", judge(four, worlds // 2, seed))


def plan_table(worlds: int, seed: int) -> Iterator[str]:
    looks = (5, 10, 20)
    for k, (effect, best) in itertools.product(
        (2, 5, 10), ((0, 1), (3, 2), (0.5, 1), (1, 1), (2, 1))
    ):
        if best < k:
            of = World(arms=k, effect=effect, best=best)
            label = f"plan {looks}, {k} arms, {best} best, {effect:g} sd ahead"
            yield _line(label, by_plan(of, looks, worlds, seed))


def shapes_table(worlds: int, seed: int) -> Iterator[str]:
    """Rows together with what else goes wrong: many arms, heavy tails, collapses, lost runs."""
    for rows, k, n in itertools.product((56, 277, 872, 5000), (2, 5, 10), (3, 5, 10, 20)):
        if (rows == 5000 and n * k > 50) or (n == 20 and k == 10):
            continue
        kinds = [("t3", 0.0), ("collapse", 0.0), ("normal", 0.15)]
        kinds += [("normal", 0.0)] if k == 10 or n == 20 else []
        for (noise, lost), (effect, best) in itertools.product(kinds, ((0.0, 1), (8.0, 2))):
            if k > best:
                of = World(
                    arms=k, seeds=n, rows=rows, noise=noise, lost=lost, effect=effect, best=best
                )
                label = f"{rows} rows, {noise}, {100 * lost:.0f} % lost, {k} arms, {n} seeds"
                tied = "two tied 8 points ahead" if effect else "all equal"
                yield _line(f"{label}, {tied}", judge(of, worlds, seed))


def plan_tasks_table(worlds: int, seed: int) -> Iterator[str]:
    """Seeds by a plan on several tasks at once."""
    looks = (5, 10, 20)
    for k, tasks in itertools.product((2, 3, 5, 10), (1, 3, 9)):
        for effect, best in ((0.0, 1), (3.0, 2), (1.0, 1)):
            if best < k:
                of = World(arms=k, effect=effect, best=best)
                label = f"plan {looks}, {tasks} tasks, {k} arms, {best} best, {effect:g} sd ahead"
                yield _line(label, over_tasks(of, tasks, worlds, seed, looks))


def tasks_table(worlds: int, seed: int) -> Iterator[str]:
    for k, tasks in itertools.product((3, 5, 8), (2, 4, 9)):
        for effect, best in ((0.0, 1), (3.0, 2)):
            of = World(arms=k, effect=effect, best=best)
            actual = over_tasks(of, tasks, worlds // 2, seed)
            tied = "all equal" if not effect else "two tied ahead"
            if not effect:
                actual["mark on the page"] = marked_over_tasks(of, tasks, worlds // 2, seed)
            yield _line(f"{tasks} tasks, {k} arms, 5 seeds, {tied}", actual)


def summary_table(worlds: int, seed: int) -> Iterator[str]:
    """The rows that docs/explanation/statistics.md shows."""
    equal = [World(arms=k, seeds=n) for k, n in ((2, 5), (3, 3), (5, 5), (10, 5), (10, 10))]
    tied = [World(arms=k, seeds=n, effect=3.0, best=2) for k, n in ((3, 3), (5, 5), (10, 10))]
    five = World(effect=3.0, best=2)
    shapes = [replace(five, noise=noise) for noise in ("t3", "collapse", "uneven")]
    shapes += [replace(five, noise="uneven", arms=3, seeds=n) for n in (3, 5)]
    shapes += [replace(five, noise="uneven", seeds=n) for n in (3, 10)]
    rows = [
        World(arms=k, seeds=n, rows=r, share=share)
        for k, n, r, share in (
            (2, 5, 277, 0.1), (2, 10, 277, 0.1), (2, 10, 277, 0.2), (5, 5, 56, 0.1),
            (5, 5, 872, 0.1), (2, 10, 5000, 0.2),
        )
    ]  # fmt: skip
    better = [World(seeds=n, effect=e) for n, e in ((3, 2), (5, 2), (10, 2), (10, 1), (20, 1))]
    better += [
        World(seeds=5, rows=277, effect=4.0), World(seeds=5, rows=872, effect=4.0),
        World(seeds=10, rows=872, effect=2.0),
    ]  # fmt: skip
    for of in (*equal, *tied, *shapes, World(lost=0.15), *rows, *better):
        unit = "points" if of.rows else "sd"
        text = f"{of.arms} arms, {of.seeds} seeds, {of.best} best by {of.effect:g} {unit}"
        text += f", {of.rows} rows, share {of.share:g}" if of.rows else f", {of.noise}"
        text += f", {100 * of.lost:g} % lost" if of.lost else ""
        yield _line(text, judge(of, worlds, seed))
    looks = (5, 10, 20)
    for k, effect, best in ((2, 0.0, 1), (2, 1.0, 1), (5, 3.0, 2), (5, 1.0, 1), (5, 2.0, 1)):
        of = World(arms=k, effect=effect, best=best)
        label = f"plan {looks}, {k} arms, {best} best by {effect:g} sd"
        yield _line(label, by_plan(of, looks, worlds, seed))
    tied = World(effect=3.0, best=2)
    yield _line("9 tasks, 5 arms, 5 seeds, 2 best by 3 sd", over_tasks(tied, 9, worlds // 4, seed))
    with_plan = over_tasks(tied, 9, worlds // 4, seed, looks)
    yield _line(f"9 tasks, 5 arms, plan {looks}, 2 best by 3 sd", with_plan)


def searches_table(worlds: int, seed: int) -> Iterator[str]:
    """Methods whose searches find configurations that differ truly, judged by one or by several."""
    for apart, k, effect in itertools.product((0.3, 0.6, 1.0, 1.5), (2, 5), (0.0, 2.0)):
        for searches, seeds in ((1, 5), (1, 10), (3, 1), (3, 2), (5, 1), (5, 2), (10, 1)):
            of = World(arms=k, seeds=seeds, searches=searches, apart=apart, effect=effect)
            label = f"{k} arms, {searches} x {seeds}, {apart} points apart, best by {effect:g} sd"
            yield _line(label, judge(of, worlds, seed))


TABLES: dict[str, Callable[[int, int], Iterator[str]]] = {
    "summary": summary_table, "seeds": seeds_table, "rows": rows_table, "plan": plan_table,
    "tasks": tasks_table, "searches": searches_table, "shapes": shapes_table,
    "plan_tasks": plan_tasks_table,
}  # fmt: skip


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--worlds", type=int, default=500)
    cli.add_argument("--tables", nargs="*", default=["summary"], choices=list(TABLES))
    cli.add_argument("--seed", type=int, default=20261128)
    given = cli.parse_args()
    began = time.monotonic()
    print(f"the verdict agrees with what is counted here in {agreement(200, 1):.1%} of worlds")
    for name in given.tables:
        for line in TABLES[name](given.worlds, given.seed):
            print(line, flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
