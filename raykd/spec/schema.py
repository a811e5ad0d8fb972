"""The schema of a search-space file; positions and messages are in `raykd.spec.load`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from raykd.errors import SpecError
from raykd.params import Scalar
from raykd.spec.domains import Domain
from raykd.spec.schema_base import Number, Seed, SpecSection
from raykd.spec.schema_stages import ConfirmSpec, Named, ReportSpec, ResourceSpec, SearchSpec
from raykd.spec.schema_teacher import AskSpec as AskSpec
from raykd.spec.schema_teacher import OutputsSpec as OutputsSpec
from raykd.spec.schema_teacher import RandomInitSpec as RandomInitSpec
from raykd.spec.schema_teacher import TeacherSpec as TeacherSpec


class SplitRef(SpecSection):
    """A split, or a part of it: ``{split: train, fraction: 0.1}``."""

    split: str
    fraction: Number | None = Field(default=None, gt=0, lt=1)


Fraction = Annotated[Number, Field(gt=0, le=1)]
Places = str | tuple[str, ...]


class SourceSpec(SpecSection):
    """One of several places where the rows of a task are."""

    path: Places | Mapping[str, Places] | None = None
    hub: str | None = None
    revision: str | None = None
    stream: bool = False
    weight: Number = Field(default=1.0, gt=0, le=1000)


class OwnTaskSpec(SpecSection):
    """A task that the file describes itself.

    `splits` names the file (without suffix), or the split on the hub, of splits that are called
    something else there; of one set of rows it gives the share of every split. Which keys serve
    which kind is in `KEYS`; the rows of kinds in `WORDS` are columns of words, those of `PAIRS` two
    texts that are compared.
    """

    SUITED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "classification": ("accuracy", "f1", "f1_macro", "matthews"),
        "regression": ("spearman", "pearson"),
        "embedding": ("spearman", "pearson"),
        "multi_label": ("f1_micro", "f1_macro", "accuracy"),
        "token_classification": ("entity_f1", "entity_precision", "entity_recall",
                                 "word_accuracy"),
        "text": ("log_likelihood", "token_accuracy", "exact_match", "rouge_l", "bleu", "chrf",
                 "matched"),
    }  # fmt: skip
    KEYS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "classification": ("texts", "label", "labels"),
        "regression": ("texts", "label", "span"),
        "embedding": ("texts", "label", "span"),
        "multi_label": ("texts", "label", "labels"),
        "token_classification": ("texts", "label", "labels"),
        "text": ("prompt", "context", "response", "messages", "system", "template",
                 "template_args", "loss_on", "too_long", "max_prompt_length", "max_new_tokens",
                 "pattern"),
    }  # fmt: skip
    WORDS: ClassVar[tuple[str, ...]] = ("token_classification",)
    PAIRS: ClassVar[tuple[str, ...]] = ("embedding",)
    TALLIED: ClassVar[tuple[str, ...]] = ("log_likelihood", "token_accuracy")

    name: str
    texts: tuple[str, ...] = Field(default=(), max_length=2)
    label: str = "label"
    labels: tuple[str, ...] = ()
    kind: Literal[
        "classification", "regression", "embedding", "multi_label", "token_classification", "text"
    ] = "classification"
    metric: str | None = None
    metrics: tuple[str, ...] = ()
    span: tuple[Number, Number] = (0.0, 1.0)
    prompt: str | None = None
    context: str | None = None
    response: str = "response"
    messages: str | None = None
    system: str = ""
    template: str = "auto"
    template_args: Mapping[str, Scalar] = Field(default_factory=dict)
    loss_on: Literal["last", "all"] = "last"
    too_long: Literal["auto", "oldest_turns", "context", "drop"] = "auto"
    max_prompt_length: int | None = Field(default=None, ge=1, le=1_000_000)
    max_new_tokens: int = Field(default=256, ge=1, le=100_000)
    pattern: str = ""
    path: Places | Mapping[str, Places] | None = None
    hub: str | None = None
    revision: str | None = None
    stream: bool = False
    sources: tuple[SourceSpec, ...] = ()
    splits: Mapping[str, str | Fraction] = Field(default_factory=dict)

    def all_sources(self) -> tuple[SourceSpec, ...]:
        """Every place where rows are."""
        one = SourceSpec(path=self.path, hub=self.hub, revision=self.revision, stream=self.stream)
        return self.sources or (one,)

    def split_names(self) -> dict[str, str]:
        """What splits are called in files or on the hub, where it is something else."""
        return {split: name for split, name in self.splits.items() if isinstance(name, str)}

    def fractions(self) -> dict[str, float]:
        """The share of each split of one set of rows."""
        return {split: float(of) for split, of in self.splits.items() if not isinstance(of, str)}

    def all_metrics(self) -> tuple[str, ...]:
        """Every metric, the deciding one first."""
        first = self.metric or self.SUITED[self.kind][0]
        tallied = self.TALLIED if self.kind == "text" else ()
        return tuple(dict.fromkeys((first, *self.metrics, *tallied)))


class AugmentSpec(SpecSection):
    """More train rows for students: copies with some words replaced."""

    model: str | None = None
    vectors: str | None = None
    copies: int = Field(default=10, ge=1, le=1000)
    probability: Number = Field(default=0.4, gt=0, le=1)
    candidates: int = Field(default=15, ge=1, le=10_000)
    seed: Seed = 0


class RationaleSpec(SpecSection):
    """Rationales: their source, and whether they are part of the prompt.

    `source` is ``data``, ``teacher`` (asked before it saw the response), ``teacher_posthoc`` (told
    the response), or a file with one rationale per line. `max_new_tokens` bounds what a teacher
    writes. `as_input` puts rationales into prompts, also into those that are scored.
    """

    source: str = "data"
    max_new_tokens: int = Field(default=128, ge=1, le=4096)
    as_input: bool = False

    @property
    def file(self) -> str | None:
        """The file they come from, if they do."""
        return self.source if self.source.endswith(".jsonl") else None

    @property
    def by_teacher(self) -> bool:
        """Whether the teacher writes them."""
        return self.source in ("teacher", "teacher_posthoc")


class DataSpec(SpecSection):
    """Rows: where they are, how long they may be, which part drives the search.

    `label_type` is what students learn: the data's own responses, or those of a language model.
    """

    root: str | None = None
    unlabelled: Places | None = None
    limit: int | None = Field(default=None, ge=1)
    student_rows: int | None = Field(default=None, ge=1)
    max_length: int = Field(default=128, ge=4, le=1_000_000)
    select_on: SplitRef = SplitRef(split="train", fraction=0.1)
    report_on: SplitRef = SplitRef(split="validation")
    augment: AugmentSpec | None = None
    rationales: RationaleSpec = RationaleSpec()
    label_type: Literal["gt", "llm"] = "gt"
    class_weights: Literal["none", "balanced"] = "none"
    oversample: Literal["none", "balanced"] = "none"
    seed: Seed = 0


class FromTeacher(SpecSection):
    """A student derived from the teacher: some layers, numbered from 0, or all of them pruned.

    `sort_by_importance` sorts the heads and neurons of every block, the most important first.
    `sparsity` is the percentage of heads and neurons that the fine-tuned teacher loses.
    """

    layers: tuple[int, ...] | None = Field(default=None, min_length=1)
    sparsity: Number | None = Field(default=None, gt=0, le=90)
    sort_by_importance: bool = False
    weights: Literal["finetuned", "pretrained"] = "pretrained"


class LoraSpec(SpecSection):
    """An adapter of low rank (LoRA) that the student trains, besides its head.

    ``rank``, ``alpha`` and ``dropout`` stand here in a file, each one value or a domain; they are
    searched like settings of training, as ``lora_rank`` and so on in `SweepSpec.train`.
    """

    targets: tuple[str, ...] = Field(default=("all-linear",), min_length=1)
    save: Literal["auto", "adapter", "merged"] = "auto"


class StudentSpec(SpecSection):
    """The student: a pretrained model, sizes for random weights, or layers of the teacher."""

    model: str | RandomInitSpec | None = None
    from_teacher: FromTeacher | None = None
    lora: LoraSpec | None = None


class ParameterSpec(SpecSection):
    """Constants and search domains, of training or of one arm."""

    fixed: Mapping[str, Scalar] = Field(default_factory=dict)
    domains: Mapping[str, Domain] = Field(default_factory=dict)


class ArmSpec(ParameterSpec):
    """One arm of the comparison."""

    name: str
    method: str
    start: tuple[Mapping[str, Scalar], ...] = ()


class SweepSpec(SpecSection):
    """A whole search-space file.

    `train` is what all arms share: settings of training, and those of the student's adapter. Where
    there are `teachers`, `teacher` is the first of them. `log_every` is how many optimizer steps
    pass between two step metrics that `loggers` receive.
    """

    name: str
    description: str = ""
    tasks: tuple[str, ...] = Field(min_length=1)
    own_tasks: Mapping[str, OwnTaskSpec] = Field(default_factory=dict)
    data: DataSpec = DataSpec()
    teacher: TeacherSpec
    teachers: Mapping[str, TeacherSpec] = Field(default_factory=dict)
    student: StudentSpec
    train: ParameterSpec
    methods: Mapping[str, ArmSpec]
    search: SearchSpec = SearchSpec()
    confirm: ConfirmSpec = ConfirmSpec()
    resources: ResourceSpec = ResourceSpec()
    report: ReportSpec = ReportSpec()
    loggers: tuple[Named, ...] = ()
    log_every: int | None = Field(default=50, ge=1, le=1_000_000)

    @property
    def step_interval(self) -> int:
        """Optimizer steps between two step metrics; 0 where nobody receives them."""
        return (self.log_every or 0) if self.loggers else 0

    @property
    def confirm_runs(self) -> int:
        """Most runs that confirm one arm on one task: of no more configurations than trials."""
        of_search = min(self.confirm.top_k, self.search.trials) * len(self.confirm.all_seeds)
        return of_search * self.search.repeats

    @property
    def search_trials(self) -> int:
        """Search trials of one arm on one task, in all of its searches."""
        return self.search.trials * self.search.repeats

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain

    def with_trials(self, trials: int) -> SweepSpec:
        """The same sweep with another budget per arm.

        Raises:
            SpecError: It is no budget.
        """
        search = {**self.search.model_dump(mode="json"), "trials": trials}
        try:
            searched = SearchSpec.model_validate_json(json.dumps(search))
        except ValidationError as exc:
            signs = {"ge": ">=", "le": "<="}
            bounds = [f"{signs[end]} {at}" for end, at in exc.errors()[0]["ctx"].items()]
            raise SpecError(f"'trials' must be {bounds[0]}, got {trials}") from exc
        return self.model_copy(update={"search": searched})

    def fingerprint(self) -> str:
        """Hash of everything that decides the results."""
        undecisive = ("description", "report", "loggers", "log_every")
        decisive = {k: v for k, v in self.as_dict().items() if k not in undecisive}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
