"""Losses over a vocabulary formed chunk by chunk, against all logits at once.

``python -m tests.benchmarks.vocabulary_losses``. Half the likelihood of labels and half the
Jensen-Shannon divergence from a teacher whose last hidden states are known, forward and backward,
down to the gradients of the student's states and output matrix. On CUDA at the shape of a table
that Liger publishes, in bf16; on the CPU at a smaller one, in float32. Both forms run on the same
tensors in this process; memory is what is allocated at the peak, time the least of some runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.divergences import divergence
from raykd.losses.targets import Divergence, FullTeacherTarget
from raykd.losses.vocabulary import LazyLogits, chunk_tokens
from raykd.methods._tokens import weighted
from raykd.training.device import choose_device
from tests.benchmarks._allocated import allocated

RATIO, RUNS = 0.5, 3
PUBLISHED = {"dense": (213.2, 68_947), "fused": (60.7, 11_110)}
"""Milliseconds and MiB of Liger 0.4.2 on an H100 of 80 GB, for 8,192 tokens in bf16
(https://github.com/linkedin/Liger-Kernel, benchmark/data/all_benchmark_data.csv, distill_jsd)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Sizes of a loss; the defaults are those of the published table."""

    tokens: int = 8192
    vocabulary: int = 128_256
    student: int = 2048
    teacher: int = 4096

    @property
    def is_published(self) -> bool:
        """Whether `PUBLISHED` is of this shape."""
        return self == Shape()


SCALED_DOWN = Shape(tokens=1024, vocabulary=64_128, student=128, teacher=256)
"""For a processor: half the vocabulary, an eighth of the tokens, a sixteenth of the widths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One form of the loss.

    Attributes:
        ms: Least time of a run.
        mib: Most memory at a time: on CUDA all of it, on the CPU what is there besides the inputs.
        gradients: Of states and matrix.
    """

    ms: float
    mib: float
    gradients: tuple[Tensor, ...]


class Loss:
    """Both forms of the loss on one set of tensors.

    Args:
        shape: Its sizes.
        device: Where.
        dtype: Of states, matrices and products; what a softmax computes in is float32.
    """

    def __init__(self, shape: Shape, device: torch.device, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        s, self.device, self.dtype = shape, device, dtype

        def drawn(*sizes: int, scale: float = 1.0) -> Tensor:
            return torch.randn(*sizes, device=device).mul_(scale).to(dtype)

        self.states = drawn(s.tokens, s.student).requires_grad_()
        self.weight = drawn(s.vocabulary, s.student, scale=s.student**-0.5).requires_grad_()
        self.teacher = drawn(s.tokens, s.teacher)
        self.matrix = drawn(s.vocabulary, s.teacher, scale=s.teacher**-0.5)
        self.labels = torch.randint(s.vocabulary, (s.tokens,), device=device)

    def in_chunks(self) -> None:
        """As raykd does it."""
        scores = LazyLogits(self.states, self.weight, None, self.dtype)
        target = FullTeacherTarget(LazyLogits(self.teacher, self.matrix, None, self.dtype))
        weighted(scores, self.labels, target, RATIO, Divergence(kind="jsd")).total().backward()

    def at_once(self) -> None:
        """As one writes it down."""
        student = F.linear(self.states, self.weight).float()
        teacher = F.linear(self.teacher, self.matrix).float()
        soft = divergence("jsd", beta=0.5)(student, teacher).mean()
        ((1 - RATIO) * F.cross_entropy(student, self.labels) + RATIO * soft).backward()

    def measured(self, run: Callable[[], None]) -> Measured:
        """Time, memory and gradients of one form."""
        on_gpu = self.device.type == "cuda"

        def fresh() -> None:
            self.states.grad = self.weight.grad = None
            run()
            if on_gpu:
                torch.cuda.synchronize(self.device)

        fresh()
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            fresh()
            times.append(time.perf_counter() - began)
        self.states.grad = self.weight.grad = None
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
            fresh()
            peak = torch.cuda.max_memory_allocated(self.device)
        else:
            peak = allocated(run).peak
        gradients = tuple(x.grad.clone() for x in (self.states, self.weight) if x.grad is not None)
        return Measured(ms=1e3 * min(times), mib=peak / 2**20, gradients=gradients)


def measure(shape: Shape, device: torch.device, dtype: torch.dtype) -> dict[str, Measured]:
    """Both forms; without the dense one where it does not fit."""
    loss = Loss(shape, device, dtype)
    actual = {"in chunks": loss.measured(loss.in_chunks)}
    try:
        actual["all at once"] = loss.measured(loss.at_once)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
    return actual


def difference(actual: dict[str, Measured]) -> float:
    """Largest difference of a gradient between the forms, over its largest entry."""
    pairs = zip(actual["in chunks"].gradients, actual["all at once"].gradients, strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def lines(shape: Shape, device: torch.device, dtype: torch.dtype) -> list[str]:
    """What is printed."""
    actual = measure(shape, device, dtype)
    chunk = chunk_tokens(device.type, shape.vocabulary, dtype)
    lines = [f"{shape.tokens:,} tokens, vocabulary {shape.vocabulary:,}, widths {shape.student:,} "
            f"and {shape.teacher:,}, {dtype}, {device}, chunks of {chunk:,} tokens"]  # fmt: skip
    lines += [f"{name}: {one.ms:,.1f} ms, {one.mib:,.0f} MiB" for name, one in actual.items()]
    if len(actual) == 2:
        result, dense = actual["in chunks"], actual["all at once"]
        lines.append(f"ratio of memory, in chunks / all at once: {result.mib / dense.mib:.3f}")
        lines.append(f"ratio of time, in chunks / all at once: {result.ms / dense.ms:.2f}")
        lines.append(f"largest difference of a gradient: {difference(actual):.1e}")
    if shape.is_published:
        lines += [f"published for an H100, {name}: {ms:,.1f} ms, {mib:,} MiB"
                 for name, (ms, mib) in PUBLISHED.items()]  # fmt: skip
    return lines


def main(argv: list[str] | None = None) -> None:
    """Print time and memory of both forms."""
    device = choose_device()
    usual = Shape() if device.type == "cuda" else SCALED_DOWN
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("tokens", "vocabulary", "student", "teacher"):
        parser.add_argument(f"--{name}", type=int, default=getattr(usual, name))
    shape = Shape(**vars(parser.parse_args(argv)))
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    print("\n".join(lines(shape, device, dtype)))


if __name__ == "__main__":
    main()
