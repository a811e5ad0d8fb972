"""What bf16 autocast buys on this CPU: the figures behind ``precision: auto``.

Forward and backward of a BERT of three blocks (batch 32), fp32 against bf16 autocast, in turns, so
that a busy machine slows both alike. Prints milliseconds and the ratio fp32 / bf16; above 1 bf16
wins.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

WIDTHS = (48, 96, 192, 384, 768)
LENGTHS = (12, 32, 128)
BATCH = 32


def build(width: int) -> nn.Module:
    config = BertConfig(
        vocab_size=4096,
        hidden_size=width,
        num_hidden_layers=3,
        num_attention_heads=max(1, width // 32),
        intermediate_size=4 * width,
    )
    return BertForSequenceClassification(config).train()


def step_seconds(model: nn.Module, ids: torch.Tensor, mask: torch.Tensor, bf16: bool) -> float:
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(input_ids=ids, attention_mask=mask).logits
    logits.float().square().mean().backward()
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - started


def measure(width: int, length: int) -> tuple[float, float]:
    """Median seconds of a step in fp32 and in bf16."""
    model = build(width)
    ids = torch.randint(0, 4096, (BATCH, length))
    mask = torch.ones_like(ids)
    for bf16 in (False, True):
        step_seconds(model, ids, mask, bf16)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    deadline = time.perf_counter() + 3.0
    while len(seconds[True]) < 40 and (time.perf_counter() < deadline or len(seconds[True]) < 3):
        for bf16 in (False, True):
            seconds[bf16].append(step_seconds(model, ids, mask, bf16))
    return statistics.median(seconds[False]), statistics.median(seconds[True])


def main() -> None:
    torch.manual_seed(0)
    print(f"precision: threads {torch.get_num_threads()}, ms per forward+backward, batch {BATCH}")
    print(f"{'width':>6} {'length':>6} {'fp32':>9} {'bf16':>9} {'fp32/bf16':>10}")
    for width in WIDTHS:
        for length in LENGTHS:
            fp32, bf16 = measure(width, length)
            row = f"{width:>6} {length:>6} {fp32 * 1e3:>9.2f} {bf16 * 1e3:>9.2f}"
            print(f"{row} {fp32 / bf16:>10.2f}", flush=True)


if __name__ == "__main__":
    main()
