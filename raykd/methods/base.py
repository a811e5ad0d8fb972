"""The contract of a distillation method: what it reads, what a step is, what is minimised.

A method file defines ``Params`` (a frozen dataclass of `raykd.params.param` fields) and ``METHOD``
(a `Method`). A method never logs, moves devices, calls ``backward``, reads the environment or knows
Ray.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from torch import Tensor, nn

from raykd.data.base import Array, Batch
from raykd.data.kinds.base import TaskKind
from raykd.data.task_kinds import ROW_KINDS, task_kind
from raykd.losses.targets import Divergence
from raykd.losses.terms import Count
from raykd.losses.terms import Items as Items
from raykd.losses.terms import LossTerms as LossTerms
from raykd.losses.terms import Mean as Mean
from raykd.methods._context import DistillationContext as DistillationContext
from raykd.methods._model_functions import OnlineTeacherFn as OnlineTeacherFn
from raykd.methods._model_functions import Sampling as Sampling
from raykd.methods._model_functions import StudentFn as StudentFn
from raykd.methods._model_functions import TeacherOutputsFn as TeacherOutputsFn
from raykd.methods._ranks import Ranks, SingleProcess
from raykd.methods._refusals import kind_refusal, pair_refusal
from raykd.models.base import Outputs, Subnet
from raykd.models.signals.base import OutputSpec as OutputSpec
from raykd.models.signals.features import FeatureTransform
from raykd.models.signals.logits import Logits
from raykd.params import Scalar

P = TypeVar("P")


class AnalysisContext(Protocol):
    """What a `TeacherAnalysis` works with; the preparation of a task provides it."""

    @property
    def distillation(self) -> DistillationContext:
        """Teacher, student and task."""
        ...

    def teacher(self) -> nn.Module:
        """The fine-tuned teacher: evaluation mode, frozen weights, on the device of the batches."""
        ...

    def student(self) -> nn.Module:
        """A new student as trials begin with it, in training mode."""
        ...

    def distil(self, train: Mapping[str, Scalar], temperature: float, seed: int) -> nn.Module:
        """A student after plain distillation from the teacher; `train` holds `TrainSettings`."""
        ...

    def batches(self, split: str, batch_size: int, rows: int | None = None) -> Iterator[Batch]:
        """Batches of ``train`` or ``validation`` in file order; `rows` of them, a seeded sample."""
        ...

    def run(self, model: nn.Module, batch: Batch) -> Outputs:
        """Logits of a model, with the task loss on the labels; with gradient, unless it is off."""
        ...


class TeacherAnalysis(ABC):
    """Analyses a task's teacher once, so that methods can derive variants of it.

    Subclasses are frozen dataclasses of plain values; equal ones are analysed once per task.
    """

    @abstractmethod
    def analyse(self, context: AnalysisContext) -> Mapping[str, Array]:
        """Analyse the teacher, independently of what trials choose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherVariant:
    """A teacher derived from the teacher; its outputs are recorded once, for all trials.

    Attributes:
        key: Short name; equal keys are equal teachers.
        about: What it is, in a few words.
        make: Turns the teacher (a copy of its own) into the derived one.
        by: Parameters of the method that choose it, the ones to map scores by first.
    """

    key: str
    about: str
    make: Callable[[nn.Module], nn.Module]
    by: tuple[str, ...] = ()


def _teaches_alone(read: OutputSpec, kind: TaskKind) -> bool:
    """Whether what is read of a teacher can be learnt on rows of a kind that have no label."""
    if kind.generates:
        return any(signal.in_place_of_labels for signal in read)
    return bool(read.cacheable)


class Method(ABC, Generic[P]):
    """A way to distil. Built once per trial, in the worker.

    Attributes:
        title: What it is, in a few words.
        reference: Address of the paper; empty for none.
        authors: Who wrote it and when, as in ``Hinton et al. 2015``.
        requires: The most it may read from the teacher, whatever its parameters.
        kinds: Names of the kinds of task it can serve.
        view: Name of the view of the rows that it learns from and is scored on; empty: the
            rows as they are.
        batch_wide: What it makes of the items of a batch together, which is that of each micro
            batch when a batch is computed in several; empty where all terms are means over items.
        ranks: The processes that train the student together; the loop sets them before each pass.

    Args:
        params: Its coefficients.
        context: Teacher, student and task.
    """

    title: ClassVar[str]
    reference: ClassVar[str] = ""
    authors: ClassVar[str] = ""
    requires: ClassVar[OutputSpec]
    kinds: ClassVar[tuple[str, ...]] = ROW_KINDS
    view: ClassVar[str] = ""
    batch_wide: ClassVar[str] = ""
    ranks: Ranks = SingleProcess()

    def __init__(self, params: P, context: DistillationContext) -> None:
        self.params = params
        self.context = context

    def refusal(self) -> str:
        """Why this method cannot work on this pair or task, in the user's words, or empty.

        A second line, if there is one, says what to do. Overriding methods return
        ``super().refusal()`` first.
        """
        if refused := kind_refusal(self.context, self.kinds):
            return refused
        if self.context.adapted and self.subnets():
            return (
                "runs parts of the student's weights, which adapters are not part of\n"
                "leave out student.lora, or this method"
            )
        return pair_refusal(
            self.context,
            self.teacher_outputs(),
            self.view,
            derives=self.teacher_analysis() is not None,
        )

    def unused(self) -> Mapping[str, str]:
        """Parameters that change nothing with these values on this pair and task, with the reason.

        Giving one is a warning, searching one an error. The reason is a clause
        such as ``alpha is 0``.
        """
        return {}

    def teacher_outputs(self) -> OutputSpec:
        """What it reads from the teacher with these parameters; within `requires`."""
        return self.requires

    def learns_without_labels(self) -> bool:
        """Whether it learns of rows that have no label; they are left out for it otherwise.

        It does if it reads outputs of the teacher on rows; where text is generated these belong to
        the tokens of a response, so that it does if the teacher writes one. The task loss of such
        rows is 0.
        """
        return _teaches_alone(self.teacher_outputs(), self.context.task_kind)

    @classmethod
    def use_of_unlabelled(cls) -> str:
        """What it does with rows that have no label where it reads all that it may, in words."""
        kinds = [task_kind(name) for name in cls.kinds]
        words = []
        if on_rows := next((kind for kind in kinds if kind.labels_of == "row"), None):
            learns = _teaches_alone(cls.requires, on_rows)
            words.append("learns the teacher's outputs there" if learns else "leaves them out")
        if on_text := next((kind for kind in kinds if kind.generates), None):
            learns = _teaches_alone(cls.requires, on_text)
            learnt = "learns the responses that the teacher writes to prompts without one"
            words.append(learnt if learns else "leaves prompts without a response out")
        return "; ".join(words) or "none: its tasks need a label in every row"

    def views(self) -> tuple[str, ...]:
        """Names of further views that batches carry (`Batch.views`)."""
        return ()

    def feature_transforms(self) -> tuple[FeatureTransform, ...]:
        """Transforms of the teacher's hidden states; the method needs nothing else of them.

        They are recorded in place of the states where that takes fewer bytes; `loss` reads them
        with `Outputs.transformed` either way. Empty: it reads the states themselves.
        """
        return ()

    def divergences(self) -> tuple[Divergence, ...]:
        """Divergences from the teacher's distributions; the method needs nothing else of them.

        Where all methods of a sweep name theirs, less than the scores of the vocabulary may be
        recorded (`Outputs.target`). Empty: it reads the scores themselves.
        """
        return ()

    def student_outputs(self) -> OutputSpec:
        """What it reads from the student; logits (for the task loss) are always there."""
        return OutputSpec(Logits())

    def modules(self) -> nn.Module | None:
        """Extra modules trained along with the student, or None; their buffers are kept, too."""
        return None

    def subnets(self) -> tuple[Subnet, ...]:
        """Subnets of the student that are evaluated at the end, besides the whole."""
        return ()

    def teacher_analysis(self) -> TeacherAnalysis | None:
        """The analysis that teacher variants are derived from, None for the teacher as it is."""
        return None

    def teacher_variant(self, analysis_result: Mapping[str, Array]) -> TeacherVariant | None:
        """The variant of the teacher that these parameters read, None for the teacher as it is.

        Args:
            analysis_result: What `teacher_analysis` returned.
        """
        return None

    def calibration_rows(self) -> int:
        """Train rows that `calibrate` wants to see, 0 for none."""
        return 0

    def calibrate(self, seen: Iterable[tuple[Batch, Outputs, Outputs]]) -> None:
        """Look at student and teacher before the first step; what is learnt goes into `modules`.

        Args:
            seen: Batches with the outputs of the untrained student (without dropout and gradient)
                and of the teacher; the same on every rank.
        """

    def new_tokens(self) -> int:
        """Most tokens that the student writes after a prompt while it trains, 0 for none."""
        return 0

    def mixes_teacher(self) -> bool:
        """Whether the tokens that the student writes are drawn from the teacher, too."""
        return False

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Told before each pass: its number, from 0, and how many there are.

        Called again when a training is continued in the middle of a pass.
        """

    def state_dict(self) -> Mapping[str, Tensor]:
        """What it remembers from one step to the next, besides `modules`, of this rank.

        An interrupted training continues with it; what follows from `at_epoch` is not part of it.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` gave: the same names and values, on the CPU."""

    def prepare(
        self, batches: Sequence[Batch], student: StudentFn, teacher: TeacherOutputsFn
    ) -> Sequence[Batch]:
        """Called once before the passes of a step; what `step` reads in place of each micro batch.

        Here is the place for what is decided or sampled once per step, without gradient.

        Args:
            batches: The micro batches; one where the batch is computed as a whole.
            student: The student.
            teacher: The teacher.
        """
        return batches

    def counts(self, batch: Batch) -> Mapping[str, Count | Items]:
        """What each `Mean` that `step` gives for a batch is over, by name, metrics included.

        It is asked before the first of several passes, because the mean over all of them needs to
        know how much there is. Terms and metrics that are plain tensors are not named.

        Args:
            batch: A micro batch as `prepare` returned it.
        """
        return {}

    @abstractmethod
    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms to minimise for one batch.

        Args:
            batch: Token ids, mask and labels.
            student: Its outputs, with gradient.
            teacher: Its outputs, without gradient.
        """

    def step(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> LossTerms:
        """One pass over a micro batch; override only when the method changes what a step is."""
        return self.loss(batch, student(batch), teacher(batch))
