"""A student of adaptive width and depth end to end, in this process."""

from __future__ import annotations

from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from tests.integration.conftest import TASK, tiny_spec


def test_parts_are_trained_and_scored(tmp_path):
    plain = tiny_spec().as_dict()
    arm = {
        "name": "adaptive", "method": "ckd_adaptive",
        "fixed": {"alpha": 0.5, "ltrdist": 0.0, "ltrangle": 0.0, "window": 5},
    }  # fmt: skip
    shape = {**plain["teacher"]["model"], "layers": 2}
    spec = tiny_spec(
        teacher={**plain["teacher"], "model": shape},
        student={
            "from_teacher": {"layers": [0, 1], "weights": "finetuned", "sort_by_importance": True}
        },
        methods={"adaptive": arm},
    )
    setup, prepared, _ = prepare_task(spec, TASK, tmp_path / "cache", lambda *p: None)
    config = trial_of(spec, tmp_path / "run", TASK, "adaptive", {})
    outcome = run_in_process(config, prepared, setup.task, lambda e: None)
    parts = {name for name in outcome.metrics if name.startswith("test/accuracy@")}
    widths, depths = (1, 0.75, 0.5), (1, 0.75, 0.5)
    assert parts == {
        f"test/accuracy@w{w:g}d{d:g}" for w in widths for d in depths if (w, d) != (1, 1)
    }
    assert all(0 <= outcome.metrics[name] <= 1 for name in parts)
    assert "accuracy@w0.5d0.5" in outcome.metrics
