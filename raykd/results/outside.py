"""Scores of confirmed students on tasks from elsewhere: one file of a run folder, and a comparison.

Arms are compared as on the test split: paired by confirm seed, corrected for their number.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raykd.errors import RaykdError, SetupError
from raykd.results.differences import Comparison, ConfirmScores, PairedDifference, mean_of
from raykd.results.outside_score import OutsideScore
from raykd.results.stats import ConfidenceInterval, holm_correction, holm_levels
from raykd.whole_file import whole_file

FILE = "evaluations.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutsideArm:
    """An arm on one benchmark.

    Attributes:
        name: The arm.
        mean: Over its seeds, with its interval.
        versus: The difference to the baseline, corrected for the number of arms; None for the
            baseline, and without a common seed.
        p_holm: The p value of that, corrected.
    """

    name: str
    mean: ConfidenceInterval
    versus: PairedDifference | None
    p_holm: float | None


def write_outside(run: Path, scores: Sequence[OutsideScore]) -> Path:
    """Add scores to those of a run; the same student on the same benchmark is replaced.

    Returns:
        The file.

    Raises:
        SetupError: It cannot be written.
    """
    kept = {_place(score): score for score in (*read_outside(run), *scores)}
    plain = {"scores": [dataclasses.asdict(score) for score in kept.values()]}
    target = run / FILE
    try:
        with whole_file(target) as part:
            part.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"cannot write {target}: {exc.strerror or exc}") from exc
    return target


def read_outside(run: Path) -> tuple[OutsideScore, ...]:
    """The scores of a run; none where nothing was evaluated.

    Raises:
        RaykdError: The file is not what `write_outside` wrote.
    """
    path = run / FILE
    if not path.is_file():
        return ()
    types = typing.get_type_hints(OutsideScore)
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))["scores"]
        return tuple(OutsideScore(**{n: types[n](v) for n, v in one.items()}) for one in plain)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise RaykdError(
            f"{path} cannot be understood: {exc!r:.80}",
            hint="delete it, and evaluate again: raykd eval RUN -- TASKS",
        ) from exc


def compare_outside(
    scores: Iterable[OutsideScore], arms: Sequence[str], baseline: str
) -> tuple[OutsideArm, ...]:
    """The arms on one metric of one benchmark, in the order given.

    Args:
        scores: All of the same task, benchmark and metric.
        arms: The arms of the run.
        baseline: The one that the others are compared with.
    """
    scores = tuple(scores)
    values = {arm: _counted([s for s in scores if s.arm == arm], scores) for arm in arms}
    scored = [ConfirmScores(name=arm, seeds=seeds) for arm, seeds in values.items() if seeds]
    together = Comparison(scored, scores[0].mode if scores else "max")
    versus = [
        None if of.name == baseline else together.difference(of.name, baseline) for of in scored
    ]
    p_values = [d.p if d else None for d in versus]
    compared = []
    for of, difference, level, p in zip(
        scored, versus, holm_levels(p_values), holm_correction(p_values), strict=True
    ):
        mean = mean_of(of)
        if mean is not None:
            corrected = difference and dataclasses.replace(difference, corrected_alpha=level)
            compared.append(OutsideArm(name=of.name, mean=mean, versus=corrected, p_holm=p))
    return tuple(compared)


def _counted(own: Sequence[OutsideScore], every: Sequence[OutsideScore]) -> dict[int, float]:
    """What counts of an arm: a value for each seed, or for each of several searches its mean."""
    if len({score.repeat for score in every}) < 2:
        return {score.seed: score.value for score in own}
    repeats = {score.repeat for score in own}
    return {r: statistics.fmean(s.value for s in own if s.repeat == r) for r in sorted(repeats)}


def _place(score: OutsideScore) -> tuple[str, str, str, int]:
    return score.trial_id, score.benchmark, score.metric, score.shots
