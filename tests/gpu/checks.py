"""What must hold on a GPU: every method as on the CPU, and nothing that waits for the device.

Each check gives the lines of its result, and raises where something does not hold.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from raykd.models.generation import GenerationSettings
from raykd.training import student_runner
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.gpu.steps import METHODS, WRITES, Stepper, can_be_recorded, kinds_of, values_of
from tests.small_pairs import SmallPair

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
    most = {}
    for name in given.methods:
        for kind in kinds_of(name)[: 1 if given.small else None]:
            with _the_likeliest_text():
                want, actual = (Stepper.of(name, kind, device) for device in (CPU, given.device))
                most[f"{name} on {kind}"] = _difference(want.step(), actual.step())
    return _within(most, "the CPU")


def recorded(given: Given) -> list[str]:
    """Terms and gradients with a recorded teacher are those with one that runs."""
    most = {}
    for name in given.methods:
        kind = kinds_of(name)[0]
        one = Stepper.of(name, kind, given.device)
        if can_be_recorded(one.method):
            two = Stepper.of(name, kind, given.device, recorded=True)
            most[f"{name} on {kind}"] = _difference(one.step(), two.step())
    return _within(most, "a teacher that runs")


def no_waiting(given: Given) -> list[str]:
    """No step makes the host wait; but those that write text do."""
    for name in given.methods:
        for precision in ("fp32", "bf16"):
            stepper = Stepper.of(name, kinds_of(name)[0], given.device, precision=precision)
            for _ in range(2 if name in WRITES else 1):
                stepper.step()
            # What was drawn for the first steps serves the next one, too.
            with _waiting_is_an_error(given.device):
                stepper.step()
    return [f"{len(given.methods)} methods, fp32 and bf16"]


def packing(given: Given) -> list[str]:
    """Texts that share rows give the terms and gradients of rows of their own, and do not wait."""
    most = {}
    for name in ("kd", "jsd"):
        plain, packed = (
            Stepper.of(name, "causal_lm", given.device, packing=packing)
            for packing in (False, True)
        )
        plain.rows = packed.rows
        most[name] = _difference(plain.step(), packed.step())
        with _waiting_is_an_error(given.device):
            packed.step()
    return _within(most, "rows of their own")


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
    """A training that was cut off and resumed gives the same weights, bit for bit."""
    for name in given.methods:
        kind = kinds_of(name)[0]
        pair = SmallPair.of(kind, dropout=0.1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.safetensors"
            whole = _trained(pair, name, given.device)
            with contextlib.suppress(_CutOff):
                _trained(pair, name, given.device, state_path=path, on_evaluation=_cut_off)
            again = _trained(pair, name, given.device, state_path=path)
        if not all(torch.equal(a, b) for a, b in zip(whole, again, strict=True)):
            raise CheckFailed(f"{name}: a training that was resumed has other weights")
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
    if not most[worst] <= TOLERANCE:
        raise CheckFailed(f"{worst}: {most[worst]:.1e} off {of}")
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
