"""What must hold on a GPU: every method as on the CPU, and nothing that waits for the device.

Each check gives the lines of its result, and raises where something does not hold.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import torch
from torch import Tensor

import raykd
from raykd.models.generation import GenerationSettings
from raykd.training import student_runner
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.gpu.steps import (
    METHODS,
    WRITES,
    Stepper,
    can_be_recorded,
    kinds_of,
    pair_of,
    values_of,
)
from tests.small_pairs import SmallPair

T = TypeVar("T")
CPU = torch.device("cpu")
TOLERANCE = 1e-3
"""Largest difference between devices, over the largest entry: float32 in another order."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the checks are run on.

    Attributes:
        device: The device.
        small: Whether sizes are tiny and methods few, to try the checks themselves.
    """

    device: torch.device
    small: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that are checked."""
        return ("kd", "ckd", "minillm", "jsd") if self.small else METHODS


class CheckFailed(AssertionError):
    """Something does not hold on the device."""


def parity(given: Given) -> list[str]:
    """Terms and gradients of every method are those of the CPU."""

    def off(name: str, kind: str) -> float:
        with _the_likeliest_text():
            want, actual = (Stepper.of(name, kind, device) for device in (CPU, given.device))
            return _difference(want.step(), actual.step())

    kinds = {name: kinds_of(name)[: 1 if given.small else None] for name in given.methods}
    cases = [(name, kind) for name, served in kinds.items() for kind in served]
    return _within(_of_each(cases, off), "the CPU")


def recorded(given: Given) -> list[str]:
    """Terms and gradients with a recorded teacher are those with one that runs."""

    def off(name: str, kind: str) -> float:
        one, two = (
            Stepper.of(name, kind, given.device, recorded=recorded) for recorded in (False, True)
        )
        return _difference(one.step(), two.step())

    cases = [
        (name, kind)
        for name in given.methods
        for kind in kinds_of(name)[:1]
        if can_be_recorded(pair_of(kind).method(name, **values_of(name, kind)))
    ]
    return _within(_of_each(cases, off), "a teacher that runs")


def no_waiting(given: Given) -> list[str]:
    """No step makes the host wait; but those that write text do."""

    def step(name: str, precision: str) -> None:
        stepper = Stepper.of(name, kinds_of(name)[0], given.device, precision=precision)
        for _ in range(2 if name in WRITES else 1):
            stepper.step()
        # What was drawn for the first steps serves the next one, too.
        with _waiting_is_an_error(given.device):
            stepper.step()

    _of_each([(name, precision) for name in given.methods for precision in ("fp32", "bf16")], step)
    return [f"{len(given.methods)} methods, fp32 and bf16"]


def packing(given: Given) -> list[str]:
    """Texts that share rows give the terms and gradients of rows of their own, and do not wait."""

    def off(name: str) -> float:
        plain, packed = (
            Stepper.of(name, "causal_lm", given.device, packing=packing)
            for packing in (False, True)
        )
        plain.rows = packed.rows
        actual = _difference(plain.step(), packed.step())
        with _waiting_is_an_error(given.device):
            packed.step()
        return actual

    return _within(_of_each([("kd",), ("jsd",)], off), "rows of their own")


def optimizers(given: Given) -> list[str]:
    """Moments in 8 bits move weights as those in float32 do; small ones are in float32."""
    if importlib.util.find_spec("bitsandbytes") is None:
        return ["left out: bitsandbytes is not installed"]
    moved = []
    for name in ("adamw", "adamw_8bit"):
        stepper = Stepper.of("sft", "causal_lm", given.device, optimizer=name)
        for _ in range(3):
            stepper.step()
        moved.append([p.detach() for p in stepper.model.parameters()])
    return _within({"adamw_8bit": _difference(*moved)}, "adamw")


def resume(given: Given) -> list[str]:
    """A training gives the same weights bit for bit, also where it was cut off and resumed."""

    def equal(name: str) -> None:
        pair = SmallPair.of(kinds_of(name)[0], dropout=0.1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.safetensors"
            whole, alike = (_trained(pair, name, given.device) for _ in range(2))
            if not _equal(whole, alike):
                raise CheckFailed("two trainings of one seed have other weights")
            with contextlib.suppress(_CutOff):
                _trained(pair, name, given.device, state_path=path, on_evaluation=_cut_off)
            again = _trained(pair, name, given.device, state_path=path)
        if not _equal(whole, again):
            raise CheckFailed("a training that was resumed has other weights")

    _of_each([(name,) for name in given.methods], equal)
    return [f"{len(given.methods)} methods, cut off after 2 of 6 steps"]


def slots(given: Given) -> list[str]:
    """Two slots share the device, each with half of it; their trials are those of one slot."""
    if importlib.util.find_spec("ray") is None:
        return ["left out: Ray is not installed"]
    from tests.gpu.shared_device import trial_scores

    halves = trial_scores(given.device, slots=2)
    whole = trial_scores(given.device, slots=1)
    if halves != whole:
        raise CheckFailed(f"scores in two slots {halves}, in one {whole}")
    return [f"{len(halves)} trials with equal scores"]


CHECKS: dict[str, Callable[[Given], list[str]]] = {
    "parity": parity,
    "recorded": recorded,
    "no_waiting": no_waiting,
    "packing": packing,
    "optimizers": optimizers,
    "resume": resume,
    "slots": slots,
}


def _of_each(cases: Sequence[tuple[str, ...]], run: Callable[..., T]) -> dict[str, T]:
    """What `run` gives for each case, by its name.

    Raises:
        CheckFailed: With a line for every case that fails: a device is seldom at hand.
    """
    given, failed = {}, []
    for case in cases:
        try:
            given[", ".join(case)] = run(*case)
        except Exception as exc:
            failed.append(f"{', '.join(case)}: {place_and_message(exc)}")
    if failed:
        raise CheckFailed("\n".join(failed))
    return given


def place_and_message(exc: Exception) -> str:
    """What was raised, and in which line of raykd it was, or of what it calls."""
    frames = traceback.extract_tb(exc.__traceback__)
    package = str(Path(raykd.__file__).parent)
    own = [frame for frame in frames if frame.filename.startswith(package)] or frames
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in (own[-1], frames[-1])]
    where = ", ".join(dict.fromkeys(places))
    return f"{type(exc).__name__} at {where}: {exc}"


def _difference(want: list[Tensor], actual: list[Tensor]) -> float:
    if len(want) != len(actual):
        raise CheckFailed(f"{len(actual)} terms and gradients in place of {len(want)}")
    pairs = [(a.cpu(), b.cpu()) for a, b in zip(want, actual, strict=True)]
    largest = max(float(a.abs().max()) for a, _ in pairs[1:])
    off = [float((a - b).abs().max()) / largest for a, b in pairs[1:]]
    terms = [float((a - b).abs().max() / a.abs().max().clamp_min(1e-6)) for a, b in pairs[:1]]
    return max(*off, *terms)


def _within(most: dict[str, float], of: str) -> list[str]:
    worst = max(most, key=lambda name: most[name])
    off = [name for name, value in most.items() if not value <= TOLERANCE]
    if off:
        raise CheckFailed("\n".join(f"{name}: {most[name]:.1e} off {of}" for name in off))
    return [f"{len(most)} cases, largest difference {most[worst]:.1e} ({worst})"]


@contextlib.contextmanager
def _the_likeliest_text() -> Iterator[None]:
    """Devices draw other numbers; the likeliest text is the same on all of them."""

    def greedy(**given: Any) -> GenerationSettings:
        return GenerationSettings(**{**given, "sample": False})

    with mock.patch.object(student_runner, "GenerationSettings", greedy):
        yield


@contextlib.contextmanager
def _waiting_is_an_error(device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    torch.cuda.synchronize(device)
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class _CutOff(Exception):
    pass


def _cut_off(evaluation: Any) -> bool:
    if evaluation.step == 3:
        raise _CutOff
    return False


def _equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _trained(pair: SmallPair, name: str, device: torch.device, **changes: Any) -> list[Tensor]:
    model = copy.deepcopy(pair.student)
    method = pair.method(name, **values_of(name, pair.kind))
    world = DistributedContext(0, 1, device)
    teacher = pair.outputs_fn(method, copy.deepcopy(pair.teacher).to(device))
    job = pair.job(
        method, model, world, teacher=teacher, evals_per_epoch=3, state_every_s=0.0, **changes
    )
    train_model(job)
    return [p.detach().cpu() for p in model.parameters()]
