"""Models that a slot leaves in the run folder, and what the driver makes of them."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from raykd.errors import SetupError
from raykd.models import weights
from raykd.models.file_arrays import digest_of, in_memory
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers.prepare import make
from raykd.trial import drafts
from raykd.trial.run import TrialConfig
from tests.unit.models.checkpoints import tiny
from tests.unit.teachers import tiny as task

CONFIG = TrialConfig(
    trial_id="t.kd.c0.1", task="t", arm="kd", method="kd", number=0, stage="confirm",
    coefficients={}, train={}, seed=0,
)  # fmt: skip


@pytest.fixture
def best(tmp_path):
    """Where the driver of a run wants a student."""
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    return tmp_path / "run" / "checkpoints" / "t" / "kd" / "best"


def handed(best, seed):
    config = replace(CONFIG, save_path=str(best))
    return drafts.hand_over(None, config, weights.capture(tiny(seed=seed)))


def weights_of(folder):
    return digest_of(weights.load(folder).tensors)


def test_a_student_appears_under_its_name_when_it_is_accepted(best):
    draft = handed(best, 1)
    assert not best.exists()
    drafts.accept(draft_path(draft), best)
    assert weights_of(best) == digest_of(weights.capture(tiny(seed=1)).tensors)
    assert os.listdir(best.parent) == ["best"]


def draft_path(draft: object) -> Path:
    assert isinstance(draft, str)
    return Path(draft)


def test_of_two_attempts_the_accepted_one_stays(best):
    lost, kept = handed(best, 1), handed(best, 2)
    assert lost != kept
    drafts.accept(draft_path(kept), best)
    assert os.listdir(best.parent) == ["best"]
    assert weights_of(best) == digest_of(weights.capture(tiny(seed=2)).tensors)
    drafts.accept(draft_path(handed(best, 3)), best)  # again, after a resumption
    assert weights_of(best) == digest_of(weights.capture(tiny(seed=3)).tensors)


def test_no_student_is_kept_where_none_is_requested():
    assert drafts.hand_over(None, CONFIG, None) is None


def test_a_draft_that_is_gone_is_reported(best):
    draft = draft_path(handed(best, 1))
    drafts.clear(best.parent)
    with pytest.raises(SetupError, match="cannot write the model to"):
        drafts.accept(draft, best)


@pytest.mark.parametrize("mode", ["outputs", "weights"])
def test_what_was_made_of_a_teacher_travels_as_files(tmp_path, mode):
    changes = {"mode": mode, "student": StudentFromTeacher(layers=(0,), weights="finetuned")}
    made = make(task.inputs(**changes), task.WORLD, lambda *progress: None)
    moved = drafts.in_files(made, tmp_path / "made.draft")
    for before, after in ((made.state, moved.state), (made.student.state, moved.student.state)):
        assert list(before.tensors) == list(after.tensors)
        assert digest_of(before.tensors) == digest_of(after.tensors)
        assert not list(in_memory(after.tensors))
        assert len(pickle.dumps(after)) < len(pickle.dumps(before))
    again = drafts.in_files(moved, tmp_path / "again.draft")
    assert again.state is moved.state
    assert not (tmp_path / "again.draft").exists()


def test_where_the_run_folder_is_out_of_reach_weights_stay_in_memory(tmp_path):
    made = make(task.inputs(), task.WORLD, lambda *progress: None)
    assert drafts.in_files(made, tmp_path / "nowhere" / "made.draft") is made
