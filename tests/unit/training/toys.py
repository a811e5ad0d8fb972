"""A small real problem for the tests of training: rows, a task, a student, methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from raykd.data.base import Array, Batch, DataSettings, Examples, Task, TokenizedDataset
from raykd.data.collate import Collator
from raykd.methods.base import DistillationContext, LossTerms, Method, OutputSpec
from raykd.models.base import ModelDims, Outputs
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.results.records import Evaluation
from raykd.training.device import DistributedContext
from raykd.training.loop import TrainJob
from raykd.training.settings import TrainSettings

CPU = torch.device("cpu")
VOCABULARY = 60
CLASSES = 3
COLLATOR = Collator(0, max_length=32)


class FirstToken(Task):
    """The first token of a row tells its class."""

    kind = "classification"

    def __init__(self) -> None:
        self.name = "first-token"
        self.labels = ("a", "b", "c")
        self.metric = "accuracy"
        self.metrics = ("accuracy",)
        self.about = "A task for tests."

    def splits(self, settings: DataSettings) -> tuple[str, ...]:
        return ()

    def load(self, split: str, settings: DataSettings) -> Examples:
        raise NotImplementedError

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        raise NotImplementedError

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(logits, batch.labels)

    def score(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
        return {"accuracy": float((logits.argmax(1) == encoded.labels).mean())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    scale: float = 1.0


class Plain(Method[Params]):
    """The task loss times a scale."""

    title = "task loss"
    reference = ""
    requires = OutputSpec()

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        return LossTerms(task=student.task_loss * self.params.scale)


class Projected(Method[Params]):
    """Task loss, soft targets, and a trained projection of a hidden state; no task head needed."""

    title = "projection"
    reference = ""
    requires = OutputSpec(Logits(), *hidden_states((1,)))

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self.projection = nn.Linear(context.student.hidden, 4)

    def student_outputs(self) -> OutputSpec:
        return OutputSpec(Logits(), *hidden_states((1,)))

    def modules(self) -> nn.Module:
        return self.projection

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        first = self.projection(student.hidden(1).float()[:, 0])
        target = torch.stack([batch.index % k for k in (2, 3, 4, 5)], dim=1).float()
        error = student.logits.float() - teacher.logits
        return LossTerms(
            task=student.task_loss,
            soft=error.square().mean(),
            hidden=(first - target).square().mean(),
        )


def encoded(num_rows: int, seed: int = 0, longest: int = 24) -> TokenizedDataset:
    random = np.random.default_rng(seed)
    lengths = random.integers(4, longest, num_rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = random.integers(4, VOCABULARY, offsets[-1]).astype(np.int32)
    labels = random.integers(0, CLASSES, num_rows)
    ids[offsets[:-1]] = labels + 1
    return TokenizedDataset(
        input_ids=ids,
        token_type_ids=np.zeros(len(ids), np.int8),
        offsets=offsets,
        labels=labels.astype(np.int64),
    )


def bert(seed: int = 0, *, hidden: int = 16, layers: int = 1, dropout: float = 0.1) -> nn.Module:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=32,
        num_labels=CLASSES,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    return BertForSequenceClassification(config)


def lookup(batch: Batch) -> Outputs:
    """A teacher whose logits follow from the row number."""
    return Outputs(logits=torch.stack([(batch.index % k) / k for k in (3, 5, 7)], dim=1))


def context(hidden: int) -> DistillationContext:
    sizes = ModelDims(layers=1, hidden=hidden, heads=2, vocabulary=VOCABULARY)
    return DistillationContext(
        teacher=sizes, student=sizes, kind="classification", num_labels=CLASSES
    )


def job(
    *,
    method: type[Method[Params]] = Projected,
    seed: int = 5,
    rows: int = 70,
    hidden: int = 16,
    scale: float = 1.0,
    world: DistributedContext | None = None,
    on_evaluation: Callable[[Evaluation], bool] = lambda _: False,
    **changes: Any,
) -> TrainJob:
    """A training; `changes` are settings of training or fields of the job."""
    names = ("state_path", "state_every_s", "validation", "model", "note")
    fields = {name: changes.pop(name) for name in names if name in changes}
    defaults: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 1e-3}
    torch.manual_seed(seed)
    fields.setdefault("model", bert(seed, hidden=hidden))
    fields.setdefault("validation", encoded(40, seed=9))
    return TrainJob(
        method=method(Params(scale=scale), context(hidden)),
        task=FirstToken(),
        train=encoded(rows),
        teacher=lookup,
        settings=TrainSettings(**(defaults | changes)),
        collator=COLLATOR,
        seed=seed,
        world=world or DistributedContext(0, 1, CPU),
        on_evaluation=on_evaluation,
        **fields,
    )


def numbers(history: tuple[Evaluation, ...]) -> list[tuple[Any, ...]]:
    """An evaluation history without times, for comparison bit by bit."""
    return [(e.step, e.epoch, dict(e.metrics), dict(e.terms)) for e in history]
