"""The student handed out is the one whose score the report has, or one message says why not."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from raykd.errors import SpecError
from raykd.export.chosen import choose
from raykd.harness.students import left_out, saved_students
from raykd.results.records import Status
from raykd.results.store import load_results
from raykd.results.student_mark import MARK, mark
from tests.synthetic_run import SEEDS, Builder
from tests.synthetic_run import spec as search_space

TASK = "glue/rte"
BEST = "checkpoints/glue-rte/kd/best"
OLD, NEW = {"alpha": 0.2}, {"alpha": 0.8}


@pytest.fixture
def builder(tmp_path) -> Builder:
    """A run with files of one student of kd."""
    arms = {n: arm for n, arm in search_space().methods.items() if n in ("none", "kd")}
    plan = search_space(trials=1).model_copy(update={"methods": arms, "tasks": (TASK,)})
    made = Builder(tmp_path / "run", plan)
    made.start()
    made.teacher(TASK, score=0.8)
    folder = made.folder / BEST
    folder.mkdir(parents=True)
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"weight": np.zeros(2, "float32")}, folder / "model.safetensors")
    return made


def confirm(builder: Builder, params, value: float, rank: int = 0, seeds=SEEDS, **first) -> None:
    """Confirm runs of a configuration; the first seed of rank 0 keeps its student."""
    for seed in seeds:
        of_first = {"checkpoint": BEST, **first} if (rank, seed) == (0, SEEDS[0]) else {}
        builder.trial(TASK, "kd", rank, **{"objective": value, "params": params, **of_first},
                      confirm_seed=seed, test=value)  # fmt: skip


def run_of(builder: Builder) -> Path:
    builder.finish()
    return builder.folder


def test_the_configuration_of_a_resumption_is_the_one_whose_files_are_there(builder):
    confirm(builder, OLD, 0.6)
    confirm(builder, NEW, 0.7)
    run = run_of(builder)
    trial = choose(run, TASK, "kd").trial
    assert (trial.params, trial.metrics["test/accuracy"]) == (NEW, 0.7)
    (student,) = saved_students(load_results(run), run, ["kd"])
    assert student.trial == trial


@pytest.mark.parametrize("again", [False, True])
def test_files_that_a_later_run_replaced_are_not_handed_out(builder, again):
    confirm(builder, OLD, 0.6)
    confirm(builder, NEW, 0.7, seeds=SEEDS[:1])  # stopped after its first seed: OLD is reported
    if again:
        confirm(builder, OLD, 0.6, seeds=SEEDS[:1])
        assert choose(run_of(builder), TASK, "kd").trial.params == OLD
        return
    run = run_of(builder)
    refused(run, "was replaced by that of another configuration")


def test_files_that_were_replaced_by_a_run_without_an_end_are_not_handed_out(builder):
    """The driver was killed between the two: the record is of OLD, the weights are of NEW."""
    confirm(builder, OLD, 0.6)
    run = run_of(builder)
    (trial,) = (t for t in load_results(run).trials if t.checkpoint)
    mark(run / BEST, trial.trial_id, OLD)
    assert choose(run, TASK, "kd").trial == trial
    mark(run / BEST, trial.trial_id, NEW)
    with pytest.raises(SpecError, match="another configuration, whose run has no end on record"):
        choose(run, TASK, "kd")
    with pytest.raises(SpecError, match="no confirmed student whose files are whole and its own"):
        saved_students(load_results(run), run)
    (run / BEST / MARK).write_text("{")
    with pytest.raises(SpecError, match="another configuration"):
        choose(run, TASK, "kd")


def test_a_failed_run_leaves_no_student(builder):
    confirm(builder, OLD, 0.6)
    confirm(builder, NEW, 0.7, status=Status.FAILED, objective=None, error="ran out of memory")
    refused(run_of(builder), "ran out of memory")


def test_the_student_of_a_configuration_that_is_not_reported_is_not_handed_out(builder):
    confirm(builder, OLD, 0.6)
    confirm(builder, NEW, 0.7, rank=1)
    refused(run_of(builder), "reported on glue/rte by its configuration c1")


def refused(run: Path, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        choose(run, TASK, "kd")
    result = load_results(run)
    for arms in ((), ("kd",)):
        with pytest.raises(SpecError, match=message):
            saved_students(result, run, arms)


def test_other_arms_are_evaluated_without_the_one_that_has_no_student(builder):
    confirm(builder, OLD, 0.6)
    builder.trial(TASK, "none", 0, confirm_seed=SEEDS[0], test=0.5)
    run = run_of(builder)
    result = load_results(run)
    assert [s.trial.arm for s in saved_students(result, run)] == ["kd"]
    assert [arm for arm, _ in left_out(result, run)] == ["none"]
    with pytest.raises(SpecError, match="no confirm run of 'none'"):
        saved_students(result, run, ("kd", "none"))
