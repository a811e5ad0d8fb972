"""The student as methods see it: the `StudentFn` of the training loop."""

from __future__ import annotations

from contextlib import nullcontext

from torch import nn

from raykd.data.base import Batch, Task
from raykd.losses.vocabulary import cross_entropy
from raykd.methods.base import DistillationContext, Sampling
from raykd.models.base import Outputs, Subnet
from raykd.models.forward import forward
from raykd.models.generation import (
    NO_TEXT,
    GenerationSettings,
    TextEnds,
    generate,
    generated_batch,
    prompts_of,
)
from raykd.models.inference import evaluation_mode
from raykd.models.signals.base import OutputSpec
from raykd.training.device import Precision


class StudentRunner:
    """Runs the student and generates its text; not a module, so its weights are counted once.

    Args:
        model: The student.
        task: Gives its loss on the labels.
        precision: Of matrix products.
        context: Which tokens are compared and generated.
        output_spec: What is read of it; those that stand for several, resolved.
        text_ends: What ends the texts that it writes, and pads them.
        packing: Whether short texts share a row, where the student can.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        precision: Precision,
        *,
        context: DistillationContext,
        output_spec: OutputSpec,
        text_ends: TextEnds = NO_TEXT,
        packing: bool = False,
    ) -> None:
        self._model = model
        self._task = task
        self._precision = precision
        self._context = context
        self._signals = output_spec
        self._text_ends = text_ends
        self._packing = packing and not context.no_packing(context.student)

    def __call__(
        self, batch: Batch, subnet: Subnet | None = None, *, dropout: bool = True
    ) -> Outputs:
        """Outputs with the task's loss, which is formed when it is read; see `StudentFn`."""
        mode = nullcontext() if dropout else evaluation_mode(self._model)
        with mode, self._precision.autocast():
            outputs = forward(
                self._model, batch,
                output_spec=self._signals, subnet=subnet, packing=self._packing,
            )  # fmt: skip
        if outputs.has_lazy_logits:
            labels = batch.label_ids
            return outputs.scored(lambda: cross_entropy(outputs.lazy_logits, labels))
        loss = self._task.loss(outputs.logits.float(), batch)
        compared = self._context.compared_vocabulary
        if compared is not None:
            # Labels are compared with all token ids; teachers compare those that they have, too.
            outputs = outputs.within(compared)
        return outputs.scored(loss)

    def generate(self, batch: Batch, sampling: Sampling) -> Batch:
        """The batch with responses sampled now; see `StudentFn`."""
        joined = self._task.task_kind.is_joined
        generation = GenerationSettings(
            max_new_tokens=sampling.max_new_tokens,
            end=self._text_ends.end,
            pad=self._text_ends.pad,
            sample=True,
            temperature=sampling.temperature,
            vocabulary=self._context.shared_vocabulary,
            positions=self._context.positions,
        )
        with self._precision.autocast():
            generated = generate(
                self._model,
                prompts_of(batch, joined=joined),
                generation,
                sampling.teacher,
                sampling.share,
            )
        return generated_batch(batch, generated, generation, joined=joined)
