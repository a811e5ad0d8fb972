"""Where training runs: the ranks of a trial, the device of this process, the precision it uses."""

from __future__ import annotations

import functools
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from raykd.errors import SetupError
from raykd.models.sharding import is_sharded
from raykd.training.memory import OutOfMemory, ran_out
from raykd.training.settings import COLLECTIVE_TIMEOUT_S

T = TypeVar("T")

_DIGESTS = 1 << 20
"""Digests lie below this, so that sums of their squares are exact."""
MIN_CPU_BF16_WIDTH = 96
"""Narrowest model for which ``auto`` picks bf16 on a CPU.

Casting costs a fixed time per operation, the matrix units win with the width. Forward and backward
of three BERT blocks, batch 32, on one core with avx512_bf16 and amx, fp32 time divided by bf16
time:

====== ========= ========= ==========
 width length 12 length 32 length 128
====== ========= ========= ==========
    48      0.94      1.01       1.16
    96      1.03      1.22       1.32
   192      1.42      1.61       1.58
   384      1.90      2.15       2.00
   768      2.28      2.77       2.73
====== ========= ========= ==========

``python -m tests.benchmarks.precision`` repeats the measurement.
"""


FROZEN_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Types of a frozen model's weights by ``teacher.precision``."""


def choose_device() -> torch.device:
    """The CUDA device of this process if it sees one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


@dataclass(frozen=True, slots=True)
class DistributedContext:
    """This process among the ranks that train one model together.

    With `size` above 1 the default process group of `torch.distributed` must exist.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
        device: Where this process computes.
        lockstep: Whether ranks wait for each other within the passes of a model, as its weights are
            spread over them; one that runs out of memory there cannot tell the others.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=choose_device)
    lockstep: bool = False

    def broadcast(self, obj: T) -> T:
        """What rank 0 passed, on every rank; the value of the others is ignored."""
        if self.size == 1:
            return obj
        box = [obj]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, obj: T) -> list[T]:
        """What every rank passed, in the order of the ranks, on every rank."""
        if self.size == 1:
            return [obj]
        boxes = [obj] * self.size
        dist.all_gather_object(boxes, obj)
        return boxes

    def gather_tensors(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all ranks, which have one shape, in the order of the ranks."""
        if self.size == 1:
            return [tensor]
        boxes = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(boxes, tensor.contiguous())
        return boxes

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over the ranks, elementwise and in place; one on the CPU waits for no device."""
        if self.size > 1:
            dist.all_reduce(tensor, group=_group_of(tensor))
        return tensor

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Give every rank the values of rank 0, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def agree(self, failure: str = "", about: str = "") -> bool:
        """Meet the other ranks, before any of them waits in a collective for one that failed.

        Nothing waits for the device.

        Args:
            failure: Why memory ran out on this rank, else empty.
            about: Something that all ranks ought to have in common.

        Returns:
            Whether they have.

        Raises:
            OutOfMemory: Memory ran out on one of them.
        """
        if self.size == 1:
            if failure:
                raise OutOfMemory(failure)
            return True
        digest = zlib.crc32(about.encode()) % _DIGESTS
        outcome = torch.tensor([int(bool(failure)), digest, digest**2])
        failed, total, squares = self.sum(outcome).tolist()
        if failed:
            raise OutOfMemory(failure or "on another rank")
        # Equal only where all digests are.
        return bool(self.size * squares == total**2)


def in_lockstep(world: DistributedContext) -> DistributedContext:
    """The same ranks, which wait for each other within passes."""
    return replace(world, lockstep=True)


def _group_of(tensor: Tensor) -> dist.ProcessGroup | None:
    """The process group that can add a tensor up; None is the default one."""
    if tensor.device.type != "cpu" or "gloo" in str(dist.get_backend_config()):
        return None
    return _host_group()


@functools.cache
def _host_group() -> dist.ProcessGroup:
    """A group for tensors on the CPU next to one of GPUs; all ranks ask for it at the same time."""
    group: dist.ProcessGroup = dist.new_group(
        backend="gloo", timeout=timedelta(seconds=COLLECTIVE_TIMEOUT_S)
    )
    return group


@contextmanager
def together(world: DistributedContext) -> Iterator[None]:
    """A part of a step after which every rank knows whether memory ran out on one of them.

    Raises:
        OutOfMemory: It did; in lockstep, on this one.
    """
    failure = ""
    try:
        yield
    except OutOfMemory:
        raise
    except Exception as exc:
        failure = ran_out(exc)
        if not failure:
            raise
        if world.lockstep:
            raise OutOfMemory(failure) from exc
    world.agree(failure)


@dataclass(frozen=True, slots=True)
class Precision:
    """The number format of matrix products.

    Attributes:
        name: ``fp32`` or ``bf16``.
        device_type: ``cpu`` or ``cuda``.
        keeps_casts: Whether a weight that was cast is kept until the context ends. Those of a
            sharded model are not, as they would be the whole model.
    """

    name: str
    device_type: str
    keeps_casts: bool = True

    def autocast(self) -> AbstractContextManager[object]:
        """A context in which a model computes in this precision; nothing happens for fp32."""
        if self.name == "fp32":
            return nullcontext()
        kept = None if self.keeps_casts else False
        return torch.autocast(self.device_type, dtype=torch.bfloat16, cache_enabled=kept)


@dataclass(frozen=True, slots=True)
class Ability:
    """What the devices that train can do, all of them.

    Attributes:
        device_type: ``cpu`` or ``cuda``.
        bf16: Whether they multiply bf16 matrices in hardware.
    """

    device_type: str
    bf16: bool

    @classmethod
    def of(cls, device: torch.device) -> Ability:
        """That of one device."""
        return cls(device.type, has_bf16(device))


def resolve_precision(wanted: str, ability: Ability, width: int) -> str:
    """What the setting ``precision`` means: ``fp32`` or ``bf16``.

    ``auto`` is bf16 on GPUs that support it, and on CPUs with bf16 instructions when the model is
    at least `MIN_CPU_BF16_WIDTH` wide; else fp32.

    Args:
        wanted: ``auto``, ``fp32`` or ``bf16``.
        ability: Of the devices that train.
        width: Width of the model's hidden states.
    """
    if wanted != "auto":
        return wanted
    wins = ability.device_type == "cuda" or width >= MIN_CPU_BF16_WIDTH
    return "bf16" if ability.bf16 and wins else "fp32"


def resolve_frozen_precision(wanted: str, ability: Ability) -> str:
    """What ``teacher.precision`` means: ``fp32``, ``bf16`` or ``fp16``.

    ``auto`` is bf16 on GPUs that support it, else fp32: of a model that is not trained, nothing
    accumulates.

    Args:
        wanted: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        ability: Of the devices that the teacher runs on.
    """
    if wanted != "auto":
        return wanted
    return "bf16" if ability.device_type == "cuda" and ability.bf16 else "fp32"


def choose_precision(wanted: str, device: torch.device, model: nn.Module) -> Precision:
    """What the setting ``precision`` means on this device for this model.

    A sweep asks `resolve_precision` once, for all of its nodes.

    Args:
        wanted: ``auto``, ``fp32`` or ``bf16``.
        device: Where the model runs.
        model: The model; only its width matters.

    Raises:
        SetupError: bf16 was requested and the device has no instructions for it.
    """
    if wanted == "fp32":
        return Precision("fp32", device.type)
    ability = Ability.of(device)
    if wanted == "bf16" and not ability.bf16:
        raise SetupError(
            f"train.precision is bf16, but this {_describe(device)} has no bf16 instructions",
            hint="set train.precision to auto or fp32",
        )
    name = resolve_precision(wanted, ability, width(model))
    return Precision(name, device.type, keeps_casts=not is_sharded(model))


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # The last name is the ARM feature.
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def width(model: nn.Module) -> int:
    """The usual input width of a model's linear layers, 0 when it has none."""
    widths = Counter(m.in_features for m in model.modules() if isinstance(m, nn.Linear))
    return widths.most_common(1)[0][0] if widths else 0


def device_name(device: torch.device) -> str:
    """A device in words: a GPU by its name, or a CPU."""
    if device.type == "cuda":
        return f"GPU ({torch.cuda.get_device_name(device)})"
    return "CPU"


def _describe(device: torch.device) -> str:
    what = "" if device.type == "cuda" else " (avx512_bf16 or amx_bf16 on x86, bf16 on ARM)"
    return device_name(device) + what


def built_for_gpus() -> bool:
    """Whether PyTorch was built for GPUs, be there one on this machine or not."""
    return bool(torch.backends.cuda.is_built())  # type: ignore[no-untyped-call]
