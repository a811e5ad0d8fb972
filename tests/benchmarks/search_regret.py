"""How good the configuration is that a search finds, and what it costs, on planted surfaces.

``python -m tests.benchmarks.search_regret [--repeats N] [--trials 20 50 100] [--only NAME ...]``.
A surface is that of a method with eight parameters, two of which only count where a third is true;
its optimum is another one in every repeat. A trial scores what its configuration is worth, with the
noise of a run, over six epochs in which a low learning rate starts slowly. *Regret* is how many
points the chosen configuration, the best of the completed trials, is truly worse than the optimum.
All searches of a repeat have the same surface and the same noise. The baseline is Optuna's TPE as
it comes, one trial at a time; behind the mean stands how a search differs from it, with the
standard error over repeats.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.storages import InMemoryStorage

from raykd import params, registry
from raykd.params import Scalar
from raykd.search.study import StudySearch, StudySpace
from raykd.spec.domains import Domain

DOMAINS = {
    "lr": Domain(kind="loguniform", low=1e-5, high=1e-3),
    "alpha": Domain(kind="uniform", low=0.0, high=1.0),
    "temperature": Domain(kind="choice", choices=(1, 2, 4, 8)),
    "wrdist": Domain(kind="loguniform", low=0.1, high=100),
    "ltrdist": Domain(kind="loguniform", low=0.1, high=100),
    "angles": Domain(kind="choice", choices=(True, False)),
    "wrangle": Domain(kind="loguniform", low=0.1, high=100, when={"angles": True}),
    "ltrangle": Domain(kind="loguniform", low=0.1, high=100, when={"angles": True}),
}
EPOCHS, NOISE, EVAL_NOISE = 6, 1.2, 0.5
SEEDS = 5
"""Confirm runs of a configuration."""
BASELINE = "Optuna's TPE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A search.

    Attributes:
        algorithm: Its algorithm, empty for Optuna's TPE as it comes.
        settings: Parameters of the algorithm, in place of its defaults.
        lag: How many of the trials before it a trial does without the results of.
        scheduler: Early stopping.
    """

    algorithm: str = "tpe"
    settings: Mapping[str, Scalar] | None = None
    lag: int = 2
    scheduler: str = "none"


VARIANTS = {
    BASELINE: Variant(algorithm=""),
    "random": Variant(algorithm="random", lag=0),
    "tpe, lag 0": Variant(lag=0),
    "tpe, lag 2": Variant(),
    "tpe, lag 8": Variant(lag=8),
    "tpe, one by one": Variant(settings={"multivariate": False}),
    "tpe, 4 startup trials": Variant(settings={"startup_trials": 4}),
    "random, asha": Variant(algorithm="random", scheduler="asha"),
    "tpe, asha": Variant(scheduler="asha"),
    "tpe, median": Variant(scheduler="median"),
    "tpe, hyperband": Variant(scheduler="hyperband"),
}
LONG = {
    "tpe, all trials": Variant(settings={"newest": sys.maxsize}),
    "tpe, window": Variant(),
}
STOPPING = {"none": {}, "asha": {"grace_period": 2}, "median": {"grace_period": 2},
            "hyperband": {"grace_period": 2}}  # fmt: skip


class Surface:
    """What configurations are worth, in points below the best one.

    Args:
        repeat: Which one.
    """

    def __init__(self, repeat: int) -> None:
        rng = np.random.default_rng([repeat, 1])
        numbers = [n for n, d in DOMAINS.items() if d.kind != "choice"]
        self._best = dict(zip(numbers, rng.uniform(0.1, 0.9, len(numbers)), strict=True))
        self._weight = dict(zip(numbers, rng.uniform(2, 14, len(numbers)), strict=True))
        self._temperature = dict(zip((1, 2, 4, 8), rng.permutation([0, 0.5, 1, 2]), strict=True))
        self._without_angles = float(rng.uniform(0.5, 3))
        self._repeat = repeat

    def regret(self, chosen: Mapping[str, Scalar]) -> float:
        """Points below the optimum."""
        lost = self._temperature[chosen["temperature"]]
        lost += 0.0 if chosen["angles"] else self._without_angles
        for name, best in self._best.items():
            if name in chosen:
                lost += self._weight[name] * (_place(name, chosen[name]) - best) ** 2
        return float(lost)

    def curve(self, number: int, chosen: Mapping[str, Scalar]) -> list[float]:
        """What a trial scores after each epoch."""
        rng = np.random.default_rng([self._repeat, 2, number])
        end = 80 - self.regret(chosen) + NOISE * rng.standard_normal()
        slow = 2 - 1.2 * _place("lr", chosen["lr"])
        steps = [12 * math.exp(-epoch / slow) for epoch in range(1, EPOCHS)]
        noise = EVAL_NOISE * rng.standard_normal(EPOCHS - 1)
        return [*(end - left + off for left, off in zip(steps, noise, strict=True)), end]

    def confirmed(self, rank: int, chosen: Mapping[str, Scalar]) -> float:
        """The mean of confirm runs on the validation split."""
        rng = np.random.default_rng([self._repeat, 3, rank])
        return 80 - self.regret(chosen) + NOISE * float(rng.standard_normal(SEEDS).mean())


def _place(name: str, value: Scalar) -> float:
    """Where a value is in its domain, 0 to 1."""
    domain = DOMAINS[name]
    assert domain.low is not None
    assert domain.high is not None
    low, high, at = domain.low, domain.high, float(value)  # type: ignore[arg-type]
    if domain.kind == "loguniform":
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A search that is over: what was tried, its scores (None: stopped early) and its epochs."""

    tried: Sequence[Mapping[str, Scalar]]
    scores: Sequence[float | None]
    epochs: Sequence[int]

    def best(self, trials: int, count: int = 1) -> list[Mapping[str, Scalar]]:
        """The best of the first trials that were completed, best first."""
        ended = [(s, k) for k, s in enumerate(self.scores[:trials]) if s is not None]
        return [self.tried[k] for _, k in sorted(ended, reverse=True)[:count]]


def search(variant: Variant, surface: Surface, trials: int, seed: int) -> Found:
    """Run one search, one trial after the other: slots change nothing of its list."""
    study = _study(variant, trials, seed)
    tried, scores, epochs = [], [], []
    for number in range(trials):
        chosen = study.suggest("it")["params"]
        tried.append(chosen)
        curve = surface.curve(number, chosen)
        stopped = 0
        for epoch, score in enumerate(curve[:-1], start=1):
            study.report("it", epoch, score)
            if study.should_stop("it", epoch):
                stopped = epoch
                break
        if stopped:
            study.prune("it")
        else:
            study.complete("it", curve[-1:])
        scores.append(None if stopped else curve[-1])
        epochs.append(stopped or EPOCHS)
    return Found(tried=tried, scores=scores, epochs=epochs)


def _study(variant: Variant, trials: int, seed: int) -> StudySearch:
    def sampler(existing: int) -> optuna.samplers.BaseSampler:
        if not variant.algorithm:
            return optuna.samplers.TPESampler(seed=seed)
        declared = registry.params_of("algorithms", variant.algorithm)
        settings = params.build(declared, dict(variant.settings or {}))
        made: optuna.samplers.BaseSampler = registry.load("algorithms", variant.algorithm)(
            settings, DOMAINS, seed
        )
        return made

    stop = params.build(
        registry.params_of("schedulers", variant.scheduler), STOPPING[variant.scheduler]
    )
    space = StudySpace(
        study_name="planted", domains=DOMAINS, fixed={}, directions=("maximize",), start=(),
        budget=trials,
    )  # fmt: skip
    return StudySearch(
        space,
        InMemoryStorage(),
        sampler,
        lag=variant.lag if variant.algorithm else 0,
        pruner=registry.load("schedulers", variant.scheduler)(stop, max_epochs=EPOCHS),
    )


def searches(
    variants: Mapping[str, Variant], repeats: int, trials: int
) -> Iterator[tuple[str, list[Found]]]:
    """Every search on every surface."""
    for name, variant in variants.items():
        yield name, [search(variant, Surface(r), trials, r) for r in range(repeats)]


def regrets(actual: Sequence[Found], trials: int) -> list[float]:
    """Of each repeat, after so many trials."""
    return [Surface(r).regret(f.best(trials)[0]) for r, f in enumerate(actual)]


def by_confirming(actual: Sequence[Found], trials: int, top_k: int) -> list[float]:
    """The same, where the best few are confirmed and the best of them there is chosen."""
    chosen = []
    for repeat, of in enumerate(actual):
        surface = Surface(repeat)
        best = of.best(trials, top_k)
        means = [surface.confirmed(rank, one) for rank, one in enumerate(best)]
        chosen.append(surface.regret(best[means.index(max(means))]))
    return chosen


def cell(values: Sequence[float], than: Sequence[float] | None = None) -> str:
    """``1.99, -0.10 ± 0.08``: the mean, and how it differs from the baseline."""
    if than is None:
        return f"{statistics.mean(values):.2f}"
    apart = [a - b for a, b in zip(values, than, strict=True)]
    error = statistics.stdev(apart) / math.sqrt(len(apart))
    return f"{statistics.mean(values):.2f}, {statistics.mean(apart):+.2f} ± {error:.2f}"


def table(variants: Mapping[str, Variant], repeats: int, marks: Sequence[int]) -> Iterator[str]:
    """Regret after each number of trials, and the epochs that were trained."""
    yield "| search | " + " | ".join(f"{n} trials" for n in marks) + " | epochs of all trials |"
    yield "|" + " --- |" * (len(marks) + 2)
    first: list[Found] | None = None
    for name, actual in searches(variants, repeats, max(marks)):
        first = first or actual
        cells = [
            cell(regrets(actual, n), None if actual is first else regrets(first, n)) for n in marks
        ]
        trained = sum(sum(f.epochs) for f in actual) / (repeats * EPOCHS * max(marks))
        yield f"| {name} | " + " | ".join(cells) + f" | {trained:.0%} |"


def top_k_table(repeats: int, marks: Sequence[int]) -> Iterator[str]:
    """What more configurations in the confirm stage buy, against as many epochs of search."""
    yield "| confirmed | " + " | ".join(f"{n} trials" for n in marks) + " | trainings after 20 |"
    yield "|" + " --- |" * (len(marks) + 2)
    ((_, actual),) = searches({"tpe": VARIANTS["tpe, lag 2"]}, repeats, max(marks) + 20)
    for top_k in (1, 2, 3, 5):
        cells = [
            cell(by_confirming(actual, n, top_k), None if top_k == 1 else regrets(actual, n))
            for n in marks
        ]
        yield f"| {top_k} | " + " | ".join(cells) + f" | {20 + SEEDS * top_k} |"
    more = [cell(regrets(actual, n + 2 * SEEDS), regrets(actual, n)) for n in marks]
    yield "| 1, and 10 trials more | " + " | ".join(more) + f" | {20 + 3 * SEEDS} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--trials", type=int, nargs="*", default=[20, 50, 100])
    parser.add_argument("--long", type=int, default=400, help="of the window")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--skip", nargs="*", default=[], help="beginnings of titles")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    chosen: dict[str, Callable[[], Iterator[str]]] = {
        "Regret, points": lambda: table(
            {n: v for n, v in VARIANTS.items() if n in {BASELINE, *given.only}},
            given.repeats, given.trials,
        ),
        "What confirming more configurations buys": lambda: top_k_table(
            given.repeats, [n for n in given.trials if n < 100]
        ),
        "The window of a long search": lambda: table(
            LONG, max(2, given.repeats // 4), [given.long * 3 // 4, given.long]
        ),
    }  # fmt: skip
    for title, lines in chosen.items():
        if title.startswith(tuple(given.skip)):
            continue
        print(f"\n### {title}\n", flush=True)
        for line in lines():
            print(line, flush=True)


if __name__ == "__main__":
    main()
