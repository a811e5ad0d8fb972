"""Plans how the teacher of a task is served, and names what is prepared for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from raykd import params
from raykd.data.base import TokenizedDataset
from raykd.errors import Problem, SpecError
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.models.signals.texts import Generations, RunningModel
from raykd.params import describe
from raykd.spec.arms import built
from raykd.spec.schema import SweepSpec, TeacherSpec
from raykd.sweep.task_setup import TaskSetup, shared_ids
from raykd.teachers.cache_keys import CacheKeys, cache_keys_of, fingerprint_of
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.recording import estimate_bytes
from raykd.teachers.vocab_cache.choose import DENSE, choose, vocab_cache_of
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.training.device import Ability, choose_device, resolve_precision
from raykd.training.settings import TrainSettings

STORE_SHARE = 0.5
"""Recorded outputs may fill this part of the object store; the rest is for everything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingPlan:
    """What is to be prepared of a task, and how its teacher is served.

    Attributes:
        inputs: What a worker prepares.
        serving: The decision and its arithmetic, in words.
        keys: Names under which the cache keeps the teacher and what is made of it.
    """

    inputs: TaskInputs
    serving: str
    keys: CacheKeys


def plan_serving(
    spec: SweepSpec, setup: TaskSetup, store_bytes: int, ability: Ability | None = None
) -> ServingPlan:
    """Decide how the teacher is served, and name the whole by its fingerprint.

    Args:
        spec: The sweep.
        setup: The task.
        store_bytes: Capacity that cached outputs may use part of.
        ability: What the devices can do that the teacher is prepared on; None: this process's.
    """
    ability = ability or Ability.of(choose_device())
    setup, cached = _with_cache(spec, setup)
    output_spec, needed, compared = _smaller(spec, setup)
    room = int(store_bytes * STORE_SHARE)
    needs_online = RunningModel() in setup.output_spec
    mode = spec.teacher.serve
    if mode == "auto":
        mode = "outputs" if needed <= room and not needs_online else "weights"
    if mode == "outputs" and needs_online:
        found = Problem(
            path="teacher.serve",
            message="a method of this file needs the online teacher, but serve is outputs",
            hint="use serve: auto or weights",
        )
        raise SpecError(found=[found])
    settings = finetune_settings(spec)
    precision = resolve_precision(settings.precision, ability, setup.teacher.dims.hidden)
    inputs = TaskInputs(
        task=setup.task,
        teacher_splits=setup.teacher_splits,
        student_splits=setup.student_splits,
        teacher=setup.teacher,
        teacher_pad=setup.tokenizers.teacher.pad_token_id,
        finetune=replace(settings, precision=precision) if finetunes_teacher(spec) else None,
        finetune_seed=_finetune_seed(spec),
        explain=spec.teacher.explain,
        student=setup.student,
        student_pad=setup.tokenizers.student.pad_token_id,
        same_tokens=setup.tokenizers.same,
        max_length=spec.data.max_length,
        vocabulary=shared_ids(setup.tokenizers),
        output_spec=output_spec,
        teacher_analyses=setup.teacher_analyses,
        mode=mode,
        dtype=spec.teacher.dtype,
        precision=precision,
        rationale_generation=setup.rationale_generation,
        fingerprint="",
    )
    keys = cache_keys_of(inputs, setup.tokenizers.teacher)
    return ServingPlan(
        inputs=replace(inputs, fingerprint=fingerprint_of(inputs, keys)),
        serving=_describe(spec, setup, mode, needed, room)
        + (compared + cached if mode == "outputs" else _describe_unused_cache(spec))
        + _exact(spec, output_spec, mode)
        + _describe_padding(inputs)
        + _describe_text_limits(spec, inputs),
        keys=keys,
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


def _describe_text_limits(spec: SweepSpec, inputs: TaskInputs) -> str:
    """The note that prompts leave too few positions for the text that is generated."""
    context = inputs.context()
    if not context.task_kind.generates:
        return ""
    found = []
    wanted = inputs.task.max_new_tokens if Generations() in inputs.output_spec else 0
    asked = inputs.teacher_splits["train"]
    teacher = context.teacher.positions
    students = context.positions if inputs.same_rows else teacher
    found.append(_describe_short_room("the teacher", asked, wanted, students))
    wanted = max(
        method.new_tokens() for arm in spec.methods.values() for method in built(arm, context)
    )
    asked = inputs.student_splits["train"]
    found.append(_describe_short_room("the student", asked, wanted, context.positions))
    return "".join(found)


def _describe_short_room(
    who: str, asked: TokenizedDataset, wanted: int, positions: int | None
) -> str:
    """How many prompts leave fewer positions than are wanted for what is written after them."""
    if positions is None or not wanted:
        return ""
    room = np.asarray([positions - len(asked.prompt(row)) for row in range(len(asked))])
    short = int((room < wanted).sum())
    if not short:
        return ""
    return (
        f"; what {who} writes ends with the {positions:,} positions of the smaller model: "
        f"{short:,} of {len(room):,} prompts leave room for fewer than {wanted:,} tokens "
        f"(at least {max(1, int(room.min())):,})"
    )


def _with_cache(spec: SweepSpec, setup: TaskSetup) -> tuple[TaskSetup, str]:
    """The task with what is recorded of distributions over a vocabulary, and why.

    Raises:
        SpecError: What the file asks for cannot serve one of its methods.
    """
    wanted = spec.teacher.cache
    if not setup.task.task_kind.generates and wanted != "auto":
        found = Problem(
            path="teacher.cache",
            message=f"'{wanted}' is a way to keep distributions over a vocabulary, and a "
            f"{setup.task.kind} task ({setup.task.name}) has none",
            hint="leave teacher.cache out",
        )
        raise SpecError(found=[found])
    if not setup.task.task_kind.generates or Logits() not in setup.output_spec:
        return setup, _describe_unused_cache(spec)
    needed = [of for _, of in setup.divergences]
    if wanted == "auto":
        name, why = choose(
            setup.teacher.dims, needed, reads_scores=setup.reads_scores,
            wide=spec.teacher.dtype == "fp32",
        )  # fmt: skip
    else:
        name = f"{wanted}:{spec.teacher.cache_size}" if wanted in ("sampled", "top_k") else wanted
        why = "as teacher.cache says"
    if name == DENSE:
        return setup, f"; of the vocabulary all scores are kept: {why}"
    cache = vocab_cache_of(name)
    refused = [(arm, why_not) for arm, of in setup.divergences if (why_not := cache.refusal(of))]
    if setup.reads_scores and wanted in ("sampled", "top_k"):
        refused.append(("", "a method of this file reads the scores of the whole vocabulary"))
    if refused:
        arm, reason = refused[0]
        where = f"methods.{arm} with teacher.cache: {wanted}: " if arm else ""
        found = Problem(
            path="teacher.cache", message=where + reason, hint="use auto, hidden or dense"
        )
        raise SpecError(found=[found])
    scores = OutputSpec(VocabularyScores(name))
    kept = {which: getattr(setup, which).union(scores) for which in ("output_spec", "transformed")}
    return replace(setup, **kept), f"; of the vocabulary {name} is kept: {why}"


def _describe_unused_cache(spec: SweepSpec) -> str:
    """The note that ``teacher.cache`` has no effect where nothing is recorded."""
    if spec.teacher.cache == "auto":
        return ""
    return f"; teacher.cache: {spec.teacher.cache} has no effect, as nothing of it is recorded"


def _exact(spec: SweepSpec, output_spec: OutputSpec, mode: str) -> str:
    """That a choice of rounding has no effect where nothing is kept that would be rounded."""
    dtype = spec.teacher.dtype
    rounded = any(signal.rounds for signal in output_spec.cacheable)
    if dtype == TeacherSpec().dtype or (rounded and mode == "outputs"):
        return ""
    return f"; teacher.dtype: {dtype} has no effect, as nothing is recorded that it rounds"


def _smaller(spec: SweepSpec, setup: TaskSetup) -> tuple[OutputSpec, int, str]:
    """Hidden states or their feature transforms: what is smaller, its bytes, and the comparison."""

    def size(output_spec: OutputSpec) -> int:
        return estimate_bytes(
            setup.teacher_splits["train"], output_spec, setup.teacher.dims, setup.task,
            wide=spec.teacher.dtype == "fp32",
        )  # fmt: skip

    plain, transformed = size(setup.output_spec), size(setup.transformed)
    if setup.transformed == setup.output_spec:
        return setup.output_spec, plain, ""
    comparison = (
        f"; hidden states would take {_mib(plain)}, with their inner products in place of them "
        f"{_mib(transformed)}: the smaller is kept"
    )
    chosen = setup.transformed if transformed < plain else setup.output_spec
    return chosen, min(plain, transformed), comparison


def _describe(spec: SweepSpec, setup: TaskSetup, mode: str, needed: int, room: int) -> str:
    """The decision and its arithmetic."""
    rows = len(setup.teacher_splits["train"])
    text = (
        f"served by its {mode}: its outputs on {rows:,} rows take {_mib(needed)}, "
        f"the object store has room for {_mib(room)}"
    )
    if mode == "outputs" and needed > room:
        text += ", so part of them is spilled to disk"
    epochs = spec.train.fixed.get("epochs", TrainSettings().epochs)
    if isinstance(epochs, int | float):
        runs = len(spec.methods) * spec.search.trials
        runs += len(spec.methods) * spec.confirm_runs
        most = int(rows * epochs * runs)
        text += (
            f"; online it would read up to {most:,} rows "
            f"({rows:,} x {epochs:g} epochs x {runs} runs)"
        )
    return text


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def finetunes_teacher(spec: SweepSpec) -> bool:
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
