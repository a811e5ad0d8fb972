"""Every method's forward pass on fake CUDA tensors, which torch's own rules for devices apply to.

A build of torch for CUDA is enough, without a GPU (``make pretended-cuda``). Fake tensors have no
values, so that whatever reads one back fails; autograd's engine wants a GPU, so that there is no
backward pass. `test_pretended_cuda` has both the values and the backward pass, on any build.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.gpu.pretended import module_to
from tests.gpu.steps import METHODS, WRITES, Stepper, kinds_of

pytestmark = pytest.mark.skipif(
    torch.version.cuda is None, reason="torch is a build for CPUs (make pretended-cuda has another)"
)
DEVICE = torch.device("cuda", 0)


class FakeCuda(TorchDispatchMode):
    """What is on the device is fake, what is on the CPU is computed."""

    def __init__(self) -> None:
        super().__init__()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        is_fake = any(isinstance(x, FakeTensor) for x in tree_leaves((args, kwargs)))
        device = torch.device(kwargs.get("device") or "cpu")
        if not is_fake and device.type == "cpu":
            return func(*args, **kwargs)
        if is_fake and kwargs.get("device") is not None and device.type == "cpu":
            raise DataDependentOutputException(func)
        with self._fake:
            return func(*args, **kwargs)


@contextlib.contextmanager
def fake_cuda() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, FakeCuda():
        # Pinning memory, and the state of the device's generator, want a driver.
        patch.setattr(Tensor, "pin_memory", lambda self: self)
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.autograd, "grad", _gradients)
        patch.setattr(nn.Module, "to", module_to)
        yield


def _gradients(outputs: Any, inputs: Tensor, *more: Any, **named: Any) -> tuple[Tensor, ...]:
    """What a loss that forms its gradient in the forward pass goes on with."""
    return (torch.zeros_like(inputs),)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in WRITES])
def test_a_forward_pass_stays_on_the_device_and_reads_nothing_back(name):
    with fake_cuda():
        stepper = Stepper.of(name, kinds_of(name)[0], DEVICE)
        rows = np.arange(5)
        batch = stepper.pair.collator(stepper.method)(stepper.pair.read_by(stepper.method), rows)
        found = stepper.module(batch.to(DEVICE))
    assert isinstance(found, FakeTensor)
    assert found.device == DEVICE


def test_what_is_read_back_or_mixed_is_found():
    with fake_cuda():
        values = torch.ones(3).to(DEVICE)
        for read in (lambda: values.sum().item(), values.cpu, values.nonzero, values.tolist):
            with pytest.raises(Exception, match="aten"):
                read()
        with pytest.raises(RuntimeError, match="same device"):
            values + torch.ones(3)
