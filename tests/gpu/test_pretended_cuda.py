"""Every method's whole step on a CUDA device that is not there: see `tests.gpu.pretended`.

The values are those of the CPU, so that results are equal bit for bit; what is looked for are
tensors on two devices, and whatever makes the host wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.contracts.matrix import each
from tests.gpu.pretended import DEVICE, DeviceMismatch, OnCuda, pretended_cuda
from tests.gpu.steps import METHODS, WRITES, Stepper, can_be_recorded, kinds_of

CPU = torch.device("cpu")


def compare(name: str, kind: str, recorded: bool, packing: bool = False) -> None:
    """A step gives the same, and waits for nothing where it generates no text."""
    if recorded and not can_be_recorded(Stepper.of(name, kind, CPU).method):
        return
    steps = 2 if name in WRITES else 1
    plain = Stepper.of(name, kind, CPU, recorded=recorded, packing=packing)
    want = [plain.step() for _ in range(steps)][-1]
    with pretended_cuda() as device:
        stepper = Stepper.of(name, kind, DEVICE, recorded=recorded, packing=packing)
        for _ in range(steps):
            device.waits.clear()
            actual = stepper.step()
        waits = tuple(device.waits)
    assert all(isinstance(one, OnCuda) for one in actual)
    assert len(actual) == len(want)
    assert all(torch.equal(a.as_subclass(Tensor), b) for a, b in zip(actual, want, strict=True))
    assert not waits


@pytest.mark.parametrize("name", METHODS)
def test_a_step_gives_the_same_and_waits_for_nothing(name):
    kind, *_ = kinds_of(name)
    each(
        compare, [{"name": name, "kind": kind, "recorded": recorded} for recorded in (False, True)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_step_gives_the_same_on_every_kind_of_task(name):
    _, *others = kinds_of(name)
    each(compare, [{"name": name, "kind": kind, "recorded": recorded}
                   for kind in others for recorded in (False, True)])  # fmt: skip


def test_texts_that_share_rows_wait_for_nothing():
    each(compare, [{"name": "kd", "kind": "causal_lm", "recorded": recorded, "packing": True}
                   for recorded in (False, True)])  # fmt: skip


def on(values: Tensor) -> Tensor:
    return values.pin_memory().to(DEVICE, non_blocking=True)


WAITS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x[0]),
    "bool": lambda x: 1 if x.any() else 0,
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to the CPU": lambda x: x.to("cpu"),
    "nonzero": lambda x: x.nonzero(),
    "a condition": lambda x: x[x > 1],
    "setting by a condition": lambda x: x.__setitem__(x > 1, torch.ones(2, device=DEVICE)),
    "repeats of unknown sum": lambda x: x.repeat_interleave(x.long()),
    "a copy": lambda x: torch.ones(4).to(DEVICE),
    "a copy without pinning": lambda x: torch.ones(4).to(DEVICE, non_blocking=True),
    "numbers": lambda x: torch.tensor([1.0, 2.0], device=DEVICE),
    "an index": lambda x: x[torch.tensor([0, 1])],
    "inside of an operation": lambda x: torch.isclose(x, x).all() and x,
}
FREE: dict[str, Callable[[Tensor], object]] = {
    "a pinned copy": lambda x: on(torch.ones(3)) + x.sum(),
    "its shape": lambda x: (len(x), x.numel(), x.shape, x.device, x.dtype, x.is_cuda),
    "filling by a condition": lambda x: x.__setitem__(x > 1, 0.0),
    "a scalar": lambda x: x * torch.tensor(2.0) + 1,
    "repeats of known sum": lambda x: x.repeat_interleave(x.long(), output_size=6),
    "numbers of its own": lambda x: x + torch.arange(4, device=x.device),
}


@pytest.mark.parametrize("what", WAITS)
def test_what_makes_the_host_wait_is_noted(what):
    with pretended_cuda() as device:
        WAITS[what](on(torch.arange(4.0)))
    assert len(device.waits) == 1, device.waits
    assert "test_pretended_cuda.py" in device.waits[0]


@pytest.mark.parametrize("what", FREE)
def test_what_waits_for_nothing_is_not(what):
    with pretended_cuda() as device:
        FREE[what](on(torch.arange(4.0)))
    assert device.waits == []


def test_tensors_on_two_devices_are_refused_as_on_a_gpu():
    with pretended_cuda():
        x, here = on(torch.ones(2, 2)), torch.ones(2, 2)
        for mixed in (lambda: x + here, lambda: torch.cat([x, here]), lambda: here @ x,
                      lambda: torch.nn.functional.linear(x, here)):  # fmt: skip
            with pytest.raises(DeviceMismatch):
                mixed()
        with pytest.raises(TypeError, match="numpy"):
            x.numpy()
        layer = torch.nn.Linear(2, 2)
        with pytest.raises(DeviceMismatch):
            layer(x)
        assert layer.to(DEVICE)(x).device == DEVICE


def test_tied_weights_stay_tied_on_the_way_to_the_device():
    model = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    model[1].weight = model[0].weight
    with pretended_cuda():
        model.to(DEVICE)
    assert model[1].weight is model[0].weight
    assert isinstance(model[0].weight, OnCuda)
    assert len(list(model.parameters())) == 3
