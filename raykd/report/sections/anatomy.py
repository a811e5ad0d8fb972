"""Loss anatomy: how large the terms of each arm's loss are, and whether they pull the same way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from raykd.report.section import Section, template
from raykd.results.records import SweepResult

COLUMNS = (
    "arm", "term", "samples", "size", "gradient norm", "share of the norms",
    "cosine with the other terms",
)  # fmt: skip
WEAK = 0.01
"""Share of the gradient norms below which a term hardly moves the student."""
OPPOSED = -0.1
"""Median cosine below which two terms pull against each other."""
MIN_SAMPLES = 3
SIZE, NORM, COSINE = "size", "norm", "cosine"
Sample = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnatomyRecord:
    """A table of each task, and what stands out in it."""

    heading: str
    columns: tuple[str, ...]
    tasks: tuple[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]], ...]


def record(result: SweepResult) -> AnatomyRecord | None:
    """None where no loss of several terms was looked at."""
    tasks = []
    for task in (t.name for t in result.tasks):
        rows: list[tuple[str, ...]] = []
        findings: list[str] = []
        for arm in result.arms:
            samples = samples_of(result, task, arm)
            rows += _rows(arm, samples)
            findings += _findings(arm, samples)
        if rows:
            tasks.append((task, tuple(findings), tuple(rows)))
    if not tasks:
        return None
    sentences = [finding for _, findings, _ in tasks for finding in findings]
    return AnatomyRecord(
        heading=sentences[0].rstrip(".")
        if sentences
        else "No term is drowned, and none opposes another",
        columns=COLUMNS,
        tasks=tuple(tasks),
    )


def render(r: AnatomyRecord) -> str:
    """The tables."""
    return template("anatomy", r)


def samples_of(result: SweepResult, task: str, arm: str) -> list[Sample]:
    """Every look at the loss of an arm, in all of its trials."""
    trials = (t for t in result.trials if (t.task, t.arm) == (task, arm))
    return [e.anatomy for trial in trials for e in trial.history if e.anatomy]


def _terms(samples: Sequence[Sample]) -> list[str]:
    names = dict.fromkeys(key for sample in samples for key in sample)
    return [name.removeprefix(f"{SIZE} ") for name in names if name.startswith(f"{SIZE} ")]


def _values(samples: Sequence[Sample], key: str) -> list[float]:
    return [sample[key] for sample in samples if key in sample]


def _shares(samples: Sequence[Sample], term: str) -> list[float]:
    """The norm of a term's gradient, as a share of those of all terms."""
    own = []
    for sample in samples:
        norms = {key: value for key, value in sample.items() if key.startswith(f"{NORM} ")}
        if f"{NORM} {term}" in norms and (total := sum(norms.values())) > 0:
            own.append(norms[f"{NORM} {term}"] / total)
    return own


def _cosine(samples: Sequence[Sample], one: str, two: str) -> list[float]:
    forward = _values(samples, f"{COSINE} {one} {two}")
    return forward or _values(samples, f"{COSINE} {two} {one}")


def _rows(arm: str, samples: Sequence[Sample]) -> Iterator[tuple[str, ...]]:
    terms = _terms(samples)
    for term in terms:
        shares, norms = _shares(samples, term), _values(samples, f"{NORM} {term}")
        cosines = [
            f"{other} {median(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})"
            for other in terms
            if other != term and (values := _cosine(samples, term, other))
        ]
        yield (
            arm,
            term,
            str(len(norms)),
            f"{median(_values(samples, f'{SIZE} {term}')):.4g}",
            f"{median(norms):.4g}" if norms else "n/a",
            f"{100 * median(shares):.3g} %" if shares else "n/a",
            ", ".join(cosines) or "n/a",
        )


def _findings(arm: str, samples: Sequence[Sample]) -> Iterator[str]:
    """Terms that hardly move the student, and pairs that pull against each other."""
    terms = _terms(samples)
    for term in terms:
        shares = _shares(samples, term)
        if len(shares) >= MIN_SAMPLES and median(shares) < WEAK:
            yield f"{term} of {arm} has {100 * median(shares):.2g} % of the gradient norms."
    for one, two in combinations(terms, 2):
        values = _cosine(samples, one, two)
        if len(values) >= MIN_SAMPLES and median(values) < OPPOSED:
            yield (
                f"{one} and {two} of {arm} pull against each other (median cosine "
                f"{median(values):.2f})."
            )


SECTION = Section(order=65, title="What does the loss ask for?", record=record, render=render)
