"""Loss anatomy: medians over samples, terms that are drowned, and terms that oppose each other."""

import dataclasses
from pathlib import Path

import pytest

from raykd.report.sections.anatomy import SECTION, record
from raykd.results.records import Evaluation
from raykd.results.store import load_results
from tests.synthetic_run import METRIC, Builder

TASK = "glue/rte"


def swept(folder: Path, *samples: dict[str, float], arm: str = "kd"):
    """A sweep with one trial for each sample of its loss."""
    builder = Builder(folder / "run")
    builder.start()
    builder.teacher(TASK)
    for number, sample in enumerate(samples):
        plain = Evaluation(step=1, epoch=1.0, seconds=1.0, metrics={METRIC: 0.7}, terms={})
        history = (plain, dataclasses.replace(plain, step=2, anatomy=sample))
        builder.trial(TASK, arm, number, history=history)
    return load_results(builder.folder)


def sample(task: float, kd: float, cosine: float) -> dict[str, float]:
    return {
        "size task": 0.5, "size kd": 0.25, "norm task": task, "norm kd": kd,
        "cosine task kd": cosine,
    }  # fmt: skip


def test_a_row_has_the_medians_of_a_term_over_all_samples(tmp_path):
    actual = record(swept(tmp_path, sample(3, 1, 0.5), sample(1, 1, 0.1), sample(1, 3, 0.9)))
    ((task, findings, rows),) = actual.tasks
    assert (task, findings) == (TASK, ())
    cosines = "+0.50 (+0.10 to +0.90)"
    assert rows == (
        ("kd", "task", "3", "0.5", "1", "50 %", f"kd {cosines}"),
        ("kd", "kd", "3", "0.25", "1", "50 %", f"task {cosines}"),
    )
    assert actual.heading == "No term is drowned, and none opposes another"


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ((1000, 1, 0.5), "kd of kd has 0.1 % of the gradient norms"),
        ((1, 1, -0.6), "task and kd of kd pull against each other (median cosine -0.60)"),
    ],
)
def test_what_stands_out_is_said_from_three_samples_on(tmp_path, values, finding):
    assert record(swept(tmp_path, *[sample(*values)] * 3)).heading == finding


def test_two_samples_say_nothing(tmp_path):
    actual = record(swept(tmp_path, *[sample(1000, 1, -0.6)] * 2))
    assert actual.tasks[0][1] == ()


def test_a_term_without_a_gradient_has_no_cosine(tmp_path):
    still = {"size task": 0.5, "size kd": 0.0, "norm task": 1.0, "norm kd": 0.0}
    actual = record(swept(tmp_path, still))
    assert actual.tasks[0][2][1] == ("kd", "kd", "1", "0", "0", "0 %", "n/a")
    assert "the student's weights" in SECTION.render(actual)


def test_a_sweep_whose_losses_were_not_looked_at_has_no_section(tmp_path):
    assert record(swept(tmp_path, {})) is None
