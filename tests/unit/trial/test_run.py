"""One trial without Ray: which rows it is evaluated on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raykd import registry
from raykd.data.row_roles import selecting_role
from raykd.trial.run import TrialConfig, run_trial
from tests.unit.teachers import tiny

CONFIG = TrialConfig(
    trial_id="t", task=tiny.TASK, arm="kd", method="kd", number=0, stage="confirm",
    coefficients={}, train={"epochs": 1, "lr": 1e-2, "precision": "fp32"}, seed=1, score_test=True,
)  # fmt: skip


def test_a_trial_of_several_searches_is_evaluated_on_rows_of_its_own():
    prepared, _ = tiny.ready()
    task = registry.load("tasks", tiny.TASK)
    own = task.encode(tiny.rows()["validation"].take(np.arange(7)), tiny.words(), tiny.LENGTH)
    splits = {**prepared.splits, selecting_role(1): own}
    prepared = replace(prepared, splits=splits)
    whole = run_trial(CONFIG, prepared, task, tiny.WORLD, lambda _: False)
    part = run_trial(
        replace(CONFIG, repeat=1, select_on=selecting_role(1)),
        prepared, task, tiny.WORLD, lambda _: False,
    )  # fmt: skip
    # The same training, scored on 7 rows in place of 20, and on the same test rows.
    assert 7 * part.metrics["accuracy"] == round(7 * part.metrics["accuracy"])
    assert part.metrics["test/accuracy"] == whole.metrics["test/accuracy"]
    assert part.evaluation.terms == whole.evaluation.terms
    assert set(part.metrics) == set(whole.metrics)
    alone = replace(prepared, splits={**prepared.splits, "validation": own})
    expected = run_trial(CONFIG, alone, task, tiny.WORLD, lambda _: False)
    assert part.metrics == expected.metrics
