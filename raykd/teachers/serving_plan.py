"""Plans how the teacher of a task is served, and names what is prepared for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from raykd.data.base import TokenizedDataset
from raykd.errors import Problem, SpecError
from raykd.losses.targets import Divergence
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.models.signals.running_model import RunningModel
from raykd.teachers.cache_keys import CacheKeys, cache_keys_of, fingerprint_of
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.recording import estimate_bytes
from raykd.teachers.vocab_cache.choose import DENSE, choose, vocab_cache_of
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.training.device import (
    Ability,
    choose_device,
    resolve_frozen_precision,
    resolve_precision,
)

STORE_SHARE = 0.5
"""Cached outputs may fill this part of the object store; the rest is for everything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherNeeds:
    """What the methods of a sweep need of a teacher.

    Attributes:
        output_spec: What they read from it.
        transformed: The same, with feature transforms in place of hidden states where methods allow
            it.
        divergences: Divergences over a vocabulary that they compute, each with its arm.
        reads_scores: Whether one reads scores of the vocabulary themselves.
        new_tokens: Most tokens that a student generates after a prompt while it trains.
    """

    output_spec: OutputSpec
    transformed: OutputSpec
    divergences: tuple[tuple[str, Divergence], ...]
    reads_scores: bool
    new_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingSettings:
    """What the search space says of serving, and how much is read.

    Attributes:
        serve: ``outputs``, ``weights``, or ``auto``.
        vocab_cache: How distributions over a vocabulary are recorded, ``auto`` where that is open.
        vocab_cache_size: Draws or tokens that are kept of a distribution, where it is shortened.
        chooses_dtype: Whether the file names another number format than the default.
        epochs: Of the training of a student, None where it is searched.
        runs: Trials and confirm runs of the sweep.
    """

    serve: Literal["auto", "outputs", "weights"]
    vocab_cache: Literal["auto", "dense", "hidden", "sampled", "top_k"]
    vocab_cache_size: int
    chooses_dtype: bool
    epochs: float | None
    runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingPlan:
    """What is to be prepared of a task, and how its teacher is served.

    Attributes:
        inputs: What a worker prepares.
        serving: The decision and its arithmetic, in words.
        keys: Names under which the cache keeps the teacher and what is made of it.
        nbytes: Of the cached outputs that students read; 0 where they read the online teacher.
    """

    inputs: TaskInputs
    serving: str
    keys: CacheKeys
    nbytes: int


def plan_serving(
    inputs: TaskInputs,
    needs: TeacherNeeds,
    settings: ServingSettings,
    tokenizer: Any,
    store_bytes: int,
    ability: Ability | None = None,
) -> ServingPlan:
    """Decide how the teacher is served, and name the whole by its fingerprint.

    Args:
        inputs: What is prepared; mode, outputs, precision and fingerprint are decided here.
        needs: What methods need of the teacher.
        settings: What the search space says.
        tokenizer: The teacher's.
        store_bytes: Capacity that cached outputs may use part of.
        ability: What the devices can do that the teacher is prepared on; None: this process's.

    Raises:
        SpecError: What the file asks for cannot serve one of its methods.
    """
    ability = ability or Ability.of(choose_device())
    needs, cached = _with_cache(inputs, needs, settings)
    output_spec, needed, compared = _smaller(inputs, needs)
    room = int(store_bytes * STORE_SHARE)
    needs_online = RunningModel() in needs.output_spec
    mode = settings.serve
    if mode == "auto":
        mode = "outputs" if needed <= room and not needs_online else "weights"
    if mode == "outputs" and needs_online:
        problem = Problem(
            path="teacher.serve",
            message="a method of this file needs the online teacher, but serve is outputs",
            hint="use serve: auto or weights",
        )
        raise SpecError(problems=[problem])
    precision = resolve_precision(inputs.precision, ability, inputs.teacher.dims.hidden)
    frozen_precision = resolve_frozen_precision(inputs.frozen_precision, ability)
    finetune = inputs.finetune
    inputs = replace(
        inputs,
        finetune=replace(finetune, precision=precision) if finetune is not None else None,
        output_spec=output_spec,
        mode=mode,
        precision=precision,
        frozen_precision=frozen_precision,
    )
    keys = cache_keys_of(inputs, tokenizer)
    return ServingPlan(
        inputs=replace(inputs, fingerprint=fingerprint_of(inputs, keys)),
        serving=_describe(inputs, settings, needed, room)
        + (compared + cached if mode == "outputs" else _describe_unused_cache(settings))
        + _describe_exact(inputs, settings)
        + _describe_padding(inputs)
        + _describe_text_limits(inputs, needs),
        keys=keys,
        nbytes=needed if mode == "outputs" else 0,
    )


def _describe_padding(inputs: TaskInputs) -> str:
    """The note that padded vocabularies are compared; empty if none is padded."""
    context = inputs.context()
    shared = context.compared_vocabulary
    student, teacher = context.student.vocabulary, context.teacher.vocabulary
    if shared is None or not context.same_tokens or max(student, teacher) == shared:
        return ""
    return (
        f"; the vocabularies of teacher ({teacher:,}) and student ({student:,}) are padded: the "
        f"first {shared:,} entries are compared and written"
    )


def _describe_text_limits(inputs: TaskInputs, needs: TeacherNeeds) -> str:
    """The note that prompts leave too few positions for the text that is generated."""
    context = inputs.context()
    if not context.task_kind.generates:
        return ""
    positions = context.positions if inputs.same_rows else context.teacher.positions
    notes = [
        _describe_short_room("the teacher", of.teacher_prompts, of.max_new_tokens, positions)
        for of in inputs.teacher_texts().values()
    ]
    rows = inputs.student_splits["train"]
    notes.append(_describe_short_room("the student", rows, needs.new_tokens, context.positions))
    return "".join(notes)


def _describe_short_room(
    who: str, rows: TokenizedDataset, wanted: int, positions: int | None
) -> str:
    """How many prompts leave fewer positions than are wanted for what is written after them."""
    if positions is None or not wanted:
        return ""
    room = np.asarray([positions - len(rows.prompt(row)) for row in range(len(rows))])
    short = int((room < wanted).sum())
    if not short:
        return ""
    return (
        f"; what {who} writes ends with the {positions:,} positions of the smaller model: "
        f"{short:,} of {len(room):,} prompts leave room for fewer than {wanted:,} tokens "
        f"(at least {max(1, int(room.min())):,})"
    )


def _with_cache(
    inputs: TaskInputs, needs: TeacherNeeds, settings: ServingSettings
) -> tuple[TeacherNeeds, str]:
    """The needs with what is recorded of distributions over a vocabulary, and why.

    Raises:
        SpecError: What the file asks for cannot serve one of its methods.
    """
    wanted, size = settings.vocab_cache, settings.vocab_cache_size
    if not inputs.task.task_kind.generates and wanted != "auto":
        problem = Problem(
            path="teacher.cache",
            message=f"'{wanted}' is a way to keep distributions over a vocabulary, and a "
            f"{inputs.task.kind} task ({inputs.task.name}) has none",
            hint="leave teacher.cache out",
        )
        raise SpecError(problems=[problem])
    if not inputs.task.task_kind.generates or Logits() not in needs.output_spec:
        return needs, _describe_unused_cache(settings)
    if wanted == "auto":
        name, why = choose(
            inputs.teacher.dims, [of for _, of in needs.divergences],
            reads_scores=needs.reads_scores, wide=inputs.dtype == "fp32",
        )  # fmt: skip
    else:
        name = f"{wanted}:{size}" if wanted in ("sampled", "top_k") else wanted
        why = "as teacher.cache says"
    if name == DENSE:
        return needs, f"; of the vocabulary all scores are kept: {why}"
    cache = vocab_cache_of(name)
    refused = [(arm, why_not) for arm, of in needs.divergences if (why_not := cache.refusal(of))]
    if needs.reads_scores and wanted in ("sampled", "top_k"):
        refused.append(("", "a method of this file reads the scores of the whole vocabulary"))
    if refused:
        arm, reason = refused[0]
        key, setting, hint = (
            "teacher.cache",
            f"teacher.cache: {wanted}",
            "use auto, hidden or dense",
        )
        if inputs.given is not None:
            key = setting = "teacher.outputs.logprobs"
            hint = "choose the forward divergence at temperature 1, as kd does"
        where = f"methods.{arm} with {setting}: " if arm else ""
        raise SpecError(problems=[Problem(path=key, message=where + reason, hint=hint)])
    scores = OutputSpec(VocabularyScores(name))
    needs = replace(
        needs,
        output_spec=needs.output_spec.union(scores),
        transformed=needs.transformed.union(scores),
    )
    return needs, f"; of the vocabulary {name} is kept: {why}"


def _describe_unused_cache(settings: ServingSettings) -> str:
    """The note that ``teacher.cache`` has no effect where nothing is recorded."""
    if settings.vocab_cache == "auto":
        return ""
    return f"; teacher.cache: {settings.vocab_cache} has no effect, as nothing of it is recorded"


def _describe_exact(inputs: TaskInputs, settings: ServingSettings) -> str:
    """The note that a choice of rounding has no effect where nothing is kept that it rounds."""
    rounded = any(signal.rounds for signal in inputs.output_spec.cacheable)
    if not settings.chooses_dtype or (rounded and inputs.mode == "outputs"):
        return ""
    return f"; teacher.dtype: {inputs.dtype} has no effect, as nothing is recorded that it rounds"


def _smaller(inputs: TaskInputs, needs: TeacherNeeds) -> tuple[OutputSpec, int, str]:
    """Hidden states or their feature transforms: what is smaller, its bytes, and the comparison."""

    def size(output_spec: OutputSpec) -> int:
        return estimate_bytes(
            inputs.teacher_splits["train"], output_spec, inputs.teacher.dims, inputs.task,
            wide=inputs.dtype == "fp32",
        )  # fmt: skip

    plain, transformed = size(needs.output_spec), size(needs.transformed)
    if needs.transformed == needs.output_spec:
        return needs.output_spec, plain, ""
    comparison = (
        f"; hidden states would take {_mib(plain)}, with their inner products in place of them "
        f"{_mib(transformed)}: the smaller is kept"
    )
    chosen = needs.transformed if transformed < plain else needs.output_spec
    return chosen, min(plain, transformed), comparison


def _describe(inputs: TaskInputs, settings: ServingSettings, needed: int, room: int) -> str:
    """The decision and its arithmetic."""
    rows, mode = len(inputs.teacher_splits["train"]), inputs.mode
    if inputs.given is not None:
        return (
            f"served by outputs that were made elsewhere: those on {rows:,} rows take "
            f"{_mib(needed)}, the object store has room for {_mib(room)}"
        )
    text = (
        f"served by its {mode}: its outputs on {rows:,} rows take {_mib(needed)}, "
        f"the object store has room for {_mib(room)}"
    )
    if mode == "outputs" and needed > room:
        text += ", so part of them is spilled to disk"
    epochs, runs = settings.epochs, settings.runs
    if epochs is not None:
        most = int(rows * epochs * runs)
        text += (
            f"; online it would read up to {most:,} rows "
            f"({rows:,} x {epochs:g} epochs x {runs} runs)"
        )
    return text


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
