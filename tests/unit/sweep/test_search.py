"""What Ray Tune is left with of a trial that is over."""

from __future__ import annotations

from types import SimpleNamespace

from ray.tune.trainable.metadata import _TrainingRunMetadata

from raykd.ray_private import silent_progress


def test_statistics_that_nobody_reads_are_dropped():
    kept = _TrainingRunMetadata()
    kept.last_result = {"event": "{}"}
    kept.update_metric("time_total_s", 1.5)
    assert kept.metric_analysis
    assert kept.metric_n_steps
    silent_progress().on_trial_complete(0, [], SimpleNamespace(run_metadata=kept))
    assert not kept.metric_analysis
    assert not kept.metric_n_steps
    assert kept.last_result == {"event": "{}"}
