"""A CUDA device that is not there: tensors with values on the CPU that say they are on a GPU.

Inside `pretended_cuda` a tensor that is moved to `DEVICE`, or made there, computes as before and
answers as one on a GPU would. What a GPU would refuse is refused: operations on tensors of both
places, NumPy's view of one. What would make the host wait for the device is noted: values that are
read back, picked by a condition, or copied without `pin_memory` and ``non_blocking``.

Any build of torch will do. Not covered: kernels that a GPU lacks, what goes on inside of an
operation of torch, and devices of tensors in a backward pass, which autograd hands over without
their type.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad
from torch.optim.optimizer import Optimizer
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)
CPU = torch.device("cpu")

READS = {
    "item", "tolist", "__bool__", "__float__", "__int__", "__index__", "is_nonzero", "equal",
    "allclose", "nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "bincount",
}  # fmt: skip
"""Operations whose result, or its shape, the host has to wait for."""
COPIES = {"tensor", "as_tensor", "from_numpy"}
FREE = {"__get__", "__set__", "type_as", "to", "copy_", "__getitem__", "__setitem__", "backward"}
"""Functions that may see tensors of both places, or tell them apart themselves."""


class DeviceMismatch(RuntimeError):
    """An operation on tensors of two devices."""


class OnCuda(Tensor):
    """A tensor with its values on the CPU that says it is on a GPU."""


@dataclass
class PretendedCuda(TorchFunctionMode):
    """Answers for tensors on the device, and notes what would make the host wait.

    Attributes:
        waits: What was noted, each with the place in the code.
        is_checked: Whether devices are compared; not while autograd runs.
    """

    waits: list[str] = field(default_factory=list)
    is_checked: bool = True

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        held = [isinstance(x, OnCuda) for x in tensors]
        if name == "__get__" and any(held):
            return self._attribute(func, args)
        if name == "pin_memory":
            pinned = args[0].view_as(args[0])
            pinned.is_page_locked = True
            return pinned
        if name in ("to", "cuda", "cpu"):
            return self._moved(func, name, args, kwargs)
        target = kwargs.get("device")
        made = target is not None and torch.device(target).type == "cuda"
        if made:
            kwargs["device"] = CPU
            if name in COPIES and not any(held):
                self._note(f"blocking copy by {name}")
        if any(held):
            self._check(name, args, kwargs, tensors, held)
        with torch._C.DisableTorchFunctionSubclass(), self._unchecked(func is torch.autograd.grad):
            actual = func(*args, **kwargs)
        return tree_map(on_cuda, actual) if made or any(held) else actual

    def _attribute(self, func: Any, args: Any) -> Any:
        if func == Tensor.device.__get__:
            return DEVICE
        if func in (Tensor.is_cuda.__get__, Tensor.is_cpu.__get__):
            return func == Tensor.is_cuda.__get__
        with torch._C.DisableTorchFunctionSubclass():
            actual = func(*args)
        return on_cuda(actual) if isinstance(actual, Tensor) else actual

    def _moved(self, func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Tensor:
        here, *rest = args
        was = isinstance(here, OnCuda)
        target = DEVICE if was else CPU
        if name != "to":
            target = DEVICE if name == "cuda" else CPU
        for key, value in [*enumerate(rest), *kwargs.items()]:
            if isinstance(value, Tensor):
                target = DEVICE if isinstance(value, OnCuda) else CPU
            elif isinstance(value, torch.device | str):
                target = DEVICE if torch.device(value).type == "cuda" else CPU
                if isinstance(key, int):
                    rest[key] = CPU
                else:
                    kwargs[key] = CPU
        waits = not kwargs.get("non_blocking", False)
        if was and target == CPU:
            self._note("read back by a copy to the CPU")
        elif not was and target == DEVICE and (waits or not hasattr(here, "is_page_locked")):
            self._note("blocking copy to the device")
        with torch._C.DisableTorchFunctionSubclass():
            actual = here.to(*rest, **kwargs) if name == "to" else here
        if target == DEVICE:
            return on_cuda(actual)
        return actual.as_subclass(Tensor) if was else actual

    def _check(self, name: str, args: Any, kwargs: Any, tensors: Any, held: list[bool]) -> None:
        if name in ("numpy", "__array__"):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if name in READS or (name == "where" and len(args) == 1):
            self._note(f"read back by {name}")
        counted = len(tensors) > 1 and kwargs.get("output_size") is None
        if name == "repeat_interleave" and counted:
            self._note("read back by repeat_interleave")
        if name in ("__getitem__", "__setitem__") and self.is_checked:
            self._check_index(name, args)
        if name == "copy_" and not all(held) and not kwargs.get("non_blocking", False):
            self._note("blocking copy by copy_")
        others = [x for x, on in zip(tensors, held, strict=True) if not on and x.dim() > 0]
        if others and self.is_checked and name not in FREE:
            raise DeviceMismatch(f"{name}: tensors on cuda:0 and cpu, {tuple(others[0].shape)}")

    def _check_index(self, name: str, args: Any) -> None:
        """Picking by a condition waits for its count; filling by one does not."""
        index = [x for x in tree_leaves(args[1]) if isinstance(x, Tensor)]
        fills = name == "__setitem__" and (not isinstance(args[2], Tensor) or args[2].numel() == 1)
        if any(x.dtype in (torch.bool, torch.uint8) for x in index) and not fills:
            self._note(f"read back by {name} with a condition")
        if any(not isinstance(x, OnCuda) for x in index):
            self._note(f"blocking copy of an index by {name}")
        if not isinstance(args[0], OnCuda):
            raise DeviceMismatch(f"{name}: an index on cuda:0 of a tensor on cpu")

    def _note(self, what: str) -> None:
        frame: FrameType | None = sys._getframe(1)
        places = []
        while frame is not None:
            path = frame.f_code.co_filename
            if path != __file__ and (not places or "/raykd/" in path):
                places.append(f"{path.rpartition('/raykd/')[2]}:{frame.f_lineno}")
            if len(places) == 2:
                break
            frame = frame.f_back
        self.waits.append(f"{what} at {' by '.join(dict.fromkeys(places))}")

    @contextlib.contextmanager
    def _unchecked(self, on: bool = True) -> Iterator[None]:
        before, self.is_checked = self.is_checked, self.is_checked and not on
        try:
            yield
        finally:
            self.is_checked = before

    def backward(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Autograd's engine, with its tensors' devices unchecked."""

        def backward(*args: Any, **kwargs: Any) -> Any:
            with self._unchecked():
                return run(*args, **kwargs)

        return backward


def on_cuda(value: Any) -> Any:
    """A tensor on the device, with the same values; anything else as it is."""
    if not isinstance(value, Tensor) or isinstance(value, OnCuda):
        return value
    if value.is_leaf and value.requires_grad:
        return value.detach().as_subclass(OnCuda).requires_grad_()
    return value.as_subclass(OnCuda)


def module_to(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """`nn.Module.to`, which leaves tied weights tied."""
    seen: dict[int, Any] = {}
    for own in module.modules():
        for kept in (own._parameters, own._buffers):
            for name, value in kept.items():
                if value is None:
                    continue
                if id(value) not in seen:
                    actual = value.detach().to(*args, **kwargs)
                    if isinstance(value, nn.Parameter):
                        actual = nn.Parameter(actual, value.requires_grad)
                    seen[id(value)] = actual, value
                kept[name] = seen[id(value)][0]
    return module


def _grouped(tensors: Any, with_indices: bool = False) -> Any:
    """Tensors by device and type: all of a group are on one device."""
    actual = _GROUPED(tensors, with_indices)
    held = any(isinstance(x, OnCuda) for x in tree_leaves(tensors))
    return {(DEVICE if held else key[0], key[1]): group for key, group in actual.items()}


def _on_the_cpu(function: Callable[[str], Any]) -> Callable[..., Any]:
    """A function of a device, for the one that computes."""
    return lambda device=None: function("cpu")


_GROUPED = _foreach_utils._group_tensors_by_device_and_dtype
_AUTOCAST = torch.autocast


class _Autocast(_AUTOCAST):
    """What is computed on the CPU is cast there."""

    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu", *args, **kwargs)


@contextlib.contextmanager
def pretended_cuda() -> Iterator[PretendedCuda]:
    """A context in which `DEVICE` is there."""
    mode = PretendedCuda()
    with contextlib.ExitStack() as patches:
        for owner, name, value in (
            (nn.Module, "to", module_to),
            (torch, "autocast", _Autocast),
            (torch, "is_autocast_enabled", _on_the_cpu(torch.is_autocast_enabled)),
            (torch, "get_autocast_dtype", _on_the_cpu(torch.get_autocast_dtype)),
            (torch, "Generator", _on_the_cpu(torch.Generator)),
            (torch.autograd, "backward", mode.backward(torch.autograd.backward)),
            (_foreach_utils, "_group_tensors_by_device_and_dtype", _grouped),
            (sys.modules[Optimizer.__module__], "_group_tensors_by_device_and_dtype", _grouped),
            (clip_grad, "_group_tensors_by_device_and_dtype", _grouped),
        ):
            patches.enter_context(mock.patch.object(owner, name, value))
        patches.enter_context(mode)
        yield mode
