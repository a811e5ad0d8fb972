"""What ``precision: auto`` means is decided once, carried to every trial, and recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raykd import registry
from raykd.sweep.in_process import run_in_process
from raykd.sweep.trial_recorder import TrialRecorder
from raykd.task_setup.set_up import set_up_task, student_width
from raykd.trial.run import TrialConfig
from tests.unit.sweep.specs import SHAPE, TASK, spec
from tests.unit.teachers import tiny

CONFIG = TrialConfig(
    trial_id="toy-sentiment.none.s000", task=TASK, arm="none", method="none", number=0,
    stage="search", coefficients={}, train={"epochs": 1}, seed=3,
    state_path="/run/state/toy-sentiment.none.s000.1a.safetensors",
)  # fmt: skip


def resolved(config: TrialConfig, actual: str) -> TrialConfig:
    recorder = TrialRecorder(None, None, Path("run"), 1.0, 0)
    recorder.precision = lambda requested, task: actual if requested == "auto" else requested
    return recorder._resolved(config)


@pytest.mark.parametrize("actual", ["fp32", "bf16"])
def test_auto_is_what_the_sweep_decided(actual):
    config = resolved(CONFIG, actual)
    assert config.precision == actual
    # The state of one format is not loaded by another.
    assert config.state_path == f"/run/state/toy-sentiment.none.s000.1a.{actual}.safetensors"
    assert replace(config, precision="", state_path=CONFIG.state_path) == CONFIG


def test_what_was_requested_stays():
    config = resolved(replace(CONFIG, train={"epochs": 1, "precision": "fp32"}), "bf16")
    assert config.precision == "fp32"
    assert config.state_path == CONFIG.state_path


def test_the_width_that_decides_is_the_students():
    assert student_width(set_up_task(spec(), TASK)) == 8
    cut = {"from_teacher": {"layers": [0], "weights": "finetuned"}}
    wide = spec(teacher__model={**SHAPE, "hidden": 32}, student=cut)
    assert student_width(set_up_task(wide, TASK)) == 32


def test_a_trial_computes_in_the_format_of_its_sweep():
    prepared, task = tiny.ready()[0], registry.load("tasks", TASK)
    plain = replace(CONFIG, state_path=None, train={"epochs": 1, "lr": 1e-3})
    requested = replace(plain, train={**plain.train, "precision": "fp32"})
    reported = replace(plain, train={**plain.train, "precision": "bf16"}, precision="fp32")
    one, two = (run_in_process(c, prepared, task, lambda e: None) for c in (requested, reported))
    assert one.evaluation.terms == two.evaluation.terms
    assert one.metrics == two.metrics
