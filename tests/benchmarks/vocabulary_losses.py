"""Losses over a vocabulary formed piece by piece, against all scores at once.

``python -m tests.benchmarks.vocabulary_losses``. The likelihood of labels and the forward
divergence from a teacher whose last hidden states are known, forward and backward, down to the
gradients of the student's states and output matrix. Both forms run on the same tensors in this
process; memory is what is allocated at the peak beyond them, time the least of some runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.divergences import forward_kl
from raykd.losses.targets import Divergence, FullTeacherTarget
from raykd.losses.vocabulary import LazyLogits
from raykd.methods._tokens import weighted
from tests.benchmarks._allocated import allocated

TOKENS, VOCABULARY, STUDENT, TEACHER, RATIO, RUNS = 1024, 50257, 256, 512, 0.5, 3


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    states = torch.randn(args.tokens, STUDENT).requires_grad_()
    weight = (torch.randn(args.vocabulary, STUDENT) / STUDENT**0.5).requires_grad_()
    theirs = torch.randn(args.tokens, TEACHER).half().float()
    matrix = torch.randn(args.vocabulary, TEACHER) / TEACHER**0.5
    labels = torch.randint(args.vocabulary, (args.tokens,))

    def pieces() -> None:
        target = FullTeacherTarget(LazyLogits(theirs, matrix))
        weighted(LazyLogits(states, weight), labels, target, RATIO, Divergence()).total().backward()

    def whole() -> None:
        student, teacher = F.linear(states, weight), F.linear(theirs, matrix)
        hard = F.cross_entropy(student, labels)
        ((1 - RATIO) * hard + RATIO * forward_kl(student, teacher).mean()).backward()

    found = {name: _measured(run, states, weight) for name, run in
             (("all at once", whole), ("in pieces", pieces))}  # fmt: skip
    for name, (peak, seconds, _) in found.items():
        print(f"{name}: {peak / 2**20:,.0f} MiB at the peak, {seconds:.2f} s")
    (peak, seconds, gradients), (ours, time_ours, mine) = found.values()
    error = max(
        float((a - b).abs().max() / b.abs().max()) for a, b in zip(mine, gradients, strict=True)
    )
    print(f"largest difference of a gradient, over its largest entry: {error:.1e}")
    print(f"ratio of memory, in pieces / all at once: {ours / peak:.3f}")
    print(f"ratio of time, in pieces / all at once: {time_ours / seconds:.2f}")


def _measured(
    run: Callable[[], None], states: Tensor, weight: Tensor
) -> tuple[int, float, tuple[Tensor, Tensor]]:
    def fresh() -> None:
        states.grad = weight.grad = None
        run()

    fresh()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        fresh()
        times.append(time.perf_counter() - began)
    states.grad = weight.grad = None
    peak = allocated(run).peak
    assert states.grad is not None
    assert weight.grad is not None
    return peak, min(times), (states.grad.clone(), weight.grad.clone())


if __name__ == "__main__":
    main()
