"""The schema of the section ``teacher``, and of a model that is given by its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from raykd.params import Scalar
from raykd.spec.schema_base import Number, Seed, SpecSection


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


class OutputsSpec(SpecSection):
    """What a teacher said that ran elsewhere: columns of the rows, or of a file.

    ``probabilities`` or ``logits`` are of whole rows; ``responses`` and ``logprobs`` are for tasks
    that are answered in text.
    """

    probabilities: str | tuple[str, ...] | None = None
    logits: str | tuple[str, ...] | None = None
    responses: str | None = None
    logprobs: str | None = None
    path: str | Mapping[str, str] | None = None
    id: str | None = None

    @property
    def scores(self) -> tuple[str, ...]:
        """The columns of probabilities or logits."""
        given = self.probabilities if self.logits is None else self.logits
        return (given,) if isinstance(given, str) else given or ()

    def given(self) -> tuple[str, ...]:
        """The keys that name columns of outputs."""
        keys = ("probabilities", "logits", "responses", "logprobs")
        return tuple(key for key in keys if getattr(self, key) is not None)


class AskSpec(SpecSection):
    """How a teacher behind an address is queried.

    `key` is the name of an environment variable. `prompt` and `explain` are texts with places in
    braces; empty ones have a wording of their own.
    """

    key: str = "OPENAI_API_KEY"
    interface: Literal["chat", "completions"] = "chat"
    system: str = ""
    prompt: str = ""
    explain: str = ""
    choices: Mapping[str, str] = Field(default_factory=dict)
    score_by: Literal["auto", "first_token", "choices", "text"] = "auto"
    score_splits: bool = False
    top_logprobs: int = Field(default=20, ge=1, le=4096)
    temperature: Number = Field(default=0.0, ge=0, le=2)
    seed: Seed = 0
    max_new_tokens: int | None = Field(default=None, ge=1, le=100_000)
    concurrent: int = Field(default=8, ge=1, le=256)
    retries: int = Field(default=8, ge=0, le=100)
    wait: Number = Field(default=1.0, ge=0, le=60)
    timeout: Number = Field(default=120.0, gt=0, le=3600)


class TeacherSpec(SpecSection):
    """The teacher: a model to fine-tune, a checkpoint, outputs made elsewhere, or an address.

    Among several, also a combination of others: the `mean` of their targets, or `routes` from the
    values of a column, `by`, to the teacher of such rows.

    `finetune` holds `TrainSettings` by name, plus ``rows``, ``seed`` and ``explain``. `cache` is
    what is recorded of distributions over a vocabulary, and `cache_size` the draws or tokens that
    are kept.
    """

    model: str | RandomInitSpec | None = None
    checkpoint: str | None = None
    outputs: OutputsSpec | None = None
    endpoint: str | None = None
    ask: AskSpec | None = None
    mean: Mapping[str, Number] | tuple[str, ...] | None = None
    by: str | None = None
    routes: Mapping[str, str] | None = None
    finetune: Mapping[str, Scalar] = Field(default_factory=dict)
    serve: Literal["auto", "outputs", "weights"] = "auto"
    dtype: Literal["fp16", "bf16", "fp32"] = "fp16"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    sharding: Literal["none", "full"] = "none"
    cache: Literal["auto", "dense", "hidden", "sampled", "top_k"] = "auto"
    cache_size: int = Field(default=64, ge=1, le=4096)

    @property
    def is_trained_here(self) -> bool:
        """Whether it is fine-tuned here; a checkpoint is used as it is, and so are outputs."""
        return self.checkpoint is None and self.runs_here

    @property
    def runs_here(self) -> bool:
        """Whether it is a model here; otherwise all that there is of it are outputs."""
        return self.outputs is None and self.endpoint is None and not self.members

    @property
    def weights(self) -> Mapping[str, float]:
        """Teachers by name, with their weight in the mean; the weights add up to 1."""
        given = self.mean or {}
        parts = given if isinstance(given, Mapping) else dict.fromkeys(given, 1)
        return {name: float(part) / sum(parts.values()) for name, part in parts.items()}

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the teachers that this one is a combination of."""
        if self.mean is not None:
            return tuple(self.mean)
        return tuple(dict.fromkeys((self.routes or {}).values()))

    @property
    def explain(self) -> float:
        """Weight of rationales in fine-tuning; 0 = responses alone."""
        return float(self.finetune.get("explain") or 0.0)
