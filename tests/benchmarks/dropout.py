"""A training step with PyTorch's dropout against one with `raykd.models.dropout`, on the CPU.

The student of 4x312 that `naive_sweep` trains, a batch of 32 rows of one length, forward and
backward on one thread, both kinds in turns. Prints the median milliseconds of the processor, which
other work on the machine hardly changes, and the median, least and largest ratio of the pairs;
above 1 ours wins.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from raykd.data.base import Batch
from raykd.models.base import RandomInitConfig
from raykd.models.dropout import with_cheap_dropout
from raykd.models.forward import forward
from raykd.models.load import build_model

LENGTHS = (16, 64, 128)
BATCH, VOCABULARY, REPEATS = 32, 4096, 7


def student(*, cheap: bool) -> nn.Module:
    random_init = RandomInitConfig(
        family="bert", layers=4, hidden=312, heads=12, intermediate=1200, max_positions=128
    )
    model = build_model(
        random_init, vocabulary=VOCABULARY, kind="classification", num_labels=2, seed=0
    ).train()
    if cheap:
        with_cheap_dropout(model)
    return model


def step_seconds(model: nn.Module, batch: Batch, bf16: bool) -> float:
    began = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = forward(model, batch).logits
    assert logits is not None
    logits.float().square().mean().backward()
    model.zero_grad(set_to_none=True)
    return time.process_time() - began


def main() -> None:
    torch.set_num_threads(1)
    models = {cheap: student(cheap=cheap) for cheap in (False, True)}
    print(f"{'length':>6} {'precision':>9} {'PyTorch':>9} {'ours':>9} {'ratio':>6} {'range':>11}")
    for length in LENGTHS:
        ids = torch.randint(5, VOCABULARY, (BATCH, length))
        batch = Batch(
            input_ids=ids, attention_mask=torch.ones_like(ids),
            token_type_ids=torch.zeros_like(ids), labels=torch.zeros(BATCH, dtype=torch.long),
            index=torch.arange(BATCH),
        )  # fmt: skip
        for bf16 in (True, False):
            taken: dict[bool, list[float]] = {False: [], True: []}
            for model in models.values():
                step_seconds(model, batch, bf16)
            for _ in range(REPEATS):
                for cheap, model in models.items():
                    taken[cheap].append(step_seconds(model, batch, bf16))
            expected, actual = (statistics.median(taken[cheap]) * 1e3 for cheap in (False, True))
            ratios = [a / b for a, b in zip(taken[False], taken[True], strict=True)]
            name = "bf16" if bf16 else "fp32"
            print(
                f"{length:>6} {name:>9} {expected:>9.1f} {actual:>9.1f} "
                f"{statistics.median(ratios):>6.2f} {min(ratios):>5.2f}-{max(ratios):.2f}"
            )


if __name__ == "__main__":
    main()
