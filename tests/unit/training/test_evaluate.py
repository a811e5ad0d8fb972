import numpy as np
import pytest
import torch

from raykd.errors import TrialError
from raykd.training.device import DistributedContext
from raykd.training.evaluate import predict, score, score_by_row
from raykd.training.inference import InferenceSetup
from raykd.training.settings import TrainSettings
from tests.unit.training.toys import COLLATOR, CPU, FirstToken, bert, encoded

WORLD = DistributedContext(0, 1, CPU)
ROWS = encoded(37)


def logits(model, size):
    settings = TrainSettings(eval_batch_size=size, precision="fp32")
    return predict(model, FirstToken(), ROWS, InferenceSetup(settings, COLLATOR, WORLD))


def test_predictions_come_in_the_order_of_rows():
    model = bert()
    np.testing.assert_allclose(logits(model, 8), logits(model, 1), atol=1e-6)
    assert logits(model, 8).dtype == np.float32


def test_predictions_have_no_dropout_and_keep_the_mode():
    model = bert(dropout=0.5).train()
    before = torch.get_rng_state()
    np.testing.assert_array_equal(logits(model, 8), logits(model, 8))
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_score_is_the_tasks_score():
    metrics = score(bert(), FirstToken(), ROWS, InferenceSetup(TrainSettings(), COLLATOR, WORLD))
    by_hand = (logits(bert(), 128).argmax(1) == ROWS.labels).mean()
    assert metrics == {"accuracy": by_hand}


def test_outcomes_by_row_are_those_of_the_task_and_none_of_one_that_has_none():
    class ByRow(FirstToken):
        has_row_classes = True

        def row_outcomes(self, metric, logits, encoded):
            return (logits.argmax(1) == encoded.labels).astype(np.float64)

        def row_predictions(self, logits, encoded):
            return [str(k) for k in logits.argmax(1)]

    setup = InferenceSetup(TrainSettings(), COLLATOR, WORLD)
    actual = score_by_row(bert(), ByRow(), ROWS, setup, "accuracy")
    assert actual.metrics == score(bert(), ByRow(), ROWS, setup)
    np.testing.assert_array_equal(actual.outcomes, logits(bert(), 128).argmax(1) == ROWS.labels)
    assert actual.outcomes.dtype == np.float32
    assert actual.predictions == [str(k) for k in logits(bert(), 128).argmax(1)]
    assert score_by_row(bert(), ByRow(), ROWS, setup, "latency_ms").outcomes is None
    without = score_by_row(bert(), FirstToken(), ROWS, setup, "accuracy")
    assert (without.outcomes, without.predictions) == (None, None)
    counts, answers = np.array(actual.confusion), logits(bert(), 128).argmax(1)
    assert counts.sum(1).tolist() == np.bincount(ROWS.labels, minlength=len(counts)).tolist()
    assert counts.sum(0).tolist() == np.bincount(answers, minlength=len(counts)).tolist()
    assert np.trace(counts) == actual.outcomes.sum()


def test_predictions_that_are_not_finite_end_the_trial():
    model = bert()
    model.classifier.bias.data[0] = float("nan")
    with pytest.raises(TrialError, match="logits of 37 of 37 rows are NaN"):
        score(model, FirstToken(), ROWS, InferenceSetup(TrainSettings(), COLLATOR, WORLD))


def test_a_metric_that_is_not_finite_ends_the_trial():
    class Undefined(FirstToken):
        def score(self, logits, encoded):
            return {"accuracy": float("nan")}

    with pytest.raises(TrialError, match="metric 'accuracy' is nan"):
        score(bert(), Undefined(), ROWS, InferenceSetup(TrainSettings(), COLLATOR, WORLD))
