"""GPU hours of the bake-offs at real sizes: arithmetic from assumptions, nothing is measured.

A token costs two operations for each weight that it is multiplied with, thrice that to train.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from docs_pages import ROOT
from docs_pages.markdown import table
from raykd.spec.load import load_spec
from raykd.spec.schema import SweepSpec

CARD, PEAK, SHARE = "A100", 312e12, 0.30
"""A card, what it computes in a second in bf16, and the share of it that steps reach."""
STOPPED_SHARE = 0.45
"""Of the steps of search trials that early stopping lets run (asha, reduction factor 3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bakeoff:
    """A search space, and what its cost depends on.

    Attributes:
        name: Its file.
        rows: Train rows of each task, and mean tokens of a row.
        teacher: Weights of the teacher outside of the embeddings, with the output matrix where text
            is written.
        student: Those of the student.
        trial_s: Seconds of a trial besides its steps: building the student, evaluations.
        factors: Arms whose steps cost more or less than plain fine-tuning, by how much.
        live: Arms that run the teacher in every step.
    """

    name: str
    rows: Mapping[str, tuple[int, int]]
    teacher: float
    student: float
    trial_s: float
    factors: Mapping[str, float] = field(default_factory=dict)
    live: Sequence[str] = ()


@functools.cache
def space(name: str) -> SweepSpec:
    """A shipped search space."""
    return load_spec(ROOT / "search_spaces" / f"{name}.yaml")


GLUE = Bakeoff(
    name="bakeoff_glue",
    rows={
        "glue/rte": (2_490, 72), "glue/mrpc": (3_668, 54), "glue/cola": (8_551, 11),
        "glue/sst2": (67_349, 13), "glue/qnli": (104_743, 51), "glue/qqp": (363_846, 31),
        "glue/mnli": (392_702, 39),
    },
    teacher=85e6,
    student=42.5e6,
    trial_s=3,
    factors={"ckd": 1.075},
)  # fmt: skip
LM = Bakeoff(
    name="bakeoff_lm",
    rows={"dolly": (13_810, 200)},
    teacher=4.0e9,
    student=0.6e9,
    trial_s=60,
    # The inverse of the rates of the benchmark text_arms; an online teacher is counted apart.
    factors={
        "kd": 1.09, "reverse_kl": 1.15, "skew_kl": 1.12, "jsd": 1.45, "seqkd": 0.87, "gkd": 4.5,
        "minillm": 7.7,
    },
    live=("gkd", "minillm"),
)  # fmt: skip
BAKEOFFS = (GLUE, LM)


def hours(bakeoff: Bakeoff, task: str) -> float:
    """GPU hours of one task: teacher, searches and confirm runs of all arms."""
    spec = space(bakeoff.name)
    rows, length = bakeoff.rows[task]
    tokens, epochs = rows * length, float(str(spec.train.fixed["epochs"]))
    seeds = spec.confirm.seeds
    assert isinstance(seeds, tuple)
    trainings = spec.search.trials * STOPPED_SHARE + len(seeds)
    operations = tokens * bakeoff.teacher * (6 * float(str(spec.teacher.finetune["epochs"])) + 2)
    for arm in spec.methods:
        step = 6 * bakeoff.student * bakeoff.factors.get(arm, 1.0)
        step += 2 * bakeoff.teacher * (arm in bakeoff.live)
        operations += trainings * epochs * tokens * step
    runs = len(spec.methods) * (spec.search.trials + len(seeds))
    return (operations / (PEAK * SHARE) + runs * bakeoff.trial_s) / 3600


def lines() -> list[str]:
    """The section of the page."""
    found = []
    for bakeoff in BAKEOFFS:
        spec = space(bakeoff.name)
        assert tuple(bakeoff.rows) == spec.tasks, bakeoff.name
        of_tasks = {task: hours(bakeoff, task) for task in spec.tasks}
        plan = f"{len(spec.methods)} arms, {spec.search.trials} trials and 5 seeds of each"
        found += [
            (f"`{bakeoff.name}`", task, plan, f"{bakeoff.rows[task][0]:,}", f"{cost:.1f}")
            for task, cost in of_tasks.items()
        ]
        if len(of_tasks) > 1:
            found.append((f"`{bakeoff.name}`", "all", plan, "", f"{sum(of_tasks.values()):.0f}"))
    head = ("search space", "task", "plan", "train rows", f"{CARD} hours")
    return [HEAD, *table(head, found), ""]


HEAD = f"""\
## At real sizes

[bakeoff_glue.yaml](../../search_spaces/bakeoff_glue.yaml) and
[bakeoff_lm.yaml](../../search_spaces/bakeoff_lm.yaml) are the same comparisons at the sizes that
people publish. They have not been run: **their cost here is arithmetic, not a measurement.** A
token costs two operations for each weight that it is multiplied with, and three times as many to
train; an {CARD} has {PEAK / 1e12:.0f} TFLOP/s in bf16, of which {SHARE:.0%} are counted on; early
stopping lets {STOPPED_SHARE:.0%} of the steps of search trials run; a trial takes
{GLUE.trial_s:.0f} s (GLUE) or {LM.trial_s:.0f} s (language models) besides its steps. Steps of
methods on text cost what they cost in the benchmark `text_arms` against fine-tuning, and `gkd` and
`minillm` run the teacher in every step.
"""
