"""Training steps of a student whose blocks are compiled, against the same student as it is written.

``python -m tests.benchmarks.compiled_blocks [--steps 30] [--hidden 256] [--family llama]``. Two
students with equal weights learn the same random batches of several lengths, one step of each in
turn. Printed are the ratio of the two once everything is compiled (median of the ratios of each
pair of steps), the time that compiling takes, the steps after which it has paid, and the ratio over
a training of so many steps, the compiling included. A third student, built as the next trial of a
slot would be, shows whether anything is compiled again. On a GPU,
products are bf16.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time

import torch

from raykd.data.base import NO_LABEL, Batch
from raykd.models.base import RandomInitConfig
from raykd.models.compiled import compile_blocks
from raykd.models.forward import forward
from raykd.models.load import build_model
from raykd.training.device import Precision, choose_device

SHAPES = ((16, 96), (16, 64), (16, 128), (8, 100))
"""Rows and lengths; the first ones compile."""
VOCABULARY, TRAINING = 2000, 2000


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--family", default="llama")
    args = parser.parse_args(argv)
    device = choose_device()
    sizes = RandomInitConfig(
        family=args.family, layers=args.layers, hidden=args.hidden, heads=4, max_positions=128,
        dropout=0.0,
    )  # fmt: skip
    plain = build_model(sizes, vocabulary=VOCABULARY, kind="causal_lm", num_labels=1, seed=0)
    plain = plain.to(device).train()
    compiled, following = copy.deepcopy(plain), copy.deepcopy(plain)
    for model in (compiled, following):
        compile_blocks(model)
    pairs = [
        [_step(model, _batch(*SHAPES[k % len(SHAPES)], device)) for model in (plain, compiled)]
        for k in range(args.steps)
    ]
    warm = args.steps // 2
    late = pairs[warm:]
    ratio = statistics.median(one / two for one, two in late)
    one, two = (statistics.median(times) for times in zip(*late, strict=True))
    compiling = sum(b - a for a, b in pairs[:warm]) + warm * (one - two)
    again = [_step(following, _batch(*SHAPES[k % len(SHAPES)], device)) for k in range(4)]
    print(
        f"{args.family} {args.layers}x{args.hidden} on {device.type}, steps of {one * 1e3:.1f} ms"
    )
    print(f"as written / compiled: {ratio:.2f}; compiling takes {compiling:.1f} s", end="")
    print(f", paid after {compiling / (one - two):,.0f} steps" if one > two else ", never paid")
    whole = TRAINING * one / (compiling + TRAINING * two)
    print(f"over {TRAINING:,} steps with compiling: {whole:.2f}")
    print(f"first steps of the next student: {', '.join(f'{t * 1e3:.0f}' for t in again)} ms")


def _batch(rows: int, length: int, device: torch.device) -> Batch:
    ids = torch.randint(5, VOCABULARY, (rows, length))
    mask = torch.ones_like(ids)
    mask[0, length // 2 :] = 0
    return Batch(
        input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids),
        labels=torch.where(mask == 1, ids, NO_LABEL), index=torch.arange(rows),
    ).to(device)  # fmt: skip


def _step(model: torch.nn.Module, batch: Batch) -> float:
    """Seconds of a forward and a backward pass."""
    began = time.perf_counter()
    device = batch.labels.device
    precision = Precision("bf16" if device.type == "cuda" else "fp32", device.type)
    with precision.autocast():
        logits = forward(model, batch).logits
    logits.float().square().mean().backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
