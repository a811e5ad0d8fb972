"""The schema of a search-space file; positions and messages are in `raykd.spec.load`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from raykd.params import Scalar
from raykd.spec.domains import Domain

Number = int | float
LARGEST_SEED = 2**32 - 1
"""What every generator takes as a seed: Python's, NumPy's, PyTorch's."""

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


class SpecSection(BaseModel):
    """Base of every part: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True
    )


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
    weight: Number = Field(default=1.0, gt=0, le=1000)


class OwnTaskSpec(SpecSection):
    """A task that the file describes itself.

    `splits` names the file (without suffix), or the split on the hub, of splits that are called
    something else there; of one set of rows it gives the share of every split. Which keys serve
    which kind is in `KEYS`.
    """

    SUITED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "classification": ("accuracy", "f1", "f1_macro", "matthews"),
        "regression": ("spearman", "pearson"),
        "text": ("log_likelihood", "token_accuracy", "exact_match", "rouge_l", "bleu", "chrf",
                 "matched"),
    }  # fmt: skip
    KEYS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "classification": ("texts", "label", "labels"),
        "regression": ("texts", "label", "span"),
        "text": ("prompt", "context", "response", "messages", "system", "template",
                 "template_args", "loss_on", "too_long", "max_prompt_length", "max_new_tokens",
                 "pattern"),
    }  # fmt: skip
    TALLIED: ClassVar[tuple[str, ...]] = ("log_likelihood", "token_accuracy")

    name: str
    texts: tuple[str, ...] = Field(default=(), max_length=2)
    label: str = "label"
    labels: tuple[str, ...] = ()
    kind: Literal["classification", "regression", "text"] = "classification"
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
    sources: tuple[SourceSpec, ...] = ()
    splits: Mapping[str, str | Fraction] = Field(default_factory=dict)

    def all_sources(self) -> tuple[SourceSpec, ...]:
        """Every place where rows are."""
        one = SourceSpec(path=self.path, hub=self.hub, revision=self.revision)
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


class RandomInitSpec(SpecSection):
    """A model with random weights: ``{family: bert, layers: 2, hidden: 96, heads: 2}``."""

    family: str
    layers: int = Field(ge=1, le=1000)
    hidden: int = Field(ge=1, le=100_000)
    heads: int = Field(ge=1, le=1000)
    intermediate: int | None = Field(default=None, ge=1, le=1_000_000)
    vocabulary: int = Field(default=8192, ge=16, le=10_000_000)
    max_positions: int = Field(default=512, ge=8, le=10_000_000)
    dropout: Number = Field(default=0.1, ge=0, lt=1)


class TeacherSpec(SpecSection):
    """The teacher: a model to fine-tune, or a fine-tuned checkpoint.

    `finetune` holds `TrainSettings` by name, plus ``rows``, ``seed`` and ``explain``. `cache` is
    what is recorded of distributions over a vocabulary, and `cache_size` the draws or tokens that
    are kept.
    """

    model: str | RandomInitSpec | None = None
    checkpoint: str | None = None
    finetune: Mapping[str, Scalar] = Field(default_factory=dict)
    serve: Literal["auto", "outputs", "weights"] = "auto"
    dtype: Literal["fp16", "bf16", "fp32"] = "fp16"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    cache: Literal["auto", "dense", "hidden", "sampled", "top_k"] = "auto"
    cache_size: int = Field(default=64, ge=1, le=4096)

    @property
    def explain(self) -> float:
        """Weight of rationales in fine-tuning; 0 = responses alone."""
        return float(self.finetune.get("explain") or 0.0)


class FromTeacher(SpecSection):
    """A student derived from the teacher: some layers, numbered from 0, or all of them pruned.

    `sort_by_importance` sorts the heads and neurons of every block, the most important first.
    `sparsity` is the percentage of heads and neurons that the fine-tuned teacher loses.
    """

    layers: tuple[int, ...] | None = Field(default=None, min_length=1)
    sparsity: Number | None = Field(default=None, gt=0, le=90)
    sort_by_importance: bool = False
    weights: Literal["finetuned", "pretrained"] = "pretrained"


class StudentSpec(SpecSection):
    """The student: a pretrained model, sizes for random weights, or layers of the teacher."""

    model: str | RandomInitSpec | None = None
    from_teacher: FromTeacher | None = None


class ParameterSpec(SpecSection):
    """Constants and search domains, of training or of one arm."""

    fixed: Mapping[str, Scalar] = Field(default_factory=dict)
    domains: Mapping[str, Domain] = Field(default_factory=dict)


class ArmSpec(ParameterSpec):
    """One arm of the comparison."""

    name: str
    method: str
    start: tuple[Mapping[str, Scalar], ...] = ()


class Named(SpecSection):
    """A search algorithm or scheduler and its parameters."""

    name: str
    params: Mapping[str, Scalar] = Field(default_factory=dict)


class Objective(SpecSection):
    """What the search improves."""

    metric: str = "auto"
    mode: Literal["auto", "max", "min"] = "auto"


class SearchSpec(SpecSection):
    """The search: algorithm, budget, early stopping."""

    algorithm: Named = Named(name="tpe")
    scheduler: Named = Named(name="none")
    trials: int = Field(default=20, ge=1, le=1_000_000)
    time_budget_s: float | None = None
    max_concurrent: int | Literal["auto"] = "auto"
    objective: tuple[Objective, ...] = (Objective(),)
    seed: Seed = 0


class SeedPlan(SpecSection):
    """Confirm seeds that are added by a plan, until arms are told apart: 1 to the last number."""

    start: int = Field(ge=3, le=1000)
    then: tuple[Annotated[int, Field(le=1000)], ...] = Field(min_length=1, max_length=10)

    @property
    def looks(self) -> tuple[int, ...]:
        """Confirm seeds at each look."""
        return (self.start, *self.then)


def _form_of_seeds(value: object) -> str:
    return "plan" if isinstance(value, Mapping | SeedPlan) else "list"


class ConfirmSpec(SpecSection):
    """The confirm stage: the best configurations again on fresh seeds; no seeds skip it."""

    top_k: int = Field(default=1, ge=1, le=1000)
    seeds: Annotated[
        Annotated[tuple[Seed, ...], Field(max_length=1000), Tag("list")]
        | Annotated[SeedPlan, Tag("plan")],
        Discriminator(_form_of_seeds),
    ] = (1, 2, 3, 4, 5)

    @property
    def looks(self) -> tuple[int, ...]:
        """Confirm seeds at each look at the arms; a list of seeds is looked at once."""
        return self.seeds.looks if isinstance(self.seeds, SeedPlan) else (len(self.seeds),)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Every seed that may be run."""
        if isinstance(self.seeds, SeedPlan):
            return tuple(range(1, self.looks[-1] + 1))
        return self.seeds


class ResourceSpec(SpecSection):
    """What one trial runs on.

    `labels` are those of the nodes that may hold one, as ``ray start --labels`` gives them.
    """

    workers: int = Field(default=1, ge=1, le=100_000)
    cpus_per_worker: Number = Field(default=1, gt=0, le=100_000)
    gpus_per_worker: Number | Literal["auto"] = Field(default="auto")
    max_failures: int = Field(default=2, ge=0, le=1_000_000)
    isolate: bool = False
    labels: Mapping[str, str] = Field(default_factory=dict)


class ReportSpec(SpecSection):
    """Where the report goes, what arms are compared with, and which differences matter."""

    path: str = "reports/{name}.html"
    baseline: str | None = None
    margin: Number | None = Field(default=None, gt=0)


class SweepSpec(SpecSection):
    """A whole search-space file."""

    name: str
    description: str = ""
    tasks: tuple[str, ...] = Field(min_length=1)
    own_tasks: Mapping[str, OwnTaskSpec] = Field(default_factory=dict)
    data: DataSpec = DataSpec()
    teacher: TeacherSpec
    student: StudentSpec
    train: ParameterSpec
    methods: Mapping[str, ArmSpec]
    search: SearchSpec = SearchSpec()
    confirm: ConfirmSpec = ConfirmSpec()
    resources: ResourceSpec = ResourceSpec()
    report: ReportSpec = ReportSpec()

    @property
    def confirm_runs(self) -> int:
        """Most runs that confirm one arm on one task: of no more configurations than trials."""
        return min(self.confirm.top_k, self.search.trials) * len(self.confirm.all_seeds)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain

    def with_trials(self, trials: int) -> SweepSpec:
        """The same sweep with another budget per arm.

        Raises:
            ValueError: It is no budget.
        """
        search = {**self.search.model_dump(mode="json"), "trials": trials}
        return self.model_copy(
            update={"search": SearchSpec.model_validate_json(json.dumps(search))}
        )

    def fingerprint(self) -> str:
        """Hash of everything that decides the results."""
        decisive = {k: v for k, v in self.as_dict().items() if k not in ("description", "report")}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
