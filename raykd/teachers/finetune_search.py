"""A small search for the settings that a teacher is fine-tuned with: its rate and its epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from raykd.errors import TeacherError, TrialError
from raykd.models import weights
from raykd.models.model_factory import ModelFactory
from raykd.results.records import Evaluation, FinetuneTrial
from raykd.teachers.finetune import finetune
from raykd.teachers.inputs import Progress, TaskInputs
from raykd.teachers.precision import exact, whole_again
from raykd.training.device import DistributedContext
from raykd.training.seeding import seed_everything
from raykd.training.settings import TrainSettings

RATE_SPAN = 4.0
"""The rate is searched from this part of the given one to this multiple of it."""
EPOCH_FACTORS = (1.0, 0.5, 2.0)
"""What the given epochs are multiplied with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finetuned:
    """A teacher after fine-tuning.

    Attributes:
        model: It; on ranks that only helped, nothing.
        history: Evaluations of the training that it came out of.
        tried: Every training of a search, in order; empty without one.
    """

    model: nn.Module
    history: tuple[Evaluation, ...]
    tried: tuple[FinetuneTrial, ...] = ()


def candidates(settings: TrainSettings, count: int) -> tuple[TrainSettings, ...]:
    """The settings that a search tries, the given ones first.

    Points of a Halton sequence, so that few of them cover the range and a longer search begins with
    those of a shorter one.

    Args:
        settings: As the file gives them.
        count: How many are tried.
    """
    drawn = [settings]
    for number in range(1, count):
        rate = settings.lr * RATE_SPAN ** (2 * _halton(number, 2) - 1)
        factor = EPOCH_FACTORS[int(_halton(number, 3) * len(EPOCH_FACTORS))]
        epochs = max(1, round(settings.epochs * factor))
        drawn.append(replace(settings, lr=float(f"{rate:.3g}"), epochs=epochs))
    return tuple(drawn)


def _halton(number: int, base: int) -> float:
    """Element `number` of the van der Corput sequence in a base, in ``(0, 1)``."""
    value, share = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        share /= base
        value += digit * share
    return value


def finetuned(
    inputs: TaskInputs, factory: ModelFactory, world: DistributedContext, progress: Progress
) -> Finetuned:
    """Fine-tune a teacher with the settings that are given, or the best of those that are tried.

    The best is the one whose last evaluation on the validation split is highest; of equal ones the
    first. Every rank of `world` takes part.

    Args:
        inputs: What is prepared.
        factory: How the teacher begins.
        world: This process.
        progress: Told about every evaluation.

    Raises:
        TrialError: The training diverged.
        TeacherError: All of those of a search did.
    """
    assert inputs.finetune is not None
    if not inputs.finetune_search:
        model, history = trained(inputs, factory, world, progress)
        return Finetuned(model=model, history=history)
    metric, to_try = inputs.task.metric, candidates(inputs.finetune, inputs.finetune_search)
    progress = _overall(to_try, progress)
    tried: list[FinetuneTrial] = []
    best: tuple[int, tuple[Evaluation, ...], weights.ModelState | None] | None = None
    model = nn.Module()
    for number, settings in enumerate(to_try):
        began = time.monotonic()
        score, history = math.nan, tuple[Evaluation, ...]()
        try:
            one = replace(inputs, finetune=settings)
            model, history = trained(one, factory, world, _part(number, to_try, progress))
            score = world.broadcast(history[-1].metrics[metric])
        except TrialError:  # the others may do well
            pass
        seconds = time.monotonic() - began
        tried.append(FinetuneTrial(settings.lr, settings.epochs, metric, score, seconds))
        if math.isfinite(score) and (best is None or score > tried[best[0]].score):
            best = (number, history, weights.capture(model) if world.rank == 0 else None)
    if best is None:
        raise TeacherError(
            f"all {len(to_try)} trainings of teacher.finetune.search diverged",
            hint="lower teacher.finetune.lr",
        )
    number, history, state = best
    if number != len(to_try) - 1:
        model = _again(factory, state, world)
    tried[number] = replace(tried[number], chosen=True)
    return Finetuned(model=model, history=history, tried=tuple(tried))


def trained(
    inputs: TaskInputs, factory: ModelFactory, world: DistributedContext, progress: Progress
) -> tuple[nn.Module, tuple[Evaluation, ...]]:
    """One training from the beginning; the same whatever was trained before it.

    Args:
        inputs: What is prepared, with settings and seed.
        factory: How the teacher begins.
        world: This process; every rank takes part.
        progress: Told about every evaluation.

    Returns:
        The teacher, nothing on ranks that only helped; and its evaluations.

    Raises:
        TrialError: It diverged.
    """
    seed_everything(inputs.finetune_seed)
    model = exact(inputs, factory, world)
    history = finetune(model, inputs, world, progress)
    return whole_again(model, inputs, world), history


def _again(
    factory: ModelFactory, state: weights.ModelState | None, world: DistributedContext
) -> nn.Module:
    """The best teacher, which another one was trained after; nothing on ranks that only helped."""
    if state is None:
        return nn.Module()
    return replace(factory, state=state, random_init=None).build(0).to(world.device)


def _overall(to_try: Sequence[TrainSettings], progress: Progress) -> Progress:
    """Progress of a search, whose total is that of all of its trainings."""
    total = sum(settings.epochs * settings.evals_per_epoch for settings in to_try)
    return lambda phase, done, _, detail: progress(phase, done, total, detail)


def _part(number: int, to_try: Sequence[TrainSettings], progress: Progress) -> Callable[..., None]:
    """Progress of one training of a search."""
    before = sum(settings.epochs * settings.evals_per_epoch for settings in to_try[:number])
    now = to_try[number]
    name = f"training {number + 1} of {len(to_try)}, lr {now.lr:.3g}, {now.epochs} epochs"

    def tell(phase: str, done: int, total: int, detail: str) -> None:
        progress(phase, before + done, total, f"{name}: {detail}" if detail else name)

    return tell
