"""The schema of a sweep's stages: search, confirmation, report, and what trials run on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from raykd.params import Scalar, show
from raykd.spec.schema_base import Number, Seed, SpecSection


class Named(SpecSection):
    """A search algorithm, a scheduler or a logger, and its parameters."""

    name: str
    params: Mapping[str, Scalar] = Field(default_factory=dict)


class Objective(SpecSection):
    """What the search improves."""

    metric: str = "auto"
    mode: Literal["auto", "max", "min"] = "auto"


class Constraint(SpecSection):
    """A bound that a trained student has to keep to, in a file ``latency_ms <= 5``."""

    metric: str
    relation: Literal["<=", ">="]
    bound: Number

    def __str__(self) -> str:
        short = show(self.bound)
        bound = short if float(short) == self.bound else repr(self.bound)
        return f"{self.metric} {self.relation} {bound}"

    def excess(self, metrics: Mapping[str, float]) -> float:
        """How far a student is beyond the bound, as a share of it; 0 or less within it.

        Args:
            metrics: What was measured; NaN where this was not.
        """
        over = metrics.get(self.metric, math.nan) - self.bound
        return (over if self.relation == "<=" else -over) / (abs(self.bound) or 1.0)


class SearchSpec(SpecSection):
    """The search: algorithm, budget, early stopping."""

    algorithm: Named = Named(name="tpe")
    scheduler: Named = Named(name="none")
    trials: int = Field(default=20, ge=1, le=1_000_000)
    repeats: int = Field(default=1, ge=1, le=1000)
    time_budget_s: float | None = None
    device_budget_s: float | None = None
    trial_time_limit_s: float | None = None
    max_concurrent: int | Literal["auto"] = "auto"
    control: Number = Field(default=0.1, ge=0, le=0.5)
    lag: Annotated[int, Field(ge=0, le=100_000)] | Literal["auto", "none"] = "auto"
    objective: tuple[Objective, ...] = (Objective(),)
    constraints: tuple[Constraint, ...] = ()
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
    keep: Literal["first", "all"] = "first"

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
    memory_gb_per_worker: Number | None = Field(default=None, gt=0)
    max_failures: int = Field(default=2, ge=0, le=1_000_000)
    isolate: bool = False
    labels: Mapping[str, str] = Field(default_factory=dict)


class ReportSpec(SpecSection):
    """Where the report goes, what arms are compared with, and which differences matter."""

    path: str = "reports/{name}.html"
    baseline: str | None = None
    margin: Number | None = Field(default=None, gt=0)
