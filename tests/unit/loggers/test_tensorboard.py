"""The TensorBoard logger, read back with TensorBoard's own reader."""

from __future__ import annotations

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util import tensor_util

from tests.unit.loggers.messages import CONFIRMED, POINTS, SEARCHED, TASK, VERDICT, deliver


def folder(sweeping, trial):
    read = EventAccumulator(str(sweeping.run / "loggers" / "tensorboard" / trial))
    return read.Reload()


def text(read, tag):
    return tensor_util.make_ndarray(read.Tensors(f"{tag}/text_summary")[-1].tensor_proto)[0]


def test_two_sessions_make_one_curve_of_each_score(sweeping):
    sweeping.first()
    deliver("tensorboard", sweeping.run)
    sweeping.second()
    record = deliver("tensorboard", sweeping.run)
    assert record.place == str(sweeping.run / "loggers" / "tensorboard")

    first = folder(sweeping, SEARCHED)
    curve = first.Scalars("validation/accuracy")
    assert [point.step for point in curve] == [30 * k for k in range(1, POINTS + 1)]
    assert curve[-1].value == pytest.approx(0.7)
    assert curve[0].wall_time > 1.7e9  # when it happened, and not when it was written
    assert first.Scalars("loss/task")[0].value == 1.0
    assert b"temperature: 2" in text(first, "params")

    second = folder(sweeping, "glue-rte.kd.s001")
    assert [point.step for point in second.Scalars("train/lr")] == [10, 20]
    assert text(second, "status") == b"failed loss became NaN"
    confirmed = folder(sweeping, CONFIRMED)
    assert confirmed.Scalars("test/accuracy")[0].value == pytest.approx(0.64)
    sweep = folder(sweeping, "sweep")
    assert text(sweep, f"verdict/{TASK}") == VERDICT.encode()
    assert b"| search.trials | 12 |" in text(sweep, "settings")
    assert f"teacher/{TASK}/test/accuracy" in sweep.Tags()["scalars"]


def test_parameters_are_hparams_so_that_trials_can_be_compared(sweeping):
    sweeping.first()
    deliver("tensorboard", sweeping.run)
    metadata = folder(sweeping, SEARCHED).SummaryMetadata("_hparams_/session_start_info")
    data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
    given = data.session_start_info.hparams
    assert (given["lr"].number_value, given["arm"].string_value) == (1e-4, "kd")
