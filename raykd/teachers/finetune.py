"""Fine-tuning a teacher on the rows of its task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from raykd import registry
from raykd.data.collate import Collator
from raykd.methods.base import DistillationContext
from raykd.models.base import Outputs
from raykd.results.records import Evaluation
from raykd.training.device import DistributedContext
from raykd.training.loop import TrainJob, train_model

if TYPE_CHECKING:
    from raykd.teachers.inputs import Progress, TaskInputs


def finetune(
    model: nn.Module, inputs: TaskInputs, world: DistributedContext, progress: Progress
) -> tuple[Evaluation, ...]:
    """Fine-tune a teacher in place; every rank of `world` takes part.

    Args:
        model: The teacher; it moves to the device of `world`, or is sharded.
        inputs: What is prepared; its settings of fine-tuning are there.
        world: This process.
        progress: Told about every evaluation.

    Returns:
        The evaluations.

    Raises:
        TeacherError: It diverged.
    """
    task, settings = inputs.task, inputs.finetune
    assert settings is not None
    name, given = "none", {}
    if inputs.explain > 0:
        name, given = "step_by_step", {"alpha": 1 - inputs.explain}
    learn = registry.load("methods", name)
    context = DistillationContext(
        teacher=inputs.teacher.dims,
        student=inputs.teacher.dims,
        kind=task.kind,
        num_labels=task.num_labels,
    )
    method = learn(registry.params_of("methods", name)(**given), context)
    total = settings.epochs * settings.evals_per_epoch
    progress("finetune", 0, total, "")

    def on_evaluation(evaluation: Evaluation) -> bool:
        done = round(evaluation.epoch * settings.evals_per_epoch)
        value = evaluation.metrics[task.metric]
        progress("finetune", done, total, f"{task.metric} {value:.4f}")
        return False

    result = train_model(
        TrainJob(
            model=model,
            method=method,
            task=task,
            train=inputs.teacher_splits["finetune"],
            validation=inputs.teacher_splits["validation"],
            teacher=lambda batch: Outputs(),
            settings=settings,
            collator=Collator(
                inputs.teacher_pad, max_length=inputs.max_length, views=method.views()
            ),
            seed=inputs.finetune_seed,
            world=world,
            on_evaluation=on_evaluation,
        )
    )
    return result.history
