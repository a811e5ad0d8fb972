"""Scores of confirmed students on tasks from elsewhere: one file of a run folder, and a comparison.

Arms are compared as on the test split: paired by confirm seed and row, corrected for their number.
The outcomes of the rows are in small files of their own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import statistics
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raykd.errors import RaykdError, SetupError
from raykd.results.alpha_spending import Look
from raykd.results.differences import (
    Comparison,
    ConfirmScores,
    Outcomes,
    PairedDifference,
    all_against,
    mean_of,
)
from raykd.results.outside_score import OutsideScore
from raykd.results.row_outcomes import is_binary, read_outcomes, write_outcomes
from raykd.results.scales import UNITS, Scale
from raykd.results.stats import ConfidenceInterval
from raykd.whole_file import whole_file

FILE = "evaluations.json"
ROWS = "evaluation_rows"
"""The folder with the outcomes of rows."""


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
    plain = {"scores": [score.plain() for score in kept.values()]}
    target = run / FILE
    for score in scores:
        if score.outcomes is not None:
            write_outcomes(_rows_of(run, score), score.outcomes)
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
        scores = [OutsideScore(**{n: types[n](v) for n, v in one.items()}) for one in plain]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise RaykdError(
            f"{path} cannot be understood: {exc!r:.80}",
            hint="delete it, and evaluate again: raykd eval RUN -- TASKS",
        ) from exc
    return tuple(_with_outcomes(run, score) for score in scores)


def _with_outcomes(run: Path, score: OutsideScore) -> OutsideScore:
    """A score with the outcomes of its rows, where they were kept and are of this evaluation."""
    values = read_outcomes(_rows_of(run, score))
    fits = values is not None and len(values) == score.rows
    return dataclasses.replace(score, outcomes=values if fits else None)


def _rows_of(run: Path, score: OutsideScore) -> Path:
    """The file of the outcomes of a score: names of benchmarks and metrics may hold anything."""
    place = json.dumps([*_place(score), score.params])
    name = re.sub(r"[^\w.-]+", "-", f"{score.trial_id}.{score.benchmark}.{score.metric}")
    return run / ROWS / f"{name[:150]}.{hashlib.sha256(place.encode()).hexdigest()[:8]}.parquet"


def compare_outside(
    scores: Iterable[OutsideScore], arms: Sequence[str], baseline: str, look: Look | None = None
) -> tuple[OutsideArm, ...]:
    """The arms on one metric of one benchmark, in the order given.

    Args:
        scores: All of the same task, benchmark and metric.
        arms: The arms of the run.
        baseline: The one that the others are compared with.
        look: The look of a plan of seeds. Scores elsewhere rise and fall with the one that it
            stopped at.
    """
    scores = tuple(scores)
    counted = [_counted(arm, [s for s in scores if s.arm == arm], scores) for arm in arms]
    scored = [of for of in counted if of.seeds]
    scale = _scale(scores)
    least = scale.min_sd(scores[0].rows if scores else None)
    bounds = (scale.low - scale.high, scale.high - scale.low)
    together = Comparison(scored, scores[0].mode if scores else "max", least, bounds, look)
    versus = all_against(together, baseline, [of.name for of in scored])
    compared = []
    for of in scored:
        mean, (difference, p) = mean_of(of, least), versus[of.name]
        if mean is not None:
            compared.append(
                OutsideArm(name=of.name, mean=scale.clip(mean), versus=difference, p_holm=p)
            )
    return tuple(compared)


def rows_are_counted(scores: Iterable[OutsideScore]) -> bool:
    """Whether intervals are over seeds and rows: the outcomes of all scores were kept."""
    return all(score.outcomes is not None for score in scores)


def _scale(scores: Sequence[OutsideScore]) -> Scale:
    """What is known of a metric: where each row is right or wrong, it is a share."""
    values = [score.outcomes for score in scores]
    is_share = bool(values) and all(of is not None and is_binary(of) for of in values)
    return UNITS["share" if is_share else "number"]


def _counted(arm: str, own: Sequence[OutsideScore], every: Sequence[OutsideScore]) -> ConfirmScores:
    """What counts of an arm: a value for each seed, or for each of several searches its mean."""
    is_one = len({score.repeat for score in every}) < 2
    groups: dict[int, list[OutsideScore]] = {}
    for score in sorted(own, key=lambda s: (s.repeat, s.seed)):
        groups.setdefault(score.seed if is_one else score.repeat, []).append(score)
    kept = {key: [s.outcomes for s in of if s.outcomes is not None] for key, of in groups.items()}
    outcomes: Outcomes = {
        key: np.mean(of, axis=0, dtype=np.float32)
        for key, of in kept.items()
        if len(of) == len(groups[key])
    }
    values = {key: statistics.fmean(s.value for s in group) for key, group in groups.items()}
    return ConfirmScores(name=arm, seeds=values, outcomes=outcomes)


def _place(score: OutsideScore) -> tuple[str, str, str, int]:
    return score.trial_id, score.benchmark, score.metric, score.shots
