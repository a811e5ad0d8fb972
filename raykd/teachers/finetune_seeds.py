"""Teachers of other seeds, of which only scores are kept: how far the teacher's score varies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from raykd.errors import TrialError
from raykd.results.records import FinetuneTrial
from raykd.teachers.finetune_search import trained
from raykd.teachers.inputs import Progress, TaskInputs, scored_roles
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.scoring import score_teacher
from raykd.training.device import DistributedContext
from raykd.training.settings import TrainSettings

ROLE = "test"
"""The rows that these teachers are scored on."""


def other_seeds(inputs: TaskInputs) -> tuple[int, ...]:
    """The seeds of the teachers that are trained next to the one that students learn from."""
    first = inputs.finetune_seed
    return tuple(first + k for k in range(1, inputs.finetune_seeds)) if inputs.finetune else ()


def scores_of_seeds(
    inputs: TaskInputs,
    tried: Sequence[FinetuneTrial],
    world: DistributedContext,
    progress: Progress,
) -> dict[int, Mapping[str, float]]:
    """Train the teachers of other seeds, and score them on the test split.

    They begin with the same weights where these are given, and are trained with the settings of the
    teacher that students learn from. Every rank of `world` takes part; the scores are rank 0's.

    Args:
        inputs: What is prepared; seeds whose scores are known are left out.
        tried: The search for the teacher's settings; empty without one.
        world: This process.
        progress: Told about every evaluation.

    Returns:
        Metrics by seed; none for a seed that diverged.
    """
    seeds = other_seeds(inputs)
    scores: dict[int, Mapping[str, float]] = {}
    for number, seed in enumerate(seeds, start=2):
        if seed in inputs.known.seed_scores:
            continue
        one = replace(
            inputs, finetune=_settings(inputs, tried), finetune_seed=seed,
            known=PreparedParts(scores={role: {} for role in _unscored(inputs)}),
        )  # fmt: skip
        named = _named(f"teacher {number} of {len(seeds) + 1}", progress)
        try:
            model, _ = trained(one, inputs.teacher, world, named)
        except TrialError:
            scores[seed] = {}
            continue
        if world.rank == 0:
            roles, _ = score_teacher(model, one, world.device, lambda role: lambda done: None)
            scores[seed] = roles[ROLE]
    return scores


def _unscored(inputs: TaskInputs) -> list[str]:
    return [role for role in scored_roles(inputs.teacher_splits) if role != ROLE]


def _settings(inputs: TaskInputs, tried: Sequence[FinetuneTrial]) -> TrainSettings:
    """Those that the teacher was trained with."""
    assert inputs.finetune is not None
    taken = next((trial for trial in tried if trial.chosen), None)
    if taken is None:
        return inputs.finetune
    return replace(inputs.finetune, lr=taken.lr, epochs=taken.epochs)


def _named(name: str, progress: Progress) -> Progress:
    """Progress that says which of the teachers it is."""
    return lambda phase, done, total, detail: progress(
        phase, done, total, f"{name}: {detail}" if detail else name
    )
