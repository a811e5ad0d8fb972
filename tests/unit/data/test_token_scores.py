from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
import torch
from scipy.special import softmax

from raykd import registry

TASK = registry.load("tasks", "dolly")


@pytest.mark.parametrize("seed", range(5))
def test_token_metrics_equal_scikit_learn_however_they_are_cut(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(40, 7)).astype(np.float32) * 3
    labels = rng.integers(0, 7, 40)
    tallies = [
        TASK.tally(torch.from_numpy(logits[at]), torch.from_numpy(labels[at])).double().numpy()
        for at in np.array_split(np.arange(40), rng.integers(1, 6))
    ]
    actual = TASK.tallied(np.sum(tallies, axis=0))
    wanted = {
        "token_accuracy": sklearn.metrics.accuracy_score(labels, logits.argmax(1)),
        "log_likelihood": -sklearn.metrics.log_loss(
            labels, softmax(logits.astype(np.float64), axis=1), labels=range(7)
        ),
    }
    assert actual == pytest.approx(wanted, abs=1e-5)
