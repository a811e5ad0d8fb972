"""Plans the teacher of a task, as the search space and the set-up task say."""

from __future__ import annotations

from raykd import params
from raykd.spec.arms import built
from raykd.spec.schema import SweepSpec, TeacherSpec
from raykd.task_setup.set_up import TaskSetup
from raykd.teachers.given_outputs import GivenOutputs
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.serving_plan import ServingPlan, ServingSettings, TeacherNeeds, plan_serving
from raykd.training.device import Ability
from raykd.training.settings import FULL, TrainSettings


def plan_teacher(
    spec: SweepSpec, setup: TaskSetup, store_bytes: int, ability: Ability | None = None
) -> ServingPlan:
    """What is to be prepared of a task, and how its teacher is served.

    Args:
        spec: The sweep.
        setup: The task.
        store_bytes: Capacity that cached outputs may use part of.
        ability: What the devices can do that the teacher is prepared on; None: this process's.

    Raises:
        SpecError: What the file asks for cannot serve one of its methods.
    """
    inputs = _inputs(spec, setup)
    needs = TeacherNeeds(
        output_spec=setup.output_spec,
        transformed=setup.transformed,
        divergences=setup.divergences,
        reads_scores=setup.reads_scores,
        new_tokens=_new_tokens(spec, inputs),
    )
    tokenizer = setup.tokenizers.teacher
    settings = _serving_settings(spec, setup.given)
    return plan_serving(inputs, needs, settings, tokenizer, store_bytes, ability)


def _inputs(spec: SweepSpec, setup: TaskSetup) -> TaskInputs:
    """What is known of the preparation before it is planned."""
    settings, seed = _finetune_settings(spec), spec.teacher.finetune.get("seed", 0)
    tried, seeds = (spec.teacher.finetune.get(n, d) for n, d in (("search", 0), ("seeds", 1)))
    assert isinstance(seed, int)
    assert isinstance(tried, int)
    assert isinstance(seeds, int)
    return TaskInputs(
        task=setup.task,
        teacher_splits=setup.teacher_splits,
        student_splits=setup.student_splits,
        teacher=setup.teacher,
        teacher_pad=setup.tokenizers.teacher.pad_token_id,
        finetune=settings if spec.teacher.is_trained_here else None,
        finetune_seed=seed,
        finetune_search=tried,
        finetune_seeds=seeds,
        explain=spec.teacher.explain,
        student=setup.student,
        student_pad=setup.tokenizers.student.pad_token_id,
        same_tokens=setup.tokenizers.same,
        max_length=spec.data.max_length,
        vocabulary=setup.tokenizers.shared_ids(),
        output_spec=setup.output_spec,
        teacher_analyses=setup.teacher_analyses,
        mode="outputs",
        dtype=spec.teacher.dtype,
        precision=settings.precision,
        frozen_precision=spec.teacher.precision,
        student_precision=str(spec.train.fixed.get("precision", TrainSettings().precision)),
        sharded=spec.teacher.sharding == FULL,
        own_prompts=setup.own_prompts,
        given=setup.given,
        is_member=setup.is_member,
        fingerprint="",
    )


def _new_tokens(spec: SweepSpec, inputs: TaskInputs) -> int:
    """Most tokens that a student generates while it trains."""
    if not inputs.task.task_kind.generates:
        return 0
    methods = (m for arm in spec.methods.values() for m in built(arm, inputs.context()))
    return max(method.new_tokens() for method in methods)


def _serving_settings(spec: SweepSpec, given: GivenOutputs | None) -> ServingSettings:
    epochs = spec.train.fixed.get("epochs", TrainSettings().epochs)
    known = 0 if given is None else given.alternatives
    return ServingSettings(
        serve=spec.teacher.serve if given is None else "outputs",
        vocab_cache="top_k" if known else spec.teacher.cache,
        vocab_cache_size=known or spec.teacher.cache_size,
        chooses_dtype=spec.teacher.dtype != TeacherSpec().dtype,
        epochs=epochs if isinstance(epochs, int | float) else None,
        runs=len(spec.methods) * (spec.search_trials + spec.confirm_runs),
    )


def _finetune_settings(spec: SweepSpec) -> TrainSettings:
    names = {i.name for i in params.describe(TrainSettings)}
    given = {k: v for k, v in spec.teacher.finetune.items() if k in names}
    return params.build(TrainSettings, given)
