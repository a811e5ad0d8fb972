"""What the preparation of a task works on, and whom it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from raykd.data.base import EXPLAIN, PREDICT, PlainTokenizer, Task, TokenizedDataset
from raykd.methods.base import DistillationContext, TeacherAnalysis
from raykd.models.base import ModelDims
from raykd.models.model_factory import ModelFactory
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.models.signals.unrecorded import TextPrompts, UnrecordedSignal, unrecorded
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers.given_outputs import GivenOutputs
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.recording import Recording, kept, row_bytes
from raykd.teachers.teacher_text import TeacherTextSettings
from raykd.training.settings import TrainSettings

Progress = Callable[[str, int, int, str], None]
"""Called with phase, units done, units in all, and a detail to show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskInputs:
    """What the preparation of a task works on.

    Attributes:
        task: The task.
        teacher_splits: Rows as the teacher reads them: ``train``, ``validation``, ``test``, and
            ``finetune`` when it is fine-tuned.
        student_splits: ``train``, ``validation``, ``test`` as the student reads them.
        teacher: Builds the teacher before fine-tuning.
        teacher_pad: Padding token of the teacher.
        finetune: Settings of fine-tuning, None for a teacher that is used as it is.
        finetune_seed: Seed of fine-tuning.
        finetune_search: Trainings of the search for its rate and epochs; 0 for none.
        finetune_seeds: Teachers that are trained, with seeds that count up, to see how far they
            vary; students learn from the first.
        explain: Weight of rationales in it, 0 where only responses are learnt; otherwise rows are
            read with the names of the tasks.
        student: Builds the initial student, or says how it is derived from the teacher.
        student_pad: Padding token of the student.
        same_tokens: Whether both split text alike.
        max_length: Longest row in tokens.
        vocabulary: Token ids that the teacher's tokenizer can give, and the student's too where
            both split text alike; matrices may have more rows.
        output_spec: Everything the sweep's methods read from the teacher.
        teacher_analyses: How other teachers are derived from it, each looked at once.
        mode: Serve cached outputs, or the weights.
        dtype: How recorded hidden states are kept.
        precision: Number format of the teacher's training, and of the scores of its texts.
        frozen_precision: Number format of its weights where it is scored, recorded, or run online.
        student_precision: What ``train.precision`` of the students is; they are timed with it.
        sharded: Whether they are spread over the ranks of a slot there.
        own_prompts: Prompts of signals that are not the train rows, by the name of the signal.
        fingerprint: Identity of all of the above.
        known: What was made of it before; the rest is made now.
        given: All that there is of a teacher that is no model here, else None.
        is_member: Whether others are combinations of it: what it says of the rows that are scored
            is kept, so that they have scores, too.
    """

    task: Task
    teacher_splits: Mapping[str, TokenizedDataset]
    student_splits: Mapping[str, TokenizedDataset]
    teacher: ModelFactory
    teacher_pad: int
    finetune: TrainSettings | None
    finetune_seed: int
    finetune_search: int = 0
    finetune_seeds: int = 1
    explain: float = 0.0
    student: ModelFactory | StudentFromTeacher
    student_pad: int
    same_tokens: bool
    max_length: int
    vocabulary: int
    output_spec: OutputSpec
    teacher_analyses: tuple[TeacherAnalysis, ...]
    mode: Literal["outputs", "weights"]
    dtype: str
    precision: str = "auto"
    frozen_precision: str = "fp32"
    student_precision: str = "auto"
    sharded: bool = False
    own_prompts: Mapping[str, TextPrompts] = field(default_factory=dict)
    fingerprint: str
    known: PreparedParts = field(default_factory=PreparedParts)
    given: GivenOutputs | None = None
    is_member: bool = False

    @property
    def same_rows(self) -> bool:
        """Whether teacher and student read the same tokens.

        A teacher that learnt to explain reads prompts that begin with the name of a task.
        """
        return self.same_tokens and not self.explain

    def student_dims(self) -> ModelDims:
        """The sizes of the student."""
        if isinstance(self.student, ModelFactory):
            return self.student.dims
        return self.student.dims(self.teacher.dims)

    def context(self) -> DistillationContext:
        """The pair that the methods of the sweep work on."""
        tokens = self._student_tokens()
        vocabulary = self.vocabulary if self.same_tokens else None
        if not self.same_tokens and tokens is not None:
            vocabulary = tokens.vocabulary
        return DistillationContext(
            teacher=self.teacher.dims,
            student=self.student_dims(),
            kind=self.task.kind,
            num_labels=self.task.num_labels,
            same_tokens=self.same_tokens,
            vocabulary=vocabulary,
            teacher_views=(PREDICT, EXPLAIN) if self.explain else (),
            holds=None if self.given is None else self.given.holds,
        )

    @property
    def student_end(self) -> int:
        """The token that ends a text of the student, 0 where it writes none."""
        tokens = self._student_tokens()
        return tokens.end if tokens is not None else 0

    def _student_tokens(self) -> PlainTokenizer | None:
        references = self.student_splits["validation"].references
        return references.tokens if references is not None else None

    def teacher_texts(self) -> dict[UnrecordedSignal, TextPrompts]:
        """What the teacher generates for the train rows, by the signal that it is for."""
        train = TextPrompts(
            prompts=self.student_splits["train"],
            teacher_prompts=self.teacher_splits["train"],
            max_new_tokens=self.task.max_new_tokens,
        )
        wanted = {
            signal: signal.prompts(train, self.own_prompts.get(signal.name))
            for signal in unrecorded(self.output_spec)
        }
        return {signal: prompts for signal, prompts in wanted.items() if prompts is not None}

    def text_settings(self, max_new_tokens: int) -> TeacherTextSettings:
        """How the teacher generates text for students, of at most so many of its tokens."""
        scored = self.teacher_splits["validation"].references
        assert scored is not None
        assert scored.tokens is not None
        context = self.context()
        return TeacherTextSettings(
            tokens=scored.tokens,
            max_new_tokens=max_new_tokens,
            vocabulary=context.shared_vocabulary if self.same_tokens else self.vocabulary,
            student_positions=context.student.positions,
            student_tokens=None if self.same_tokens else self._student_tokens(),
            max_length=self.max_length,
        )

    def teacher_vocabulary(self) -> int | None:
        """Token ids whose scores are read of the teacher; None where scores are not of tokens.

        Those that mean something to both; all of its tokenizer where the student has another one.
        """
        compared = self.context().compared_vocabulary
        return compared if compared is None or self.same_tokens else self.vocabulary

    def train_output_spec(self) -> OutputSpec:
        """What is recorded of the train rows; logits at least, analyses read them."""
        return self.output_spec if self.mode == "outputs" else OutputSpec(Logits())

    def records(self) -> bool:
        """Whether the train rows are recorded: to be read, or to derive teachers from.

        Arms that read labels or generated text only need nothing of tokens.
        """
        if self.mode != "outputs" and not self.teacher_analyses:
            return False
        token_labels = self.teacher_splits["train"].token_labels
        return bool(kept(self.train_output_spec(), token_labels=token_labels))

    def records_test_outputs(self) -> bool:
        """Whether the test split is recorded, to tell how far generated text is from it."""
        generates = self.task.task_kind.generates
        return generates and self.same_tokens and self.given is None

    def writes_for(self, role: str) -> bool:
        """Whether the teacher generates text to score the rows of a role."""
        decides = self.task.metric in self.task.text_metrics
        return bool(self.task.text_metrics) and (decides or role != "validation")

    def eval_batch_size(self) -> int:
        """Rows per forward where nothing is trained."""
        return self.finetune.eval_batch_size if self.finetune else 64

    def scoring(self) -> TrainSettings:
        """Settings with which the teacher's texts are scored."""
        return self.finetune or TrainSettings(precision=self.precision)

    def recording(
        self, role: str, output_spec: OutputSpec, every: OutputSpec | None = None
    ) -> Recording:
        """How the rows of a role are recorded.

        Args:
            role: Of the rows.
            output_spec: What is recorded now.
            every: What is recorded in all, where some of it was before: blocks end where they
                would if it were recorded at once.
        """
        encoded = self.teacher_splits[role]
        sizes = row_bytes(
            encoded, every or output_spec, self.teacher.dims, kind=self.task.kind,
            num_labels=self.task.num_labels, wide=self.dtype == "fp32",
        )  # fmt: skip
        return Recording(
            encoded=encoded,
            output_spec=output_spec,
            pad_id=self.teacher_pad,
            max_length=self.max_length,
            dtype=self.dtype,
            batch_size=self.eval_batch_size(),
            row_bytes=sizes,
            vocabulary=self.context().shared_vocabulary if self.same_tokens else self.vocabulary,
        )

    def distinct(self) -> list[TokenizedDataset]:
        """The splits that the teacher reads after fine-tuning, those that are the same once."""
        if self.given is not None:
            return []
        recorded = ("train",) if self.records() else ()
        roles = (*recorded, *scored_roles(self.teacher_splits))
        read = (self.teacher_splits[role] for role in roles)
        return list({id(split): split for split in read}.values())


def scored_roles(splits: Collection[str]) -> tuple[str, ...]:
    """``validation``, ``test``, and the extra evaluation splits ``test_<suffix>`` there are."""
    extra_eval_splits = (role for role in splits if role.startswith("test_"))
    return ("validation", "test", *extra_eval_splits)
