"""How the teacher of a task is served, and the identity of what is prepared for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from raykd import params
from raykd.errors import Problem, SpecError
from raykd.models.source import ModelSource
from raykd.params import describe
from raykd.spec.schema import SweepSpec
from raykd.sweep.gather import Gathered
from raykd.teachers.derive import name_of
from raykd.teachers.prepare import StudentCut, TaskInputs
from raykd.teachers.recorded import estimate_bytes
from raykd.training.settings import TrainSettings

STORE_SHARE = 0.5
"""Recorded outputs may fill this part of the object store; the rest is for everything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A task's inputs with the decision how its teacher is served.

    Attributes:
        inputs: What a worker prepares.
        serving: The decision and its arithmetic, in words.
    """

    inputs: TaskInputs
    serving: str


def inputs_of(spec: SweepSpec, gathered: Gathered, store_bytes: int) -> Planned:
    """Decide how the teacher is served, and name the whole by its fingerprint.

    Args:
        spec: The sweep.
        gathered: The task.
        store_bytes: Capacity that recorded outputs may use part of.
    """
    train = gathered.teacher_splits["train"]
    needed = estimate_bytes(
        train,
        gathered.signals,
        gathered.teacher.anatomy,
        gathered.task,
        wide=spec.teacher.dtype == "fp32",
    )
    room = int(store_bytes * STORE_SHARE)
    needs_live = gathered.signals.weights
    mode = spec.teacher.serve
    if mode == "auto":
        mode = "outputs" if needed <= room and not needs_live else "weights"
    if mode == "outputs" and needs_live:
        found = Problem(
            path="teacher.serve",
            message="a method of this file needs the live teacher, but serve is outputs",
            hint="use serve: auto or weights",
        )
        raise SpecError(found=[found])
    inputs = TaskInputs(
        task=gathered.task,
        teacher_splits=gathered.teacher_splits,
        student_splits=gathered.student_splits,
        teacher=gathered.teacher,
        teacher_pad=gathered.tokens.teacher.pad_token_id,
        finetune=finetune_settings(spec) if finetuned(spec) else None,
        finetune_seed=_finetune_seed(spec),
        student=gathered.student,
        student_pad=gathered.tokens.student.pad_token_id,
        same_tokens=gathered.tokens.same,
        max_length=spec.data.max_length,
        signals=gathered.signals,
        derivations=gathered.derivations,
        mode=mode,
        dtype=spec.teacher.dtype,
        fingerprint="",
    )
    serving = (
        f"served by its {mode}: its outputs on {len(train):,} rows take "
        f"{needed / 2**20:,.1f} MiB, the object store has room for {room / 2**20:,.0f} MiB"
    )
    identity = _fingerprint(inputs, gathered)
    return Planned(inputs=replace(inputs, fingerprint=identity), serving=serving)


def finetuned(spec: SweepSpec) -> bool:
    """Whether the teacher is fine-tuned here; a checkpoint is used as it is."""
    return spec.teacher.checkpoint is None


def finetune_settings(spec: SweepSpec) -> TrainSettings:
    """Training settings of the teacher."""
    names = {i.name for i in describe(TrainSettings)}
    given = {k: v for k, v in spec.teacher.finetune.items() if k in names}
    return params.build(TrainSettings, given)


def _finetune_seed(spec: SweepSpec) -> int:
    seed = spec.teacher.finetune.get("seed", 0)
    assert isinstance(seed, int)
    return seed


def _fingerprint(inputs: TaskInputs, gathered: Gathered) -> str:
    digest = hashlib.sha256()
    plain = {
        "data": gathered.data_fingerprint,
        "finetune": asdict(inputs.finetune) if inputs.finetune else None,
        "seed": inputs.finetune_seed,
        "signals": asdict(inputs.signals),
        "derivations": [name_of(derivation) for derivation in inputs.derivations],
        "mode": inputs.mode,
        "dtype": inputs.dtype,
        "max_length": inputs.max_length,
        "task": [inputs.task.name, inputs.task.kind, inputs.task.num_labels, inputs.task.metrics],
        "teacher": _source_identity(inputs.teacher),
        "student": asdict(inputs.student)
        if isinstance(inputs.student, StudentCut)
        else _source_identity(inputs.student),
    }
    digest.update(json.dumps(plain, sort_keys=True, default=str).encode())
    for splits in (inputs.teacher_splits, inputs.student_splits):
        for encoded in splits.values():
            digest.update(encoded.input_ids.tobytes())
    return digest.hexdigest()[:24]


def _source_identity(source: ModelSource) -> dict[str, Any]:
    weights = hashlib.sha256()
    if source.state is not None:
        for name in sorted(source.state.tensors):
            weights.update(name.encode())
            weights.update(source.state.tensors[name].tobytes())
    # Dropout and activation are in the configuration only; where the files lie does not matter.
    config = dict(source.state.config) if source.state is not None else {}
    shape = asdict(source.shape) if source.shape else None
    return {
        "shape": shape,
        "anatomy": asdict(source.anatomy),
        "config": {k: v for k, v in config.items() if k != "_name_or_path"},
        "weights": weights.hexdigest(),
    }
