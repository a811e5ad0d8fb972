"""The parts of a prepared task: those from the cache and those made now are merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from raykd.data.base import Array, TokenizedDataset
from raykd.models.model_factory import ModelFactory
from raykd.models.weights import ModelState
from raykd.results.records import Evaluation, FinetuneTrial, SpeedRecord
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.teacher_variants import AnalysisResult


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedParts:
    """Parts of the preparation of a task.

    Attributes:
        state: The teacher's weights, None where they are not there (yet).
        history: Evaluations during fine-tuning.
        tried: Trainings of the search for its settings; empty without one.
        parameters: The teacher's number of weights, 0 where it is not known yet.
        scores: Metrics without prefix, by role.
        scored_logits: Logits ``[N, C]`` of the rows that are scored, by role; empty where no other
            teacher is a combination of it.
        seed_scores: Metrics of teachers of other seeds on the test split, by seed; none of one that
            diverged.
        cached_outputs: Its outputs on the train rows.
        test_outputs: Its cached outputs on the text of the test split.
        teacher_texts: The train rows with texts of the teacher, by what they are.
        analysis_results: What analyses found out, by
            `raykd.teachers.teacher_variants.analysis_name`.
        precision_error: How far its outputs are from those in float32, by kind of signal; empty
            where it runs in float32.
        student: How students begin that are made of the teacher.
        speed: How fast the teacher is next to the initial student; None where it was not measured.
        untimed: Why it was not, where that was tried; else empty.
        rows: Rows that were passed through the teacher.
        seconds: Time it took.
    """

    state: ModelState | None = None
    history: tuple[Evaluation, ...] = ()
    tried: tuple[FinetuneTrial, ...] = ()
    parameters: int = 0
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scored_logits: Mapping[str, Array] = field(default_factory=dict)
    seed_scores: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    cached_outputs: CachedOutputs | None = None
    test_outputs: CachedOutputs | None = None
    teacher_texts: Mapping[str, TokenizedDataset] = field(default_factory=dict)
    analysis_results: Mapping[str, AnalysisResult] = field(default_factory=dict)
    precision_error: Mapping[str, float] = field(default_factory=dict)
    student: ModelFactory | None = None
    speed: SpeedRecord | None = None
    untimed: str = ""
    rows: int = 0
    seconds: float = 0.0

    def merged_with(self, more: PreparedParts) -> PreparedParts:
        """Both together; where both have a part, that of `more`. Recordings are not merged."""
        return replace(
            more,
            state=more.state or self.state,
            history=more.history or self.history,
            tried=more.tried or self.tried,
            parameters=more.parameters or self.parameters,
            scores={**self.scores, **more.scores},
            scored_logits={**self.scored_logits, **more.scored_logits},
            seed_scores={**self.seed_scores, **more.seed_scores},
            cached_outputs=more.cached_outputs or self.cached_outputs,
            test_outputs=more.test_outputs or self.test_outputs,
            teacher_texts={**self.teacher_texts, **more.teacher_texts},
            analysis_results={**self.analysis_results, **more.analysis_results},
            precision_error=more.precision_error or self.precision_error,
            student=more.student or self.student,
            speed=more.speed or self.speed,
            untimed=more.untimed or self.untimed,
            rows=self.rows + more.rows,
            seconds=self.seconds + more.seconds,
        )

    def bare(self) -> PreparedParts:
        """The same without the values of recorded train rows."""
        if self.cached_outputs is None:
            return self
        return replace(self, cached_outputs=self.cached_outputs.with_chunks(()))
