"""Every benchmark at a size that proves its path: ``python -m tests.benchmarks --tiny [NAME ...]``.

What a tiny run prints means nothing. A benchmark that is not in `TINY` fails a test, as does one
whose settings here are none of its own.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from tests import benchmarks

NO_DATA = 77
"""The exit code of a run whose data are not on this machine."""


@dataclass(frozen=True, slots=True)
class Tiny:
    """How one benchmark runs at its smallest.

    Attributes:
        arguments: After its name.
        constants: Of its module, with other values.
    """

    arguments: str = ""
    constants: Mapping[str, Any] = field(default_factory=dict)


ONE_EPOCH = {"epochs": 1, "batch_size": 32, "lr": 1e-4, "precision": "fp32"}
TINY = {
    "ckd_terms": Tiny(constants={"ROWS": 2, "LENGTH": 24, "PAIRS": 2}),
    "compiled_blocks": Tiny("--steps 2 --hidden 16 --layers 1", {"SHAPES": ((2, 8), (2, 6))}),
    "cost_model": Tiny(),
    "derived_teachers": Tiny(constants={"TRIALS": 2}),
    "driver_memory": Tiny("2 float32", {"WIDTH": 64}),
    "dropout": Tiny(constants={"LENGTHS": (8,), "BATCH": 2, "REPEATS": 1}),
    "gain_apart": Tiny("--only glue/rte:3x384", {"ROWS": 40, "EPOCHS": 1}),
    "loss_anatomy": Tiny("--students 3x48 --methods kd", {"ROUNDS": 1}),
    "many_trials": Tiny("40"),
    "memory_per_slot": Tiny("0.01", {"SLOTS": (1,), "TRAINED": 64}),
    "method_losses": Tiny(constants={"ROWS": 2, "LENGTH": 24}),
    "naive_sweep": Tiny("--only glue/rte:3x384 --trials 1 --rows 60"),
    "packed_rows": Tiny("--rows 16 --steps 2 --max-length 48 --batch-sizes 4"),
    "packing": Tiny("--students 3x48 --methods none --counts 2 --epochs 2 --rounds 1"),
    "planted_worlds": Tiny("--worlds 4"),
    "precision": Tiny(constants={"WIDTHS": (48,), "LENGTHS": (12,), "BATCH": 2}),
    "quickstart_again": Tiny(
        "--seeds 0 --set search.trials=2 --set search.repeats=1 --set data.limit=64 "
        "--set train.epochs=1 --set confirm.seeds=[1,2]"
    ),
    "search_overhead": Tiny("20", {"MARKS": (10, 20), "TIMED": 2}),
    "search_regret": Tiny(
        "--repeats 2 --trials 6 --long 8 --only random --skip What The", {"SEEDS": 2}
    ),
    "sharding": Tiny("1", {"STEPS": 1}),
    "simulated_slots": Tiny("--coordinator 1 --search 1", {"WATCHED_S": 1, "EPOCH_S": 0.05}),
    "start_up": Tiny("1"),
    "step_rate": Tiny("--students 3x48 --methods none", {"ROUNDS": 1, "TRAIN": ONE_EPOCH}),
    "teacher_growth": Tiny("--rows 100 200"),
    "text_arms": Tiny("--rows 48 --steps 4"),
    "time_to_verdict": Tiny(
        "--worlds 2 --orders 2 --set search.trials=2 --set data.limit=64 --set train.epochs=1",
        {"SEEDS": 5},
    ),
    "token_caches": Tiny("--rows 24 --held-out 0.05 --seeds 1 --caches dense hidden distillkit"),
    "trial_overhead": Tiny(constants={"FEW": 1, "MANY": 2, "BASELINE_TRIALS": 1}),
    "trial_profile": Tiny("--students 3x48 --methods none", {"TRAIN": ONE_EPOCH}),
    "vocabulary_losses": Tiny("--tokens 32 --vocabulary 500 --student 8 --teacher 16"),
}


def names() -> list[str]:
    """Every benchmark."""
    actual = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in actual if not name.startswith("_"))


def load(name: str) -> ModuleType:
    """The module of a benchmark."""
    return importlib.import_module(f"tests.benchmarks.{name}")


def main(name: str) -> int:
    """Run one; returns its exit code."""
    module, tiny = load(name), TINY[name]
    for constant, value in tiny.constants.items():
        setattr(module, constant, value)
    sys.argv = [name, *tiny.arguments.split()]
    try:
        return module.main() or 0
    except pytest.skip.Exception as absent:
        print(absent)
        return NO_DATA


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
