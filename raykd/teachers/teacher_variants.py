"""Variants of a teacher: analysed once per task, built and recorded once per distinct choice.

A `TeacherAnalysis` runs when a task is prepared; its result travels with the prepared task. The
method of a trial turns that result and its parameters into a `TeacherVariant`, whose outputs are
recorded by the trial that needs them first.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from raykd import params, registry
from raykd.data.base import Array, Batch, Task, TokenizedDataset
from raykd.data.collate import Collator
from raykd.methods.base import (
    DistillationContext,
    OutputSpec,
    TeacherAnalysis,
    TeacherOutputsFn,
    TeacherVariant,
)
from raykd.models import weights
from raykd.models.base import Outputs
from raykd.models.forward import forward
from raykd.models.inference import frozen
from raykd.models.model_factory import ModelFactory
from raykd.params import Scalar
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.recording import Recording, record, row_bytes
from raykd.training.device import FROZEN_DTYPES, DistributedContext
from raykd.training.loop import TrainJob, train_model
from raykd.training.seeding import derive_seed, seed_everything
from raykd.training.settings import TrainSettings

EVAL_BATCH = 64


def analysis_name(analysis: TeacherAnalysis) -> str:
    """A stable name: equal analyses have equal names."""
    kind = type(analysis)
    digest = hashlib.sha256(f"{kind.__module__} {analysis!r}".encode()).hexdigest()[:8]
    return f"{kind.__name__.lower()}-{digest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisResult:
    """The result of one analysis.

    Attributes:
        arrays: Its arrays, by name.
        seconds: How long it took.
    """

    arrays: Mapping[str, Array]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TeacherAnalysisContext:
    """The `AnalysisContext` of a preparation.

    Attributes:
        distillation: Teacher, student and task.
        task: Gives the task loss.
        model: The fine-tuned teacher, on the device of `world`.
        factory: How a student begins.
        splits: ``train`` and ``validation``, as both models read them.
        read: The teacher's logits on the train rows.
        pad_id: Token that pads.
        max_length: Longest padded row.
        precision: Number format of trainings.
        world: This process.
    """

    distillation: DistillationContext
    task: Task
    model: nn.Module
    factory: ModelFactory
    splits: Mapping[str, TokenizedDataset]
    read: TeacherOutputsFn
    pad_id: int
    max_length: int
    precision: str = "auto"
    world: DistributedContext

    def teacher(self) -> nn.Module:
        """The fine-tuned teacher: evaluation mode, frozen weights."""
        return frozen(self.model)

    def student(self) -> nn.Module:
        """A new student as trials begin with it, in training mode."""
        return self.factory.build(seed=0).to(self.world.device)

    def distil(self, train: Mapping[str, Scalar], temperature: float, seed: int) -> nn.Module:
        """A student after plain distillation from the teacher."""
        kd = registry.load("methods", "kd")
        of = registry.params_of("methods", "kd")(alpha=0.5, temperature=temperature)
        student = self.factory.build(seed).to(self.world.device)
        train_model(
            TrainJob(
                model=student,
                method=kd(of, self.distillation),
                task=self.task,
                train=self.splits["train"],
                validation=None,
                teacher=self.read,
                settings=params.build(TrainSettings, {"precision": self.precision, **train}),
                collator=self._collator(),
                seed=seed,
                world=self.world,
                on_evaluation=lambda evaluation: False,
            )
        )
        return student

    def batches(self, split: str, batch_size: int, rows: int | None = None) -> Iterator[Batch]:
        """Batches in file order, of a seeded sample where `rows` is less than there are."""
        encoded = self.splits[split]
        numbers = np.arange(len(encoded))
        if rows is not None and rows < len(encoded):
            drawn = np.random.default_rng(derive_seed(0, split)).permutation(numbers)
            numbers = np.sort(drawn[:rows])
        collate = self._collator()
        for begin in range(0, len(numbers), batch_size):
            yield collate(encoded, numbers[begin : begin + batch_size]).to(self.world.device)

    def run(self, model: nn.Module, batch: Batch) -> Outputs:
        """Logits of a model, with gradient, and the task loss on the labels."""
        out = forward(model, batch)
        return out.scored(self.task.loss(out.logits.float(), batch))

    def _collator(self) -> Collator:
        return Collator(self.pad_id, max_length=self.max_length)


def analyse(
    teacher_analyses: tuple[TeacherAnalysis, ...],
    context: TeacherAnalysisContext,
    progress: Callable[[int], None],
) -> dict[str, AnalysisResult]:
    """The results of all analyses, by name; the teacher is left frozen."""
    results: dict[str, AnalysisResult] = {}
    for number, analysis in enumerate(teacher_analyses):
        progress(number)
        began = time.monotonic()
        seed_everything(derive_seed(0, analysis_name(analysis)))
        arrays = {name: np.array(a) for name, a in analysis.analyse(context).items()}
        results[analysis_name(analysis)] = AnalysisResult(
            arrays=arrays, seconds=time.monotonic() - began
        )
    progress(len(teacher_analyses))
    return results


def build_variant(
    factory: ModelFactory, variant: TeacherVariant, world: DistributedContext, precision: str
) -> nn.Module:
    """A derived teacher, made in float32 of a copy of the teacher's weights, in a precision."""
    model = frozen(factory.build(seed=0).to(world.device))
    return weights.cast(variant.make(model), FROZEN_DTYPES[precision])


def record_variant(
    factory: ModelFactory,
    model: nn.Module,
    output_spec: OutputSpec,
    train: TokenizedDataset,
    *,
    pad_id: int,
    max_length: int,
    dtype: str,
    device: torch.device,
) -> CachedOutputs:
    """The outputs of a derived teacher, which is on a device, on every train row."""
    sizes = row_bytes(
        train, output_spec, factory.dims, kind=factory.kind, num_labels=factory.num_labels,
        wide=dtype == "fp32",
    )  # fmt: skip
    recording = Recording(
        encoded=train,
        output_spec=output_spec,
        pad_id=pad_id,
        max_length=max_length,
        dtype=dtype,
        batch_size=EVAL_BATCH,
        row_bytes=sizes,
    )
    return record(model, recording, device)


def variant_key(fingerprint: str, variant: TeacherVariant, output_spec: OutputSpec) -> str:
    """The name under which the outputs of a variant are shared."""
    digest = hashlib.sha256(repr(output_spec).encode()).hexdigest()[:8]
    return f"{fingerprint}/{variant.key}/{digest}"
