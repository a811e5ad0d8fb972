"""Training steps on texts that share rows, against rows of their own; real rows of Dolly.

``python -m tests.benchmarks.packed_rows [--rows 1200] [--steps 24] [--teacher]``. A Llama-shaped
student learns the rows of Dolly (``RAYKD_DATA``) with and without `train.packing`, with and without
`train.length_grouping`; steps of the two forms alternate on the same batches. For each batch size:
positions that are computed for a token, tokens per second, and the ratio of packed to not packed
(median of the ratios of each pair of steps). ``--teacher`` lets a teacher run next to the student
(kd), which packs, too.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from typing import Any

import numpy as np
import torch

from raykd import registry
from raykd.data.base import DataSettings, TokenizedDataset
from raykd.data.collate import Collator
from raykd.methods.base import DistillationContext
from raykd.models.base import RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.load import build_model, model_dims
from raykd.models.packing import packed_rows
from raykd.params import build
from raykd.teachers.teacher import OnlineTeacher
from raykd.training.batches import LengthGroupedBatches
from raykd.training.device import DistributedContext, Precision, choose_device
from raykd.training.micro_batches import MicroBatch
from raykd.training.step import Step
from tests.outside_data import outside_data

VOCABULARY, END = 4096, "<|endoftext|>"
SIZES = {"family": "llama", "heads": 4, "max_positions": 512, "dropout": 0.0}
STUDENT = RandomInitConfig(layers=2, hidden=128, **SIZES)  # type: ignore[arg-type]
TEACHER = RandomInitConfig(layers=4, hidden=256, **SIZES)  # type: ignore[arg-type]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--teacher", action="store_true")
    args = parser.parse_args(argv)
    task = registry.load("tasks", "dolly")
    rows = task.load("train", DataSettings(root=str(outside_data("dolly")), limit=args.rows))
    tokenizer = train_bpe([t for of in rows.texts for t in of], VOCABULARY, (END,))
    encoded = task.encode(rows, tokenizer, args.max_length)
    device = choose_device()
    method = "kd" if args.teacher else "sft"
    print(f"{method}, rows of at most {args.max_length} tokens, on {device.type}")
    for grouped in (True, False):
        for size in args.batch_sizes:
            forms = [
                _form(task, method, len(tokenizer), device, packing) for packing in (False, True)
            ]
            _report(encoded, forms, grouped, size, args, tokenizer.pad_token_id)


def _form(task: Any, method: str, vocabulary: int, device: torch.device, packing: bool) -> Step:
    """A step of training; with the same weights either way."""
    made: dict[str, Any] = {"vocabulary": vocabulary, "kind": task.kind, "num_labels": 1}
    student = build_model(STUDENT, seed=0, **made).to(device)
    teacher = build_model(TEACHER, seed=1, **made).to(device)
    context = DistillationContext(
        teacher=model_dims(teacher), student=model_dims(student), kind=task.kind, num_labels=1
    )
    learn = registry.load("methods", method)(build(registry.params_of("methods", method), {}),
                                             context)  # fmt: skip
    read = OnlineTeacher(teacher, vocabulary=context.compared_vocabulary, can_pack=True)
    return Step(
        student, learn, task,
        read.outputs_fn(learn.teacher_outputs(), packing=packing),
        precision=Precision("fp32", device.type),
        world=DistributedContext(0, 1, device), packing=packing,
    ).train()  # fmt: skip


def _report(
    encoded: TokenizedDataset, forms: list[Step], grouped: bool, size: int, args: Any, pad: int
) -> None:
    lengths = encoded.lengths()
    batches = LengthGroupedBatches(lengths=lengths, batch_size=size, seed=0, grouped=grouped)
    order = batches.epoch(0)[: args.steps]
    collate = Collator(pad, max_length=args.max_length)
    device = next(forms[0].model.parameters()).device
    tokens = positions = packed = 0
    seconds: list[list[float]] = [[], []]
    for number, rows in enumerate(order):
        batch = collate(encoded, rows).to(device)
        width = batch.input_ids.shape[1]
        for k in (number % 2, 1 - number % 2):
            began = time.perf_counter()
            forms[k].run([MicroBatch(copy.copy(batch), rows)], rows)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[k].append(time.perf_counter() - began)
            forms[k].zero_grad(set_to_none=True)
        if number >= 2:  # the first ones warm up
            tokens += int(lengths[rows].sum())
            positions += width * len(rows)
            packed += width * len(packed_rows(lengths[rows].tolist(), width))
    times = np.asarray(seconds)[:, 2:]
    ratio = statistics.median(times[0] / times[1])
    rates = [tokens / spent for spent in times.sum(axis=1)]
    print(
        f"length_grouping {str(grouped).lower():5} batch {size:3}: "
        f"positions/token {positions / tokens:.2f} -> {packed / tokens:.2f}; "
        f"tokens/s {rates[0]:,.0f} -> {rates[1]:,.0f}; packed/not packed {ratio:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
