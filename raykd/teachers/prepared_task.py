"""A prepared task: everything that its trials read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from raykd.data.base import Array, TokenizedDataset
from raykd.losses.vocabulary import LogitTransform
from raykd.methods.base import DistillationContext
from raykd.models.base import ModelDims
from raykd.models.file_arrays import in_memory, mapped
from raykd.models.model_factory import ModelFactory
from raykd.models.weights import ModelState
from raykd.results.records import Evaluation, FinetuneTrial, SpeedRecord
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.teacher_variants import AnalysisResult


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedTask:
    """A task ready for trials; the same object on every node.

    Attributes:
        task: Task name.
        fingerprint: Identity of everything it was made from.
        splits: ``train``, ``validation``, ``test``, and extra splits ``test_<suffix>``, as the
            student reads them.
        pad_id: Padding token of the student.
        end_id: The token that ends a text of the student, 0 where it writes none.
        max_length: Longest row in tokens.
        same_tokens: Whether teacher and student split text alike.
        vocabulary: Token ids that the student's tokenizer can give; None where that is not known.
        teacher_vocabulary: Token ids whose scores are read of the teacher; None where that is all.
        teacher_views: See `raykd.methods.base.DistillationContext`.
        teacher_train: The train rows as the teacher reads them, where it is run by students and
            reads other tokens than they do; else None.
        teacher_pad: Padding token of the teacher.
        teacher_dims: Sizes of the teacher.
        student: How students begin.
        cached_outputs: The teacher's outputs on ``train``, None when it is served by its weights.
        teacher: The teacher itself, where it is served by its weights or others are derived from
            it; else None.
        precision: Number format of its weights where it runs.
        sharded: Whether they are spread over the ranks of a slot there.
        precision_error: How far its outputs are from those in float32, by kind of signal.
        test_outputs: Cached outputs on the text of the test split, to tell how far students are
            from the teacher; None where no text is generated.
        output_layer: Its output layer, where scores of a vocabulary are formed from what was
            recorded; else None.
        logit_transform: What it does to these scores after that.
        analysis_results: What analyses found out about it, by
            `raykd.teachers.teacher_variants.analysis_name`.
        metrics: The teacher's scores: ``validation/<metric>``, ``test/<metric>``.
        scored_logits: Its logits ``[N, C]`` of the rows that are scored, by role; empty where no
            other teacher is a combination of it.
        seed_scores: Metrics of teachers of other seeds on the test split, by seed; none of one that
            diverged.
        history: Evaluations during fine-tuning.
        tried: Trainings of the search for its settings; empty without one.
        speed: How fast it is next to the initial student; None where that was not measured.
        untimed: Why it was not, where that is known; else empty.
        parameters: The teacher's number of weights.
        forwards: Rows passed through the teacher after fine-tuning, over all preparations that
            made what is here.
        distinct: Distinct rows among them.
        seconds: Time of the preparation.
    """

    task: str
    fingerprint: str
    splits: Mapping[str, TokenizedDataset]
    pad_id: int
    end_id: int
    max_length: int
    same_tokens: bool
    vocabulary: int | None
    teacher_vocabulary: int | None
    teacher_views: tuple[str, ...]
    teacher_train: TokenizedDataset | None
    teacher_pad: int
    teacher_dims: ModelDims
    student: ModelFactory
    cached_outputs: CachedOutputs | None
    teacher: ModelFactory | None
    precision: str
    sharded: bool
    precision_error: Mapping[str, float]
    test_outputs: CachedOutputs | None
    output_layer: ModelState | None
    logit_transform: LogitTransform
    analysis_results: Mapping[str, AnalysisResult]
    metrics: Mapping[str, float]
    history: tuple[Evaluation, ...]
    parameters: int
    forwards: int
    distinct: int
    seconds: float
    tried: tuple[FinetuneTrial, ...] = ()
    speed: SpeedRecord | None = None
    untimed: str = ""
    scored_logits: Mapping[str, Array] = field(default_factory=dict)
    seed_scores: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def context(self) -> DistillationContext:
        """The pair that methods work on."""
        return DistillationContext(
            teacher=self.teacher_dims,
            student=self.student.dims,
            kind=self.student.kind,
            num_labels=self.student.num_labels,
            same_tokens=self.same_tokens,
            vocabulary=self.vocabulary,
            teacher_views=self.teacher_views,
        )

    def bare(self) -> PreparedTask:
        """The same without the values of cached outputs."""
        if self.cached_outputs is None:
            return self
        return replace(self, cached_outputs=self.cached_outputs.with_chunks(()))

    def arrays(self) -> Iterator[Array]:
        """Every array of rows, models and analyses, and where recorded rows begin.

        Those that lie in files are not among them.
        """
        for encoded in self.splits.values():
            yield from encoded.arrays()
        if self.teacher_train is not None:
            yield from self.teacher_train.arrays()
        if self.test_outputs is not None:
            yield from self.test_outputs.arrays()
        yield from self.scored_logits.values()
        for result in self.analysis_results.values():
            yield from result.arrays.values()
        for state in self._states():
            yield from in_memory(state.tensors)
        if self.cached_outputs is not None:
            yield from self.cached_outputs.offsets()

    def mapped(self) -> Iterator[Array]:
        """The arrays of models that lie in files, as they are in this process."""
        for state in self._states():
            yield from mapped(state.tensors)

    def _states(self) -> Iterator[ModelState]:
        """The weights that it holds or knows the place of."""
        teacher = self.teacher.state if self.teacher is not None else None
        for state in (self.output_layer, self.student.state, teacher):
            if state is not None:
                yield state
