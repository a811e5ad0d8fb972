"""What is measured on a GPU: losses, the rate of steps, trials by hand, equal passes.

Everything runs in this process, without Ray: batches, models and the loop of a trial are raykd's.
"""

from __future__ import annotations

import copy
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from raykd.data.base import Batch, TokenizedDataset
from raykd.data.collate import Collator
from raykd.models.base import RandomInitConfig
from raykd.models.forward import forward
from raykd.models.load import build_model
from raykd.training.device import DistributedContext, Precision, has_bf16
from raykd.training.micro_batches import MicroBatch
from raykd.training.model_options import prepare_model
from raykd.training.optim import Optimizer
from raykd.training.settings import TrainSettings
from raykd.training.step import Step
from tests.benchmarks import vocabulary_losses
from tests.gpu.checks import Given
from tests.gpu.steps import recorded_outputs
from tests.small_pairs import PAD, SmallPair, task_of

ROUNDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """A pair and its batches.

    Attributes:
        kind: Kind of task.
        student: The student.
        teacher: The teacher.
        rows: Rows of a batch.
        length: Longest row; rows have half as many tokens at least.
        steps: Steps of a round.
    """

    kind: str
    student: RandomInitConfig
    teacher: RandomInitConfig
    rows: int
    length: int
    steps: int = 10


def _bert(layers: int, hidden: int, heads: int, vocabulary: int = 30_522) -> RandomInitConfig:
    return RandomInitConfig(
        family="bert", layers=layers, hidden=hidden, heads=heads, vocabulary=vocabulary
    )


def _qwen(layers: int, hidden: int, heads: int, vocabulary: int = 151_936) -> RandomInitConfig:
    return RandomInitConfig(
        family="qwen2", layers=layers, hidden=hidden, heads=heads, vocabulary=vocabulary,
        intermediate=hidden * 11 // 2, dropout=0.0,
    )  # fmt: skip


SIZES = {
    "BERT-base": Size(kind="classification", student=_bert(12, 768, 12),
                      teacher=_bert(24, 1024, 16), rows=32, length=128),
    "0.5B": Size(kind="causal_lm", student=_qwen(24, 896, 14), teacher=_qwen(28, 1536, 12),
                 rows=8, length=512),
}  # fmt: skip
SMALL = {
    "tiny BERT": Size(kind="classification", student=_bert(2, 16, 2, 100),
                      teacher=_bert(4, 16, 2, 100), rows=4, length=12, steps=2),
    "tiny decoder": Size(kind="causal_lm", student=_qwen(2, 16, 2, 100),
                         teacher=_qwen(2, 16, 2, 100), rows=4, length=12, steps=2),
}  # fmt: skip


class Trial:
    """A training of a size, by raykd's loop or by hand.

    Args:
        size: The pair and its batches.
        device: Where.
    """

    def __init__(self, size: Size, device: torch.device) -> None:
        self.size, self.device = size, device
        task = task_of(size.kind)
        build: Callable[..., Any] = lambda config, seed: build_model(  # noqa: E731
            config, vocabulary=config.vocabulary, kind=size.kind, num_labels=task.num_labels,
            seed=seed,
        )  # fmt: skip
        with device:  # drawing half a billion weights takes a processor a minute
            teacher = build(size.teacher, 1).eval().requires_grad_(False)
            student = build(size.student, 0)
        rows = _rows(size, task.num_labels)
        self.pair = SmallPair(
            kind=size.kind, task=task, teacher=teacher, student=student, rows=rows
        )
        self.precision = Precision("bf16" if has_bf16(device) else "fp32", device.type)
        self.collate = Collator(PAD, max_length=size.length)

    def seconds(self, method: str, *, recorded: bool = False) -> float:
        """Seconds of a step of raykd's loop, the median of some rounds."""
        of = self.pair.method(method)
        teacher = self.pair.teacher.to(self.device)
        read = (
            recorded_outputs(self.pair, of, teacher, self.device, self.size.length)
            if recorded
            else self.pair.outputs_fn(of, teacher)
        )
        step = Step(
            copy.deepcopy(self.pair.student).to(self.device), of, self.pair.task, read,
            precision=self.precision, world=DistributedContext(0, 1, self.device),
        ).to(self.device).train()  # fmt: skip
        optimizer = Optimizer(step, TrainSettings(lr=1e-5), 1000)

        def one(rows: Any) -> None:
            batch = self.collate(self.pair.rows, rows).to(self.device)
            step.run([MicroBatch(batch=batch, rows=rows)], rows)
            optimizer.step(0)

        return self._timed(one)

    def bare_seconds(self, *, live: bool = False) -> float:
        """Seconds of a step as one writes it, without a teacher or with one that runs."""
        model: Any = copy.deepcopy(self.pair.student).to(self.device).train()
        teacher: Any = self.pair.teacher.to(self.device)
        adamw = torch.optim.AdamW(model.parameters(), 1e-5, fused=True)

        def one(rows: Any) -> None:
            batch = self.collate(self.pair.rows, rows).to(self.device)
            read = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
            with self.precision.autocast():
                logits = model(**read).logits
                known = None
                if live:
                    with torch.no_grad():
                        known = teacher(**read).logits
            _by_hand(logits, known, batch.labels).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adamw.step()
            adamw.zero_grad(set_to_none=True)

        return self._timed(one)

    def _timed(self, one: Callable[[Any], None]) -> float:
        def batches() -> Iterator[Any]:
            for number in range(self.size.steps):
                yield np.arange(self.size.rows) + self.size.rows * number

        actual = []
        for round_ in range(ROUNDS + 1):
            began = time.perf_counter()
            for rows in batches():
                one(rows)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            if round_:
                actual.append((time.perf_counter() - began) / self.size.steps)
        return statistics.median(actual)


@functools.cache
def _trial(size: Size, device: torch.device) -> Trial:
    return Trial(size, device)


def _by_hand(logits: torch.Tensor, known: torch.Tensor | None, labels: torch.Tensor) -> Any:
    logits, labels = logits.float().flatten(0, -2), labels.flatten()
    hard = nn.functional.cross_entropy(logits, labels)
    if known is None:
        return hard
    own = logits.log_softmax(dim=-1)
    soft = nn.functional.kl_div(
        own, known.float().flatten(0, -2).log_softmax(dim=-1), reduction="none", log_target=True
    )
    return 0.5 * hard + 0.5 * soft.sum(dim=-1)[labels >= 0].mean()


def _rows(size: Size, num_labels: int) -> TokenizedDataset:
    random = np.random.default_rng(0)
    lengths = random.integers(size.length // 2, size.length + 1, size.rows * size.steps)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    vocabulary = min(size.student.vocabulary, size.teacher.vocabulary)
    ids = random.integers(5, vocabulary, offsets[-1]).astype(np.int32)
    over_tokens = size.kind == "causal_lm"
    labels = np.roll(ids, -1).astype(np.int64) if over_tokens else None
    return TokenizedDataset(
        input_ids=ids, token_type_ids=np.zeros(len(ids), np.int8), offsets=offsets,
        labels=random.integers(0, num_labels, len(lengths)) if labels is None else labels,
        token_labels=over_tokens,
    )  # fmt: skip


def step_rate(given: Given) -> list[str]:
    """Steps with a recorded teacher against a bare loop without one."""
    message = []
    for name, size in (SMALL if given.small else SIZES).items():
        trial = _trial(size, given.device)
        bare, result = trial.bare_seconds(), trial.seconds("kd", recorded=True)
        message.append(f"{name}: bare {1e3 * bare:.1f} ms, kd {1e3 * result:.1f} ms, "
                    f"ratio {bare / result:.2f}")  # fmt: skip
    return message


def naive_sweep(given: Given) -> list[str]:
    """Steps with a recorded teacher against a loop by hand that runs the teacher in each."""
    message = []
    for name, size in (SMALL if given.small else SIZES).items():
        trial = _trial(size, given.device)
        naive, result = trial.bare_seconds(live=True), trial.seconds("kd", recorded=True)
        message.append(f"{name}: by hand {1e3 * naive:.1f} ms, kd {1e3 * result:.1f} ms, "
                    f"{naive / result:.2f} times as many trials")  # fmt: skip
    return message


def vocabulary(given: Given) -> list[str]:
    """Time and memory of the losses over a vocabulary."""
    dtype = torch.bfloat16 if given.device.type == "cuda" else torch.float32
    shape = vocabulary_losses.Shape()
    if given.small:
        shape = vocabulary_losses.Shape(tokens=64, vocabulary=2048, student=16, teacher=16)
    return vocabulary_losses.lines(shape, given.device, dtype)


def attention(given: Given) -> list[str]:
    """Whether two passes over the same long rows give the same gradients, to the bit.

    PyTorch's fused attention adds up in one order only where operations that have no such kernel
    are errors (``strict``), not where they are used as they are.
    """
    layers, tokens = (2, 40) if given.small else (4, 500)
    message = []
    for kind, config in (
        ("classification", _bert(layers, 64, 2, 100)), ("causal_lm", _qwen(layers, 64, 2, 100)),
    ):  # fmt: skip
        size = Size(kind=kind, student=config, teacher=config, rows=4, length=tokens, steps=1)
        trial = _trial(size, given.device)
        batch = trial.collate(trial.pair.rows, np.arange(size.rows)).to(given.device)
        for name, is_strict in (("sdpa", False), ("sdpa", True), ("eager", False)):
            for precision in ("fp32", "bf16"):
                off = _between_passes(trial, batch, name, precision, strict=is_strict)
                said = "equal" if off == 0 else f"{off:.1e} of the largest entry apart"
                strict = ", strict" if is_strict else ""
                message.append(f"{kind}, {name}, {precision}{strict}: {said}")
    return message


def _between_passes(
    trial: Trial, batch: Batch, attention_name: str, precision: str, *, strict: bool
) -> float:
    """How far the gradients of some passes are apart, in the largest entry of one of them."""
    model: Any = copy.deepcopy(trial.pair.student).eval()
    settings = TrainSettings(attention=attention_name, precision=precision)
    prepare_model(model, settings, trial.device)
    before = torch.are_deterministic_algorithms_enabled()
    gradients = []
    torch.use_deterministic_algorithms(before or strict, warn_only=not strict)
    try:
        for _ in range(ROUNDS):
            model.zero_grad()
            with Precision(precision, trial.device.type).autocast():
                logits = forward(model, batch).logits
            logits.float().square().mean().backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()
                                        if p.grad is not None]))  # fmt: skip
    finally:
        torch.use_deterministic_algorithms(before, warn_only=True)
    first, *others = gradients
    return max(float((first - other).abs().max()) for other in others) / float(first.abs().max())


FIGURES: dict[str, Callable[[Given], list[str]]] = {
    "vocabulary_losses": vocabulary,
    "step_rate": step_rate,
    "naive_sweep": naive_sweep,
    "attention": attention,
}
