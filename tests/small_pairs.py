"""A small teacher, a student and rows of uneven length for every kind of task; trainings on them.

Rows are token ids without a tokenizer. Some have no label (where labels are tokens that may be
absent) and most have no rationale, so that a batch, or the part of a rank, may have none at all.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from raykd import registry
from raykd.data.answer_choices import CHOICE_POSITION, CHOICE_TOKENS
from raykd.data.base import (
    EXPLAIN,
    NO_LABEL,
    PLAIN,
    PREDICT,
    TEXT_KINDS,
    Array,
    Task,
    TokenizedDataset,
)
from raykd.data.collate import Collator
from raykd.data.own_sets import OwnSets
from raykd.data.own_tags import OwnTags
from raykd.data.task_kinds import task_kind
from raykd.methods.base import DistillationContext, Method, OnlineTeacherFn
from raykd.models.base import Outputs, RandomInitConfig
from raykd.models.forward import forward
from raykd.models.generation import TextEnds
from raykd.models.load import build_model, model_dims
from raykd.params import Scalar, build
from raykd.training.device import DistributedContext, Precision
from raykd.training.loop import TrainJob
from raykd.training.micro_batches import MicroBatch, MicroBatches
from raykd.training.settings import TrainSettings
from raykd.training.step import Step

LENGTHS = (3, 9, 4, 12, 6, 5, 11, 8, 3, 7)
VOCABULARY, LONGEST, END, PAD = 40, 24, 1, 0
TEACHER_RATIONALES = (0, 3, 7)
"""Rows with a rationale."""
UNLABELLED = (1, 5)
"""Rows without a masked word."""
FAMILY: Mapping[str, str] = {"causal_lm": "gpt2", "seq2seq": "t5"}
_TASK: Mapping[str, str] = {
    "classification": "toy/sentiment", "embedding": "sts/stsb", "regression": "glue/stsb",
    "span": "squad",
    "masked_lm": "text", "causal_lm": "toy_text/replies", "seq2seq": "toy_text/replies",
}  # fmt: skip


_CLASSES = ("a", "b", "c")
_OWN: Mapping[str, Any] = {"name": "mine", "about": "", "hub": ("", ""), "labels": _CLASSES}


def task_of(kind: str) -> Task:
    """A shipped task of a kind, or one of a user's."""
    if kind == "multi_label":
        scores = ("f1_micro", "accuracy")
        return OwnSets(**_OWN, metric=scores[0], metrics=scores, texts=("text",), label="label")
    if kind == "token_classification":
        scores = ("entity_f1", "word_accuracy")
        return OwnTags(**_OWN, metric=scores[0], metrics=scores, words="words", tags="tags")
    actual: Task = registry.load("tasks", _TASK[kind])
    return actual.read_by(kind) if kind in TEXT_KINDS else actual


@dataclass(frozen=True, kw_only=True)
class SmallPair:
    """A pair on a kind of task."""

    kind: str
    task: Task
    teacher: nn.Module
    student: nn.Module
    rows: TokenizedDataset

    @classmethod
    def of(cls, kind: str, *, dropout: float = 0.0, width: int = 16) -> SmallPair:
        """The pair; a student as wide as its teacher unless told otherwise."""
        task = task_of(kind)

        def model(layers: int, seed: int, hidden: int) -> nn.Module:
            random_init = RandomInitConfig(
                family=FAMILY.get(kind, "bert"), layers=layers, hidden=hidden, heads=2,
                intermediate=32, max_positions=LONGEST, dropout=dropout,
            )  # fmt: skip
            return build_model(
                random_init, vocabulary=VOCABULARY, kind=kind, num_labels=task.num_labels, seed=seed
            )

        teacher = model(6, 1, 16).eval().requires_grad_(False)
        return cls(kind=kind, task=task, teacher=teacher, student=model(3, 2, width),
                   rows=rows_of(kind, task.num_labels))  # fmt: skip

    def method(self, name: str, **values: Scalar) -> Method[Any]:
        """A method on the pair; it must not refuse it."""
        torch.manual_seed(0)  # for methods with trained modules
        context = DistillationContext(
            teacher=model_dims(self.teacher), student=model_dims(self.student), kind=self.kind,
            num_labels=self.task.num_labels,
        )  # fmt: skip
        cls: type[Method[Any]] = registry.load("methods", name)
        method = cls(build(registry.params_of("methods", name), values), context)
        assert method.refusal() == ""
        return method

    def outputs_fn(
        self, method: Method[Any], teacher: nn.Module | None = None, *, packing: bool = False
    ) -> OnlineTeacherFn:
        """The online teacher, with what the method declares; a copy unless one is given."""
        output_spec = method.teacher_outputs().cacheable
        # A forward pass changes it for a moment.
        model = copy.deepcopy(self.teacher) if teacher is None else teacher

        def read(batch: Any) -> Outputs:
            with torch.no_grad():
                return forward(model, batch, output_spec=output_spec, packing=packing)

        return OnlineTeacherFn(model, read)

    def read_by(self, method: Method[Any]) -> TokenizedDataset:
        """The rows as a method reads them."""
        if not method.view:
            return self.rows
        read = self.rows.views[method.view]
        return dataclasses.replace(read, views={**self.rows.views, PLAIN: self.rows})

    def collator(self, method: Method[Any]) -> Collator:
        """As a trial makes it."""
        context_padding = method.teacher_outputs().context_padding
        return Collator(
            PAD, max_length=LONGEST, context_padding=context_padding, views=method.views()
        )

    def step(
        self,
        method: Method[Any],
        world: DistributedContext,
        model: nn.Module,
        teacher: nn.Module | None = None,
        *,
        packing: bool = False,
    ) -> Step:
        """The step of a training."""
        precision = Precision("fp32", "cpu")
        read = self.outputs_fn(method, teacher, packing=packing)
        return Step(
            model, method, self.task, read, precision=precision, world=world,
            text_ends=TextEnds(end=END, pad=PAD), packing=packing,
        ).train()  # fmt: skip

    def parts(
        self, method: Method[Any], rows: Array, world: DistributedContext, passes: int = 1
    ) -> list[MicroBatch]:
        """A batch cut for so many passes; as many as it has rows for."""
        largest = -(-len(rows) // world.size)
        settings = TrainSettings(batch_size=len(rows), micro_batch=-(-largest // passes))
        cut = MicroBatches(settings, self.read_by(method), self.collator(method), world)
        [(_, parts)] = cut.of([rows])
        return parts

    def job(
        self, method: Method[Any], model: nn.Module, world: DistributedContext, **changes: Any
    ) -> TrainJob:
        """A training on all rows."""
        names = {field.name for field in dataclasses.fields(TrainJob)}
        own = {name: changes.pop(name) for name in list(changes) if name in names}
        teacher = own.pop("teacher", None) or self.outputs_fn(method)
        train = {"epochs": 2, "batch_size": 4, "lr": 1e-2, "precision": "fp32", **changes}
        job = TrainJob(
            model=model, method=method, task=self.task, train=self.read_by(method), validation=None,
            settings=TrainSettings(**train), collator=self.collator(method), seed=3, world=world,
            on_evaluation=lambda _: False, end_id=END, teacher=teacher,
        )  # fmt: skip
        return dataclasses.replace(job, **own)


def rows_of(kind: str, num_labels: int, seed: int = 0) -> TokenizedDataset:
    """Rows for a kind of task."""
    if kind in TEXT_KINDS:
        plain = _responses(kind, LENGTHS, np.roll(LENGTHS, 3) // 2 + 1, seed)
        explained = [n if row in TEACHER_RATIONALES else 0 for row, n in enumerate(LENGTHS)]
        views = {
            # The same responses after other prompts.
            PREDICT: _responses(kind, np.roll(LENGTHS, 5), np.roll(LENGTHS, 3) // 2 + 1, seed),
            EXPLAIN: _responses(kind, LENGTHS, np.array(explained), seed + 2),
        }
        choices = np.random.default_rng(seed + 3).integers(5, VOCABULARY, (len(LENGTHS), 3))
        choices[::3, 2] = NO_LABEL
        at = np.zeros(len(LENGTHS), np.int64)
        columns = {CHOICE_TOKENS: choices, CHOICE_POSITION: at}
        views = {n: dataclasses.replace(e, columns=columns) for n, e in views.items()}
        return dataclasses.replace(plain, views=views, columns=columns)
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    ids = random.integers(5, VOCABULARY, offsets[-1]).astype(np.int32)
    labels: Array = random.integers(0, max(num_labels, 2), len(LENGTHS))
    is_tagged = task_kind(kind).labels_of == "token"
    types = np.zeros(len(ids), np.int8)
    if task_kind(kind).reads_apart:
        labels = random.random(len(LENGTHS)).astype(np.float32)
        types = np.concatenate([np.arange(n) > n // 3 for n in LENGTHS]).astype(np.int8)
    elif kind == "regression":
        labels = random.normal(size=len(LENGTHS)).astype(np.float32)
    elif kind == "span":
        labels = np.stack([np.zeros(len(LENGTHS), np.int64), np.array(LENGTHS) - 1], axis=1)
    elif kind == "multi_label":
        labels = random.integers(0, 2, (len(LENGTHS), num_labels)).astype(np.float32)
    elif is_tagged:
        message = ids if kind == "masked_lm" else random.integers(0, num_labels, offsets[-1])
        labels = np.where(random.random(offsets[-1]) < 0.4, message, NO_LABEL).astype(np.int64)
        for row, (begin, end) in enumerate(itertools.pairwise(offsets)):
            labels[begin] = message[begin]
            if row in UNLABELLED:
                labels[begin:end] = NO_LABEL
    return TokenizedDataset(
        input_ids=ids, token_type_ids=types, offsets=offsets, labels=labels,
        token_labels=is_tagged,
    )  # fmt: skip


def _responses(kind: str, prompts: Any, responses: Any, seed: int) -> TokenizedDataset:
    """Prompts and responses, of so many tokens each; a response of none has no label."""
    random, asking = np.random.default_rng(seed), np.random.default_rng(sum(prompts))
    ids: list[Array] = []
    labels: list[Array] = []
    for prompt, response in zip(prompts, responses, strict=True):
        own = asking.integers(5, VOCABULARY, prompt)
        message = random.integers(5, VOCABULARY, response)
        if kind == "seq2seq":
            ids.append(own)
            labels.append(message if response else np.full(1, NO_LABEL))
            continue
        # A decoder reads the response, too, and predicts its first token from the prompt's last.
        ids.append(np.concatenate([own, message[:-1]]))
        labels.append(np.concatenate([np.full(prompt - 1, NO_LABEL), message])
                      if response else np.full(prompt, NO_LABEL))  # fmt: skip

    def offsets(parts: list[Array]) -> Array:
        return np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int64)

    flat = np.concatenate(ids).astype(np.int32)
    return TokenizedDataset(
        input_ids=flat, token_type_ids=np.zeros(len(flat), np.int8), offsets=offsets(ids),
        labels=np.concatenate(labels).astype(np.int64), token_labels=True,
        label_offsets=offsets(labels) if kind == "seq2seq" else None,
    )  # fmt: skip
