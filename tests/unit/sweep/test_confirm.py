"""Students that the confirm stage keeps: whole, under their names, marked with whose they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raykd.models import weights
from raykd.models.file_arrays import digest_of
from raykd.results.records import Status, TrialResult
from raykd.results.student_mark import MARK, is_student_of
from raykd.sweep import confirm
from raykd.trial import drafts
from raykd.trial.run import TrialConfig
from tests.unit.models.checkpoints import tiny

CONFIG = TrialConfig(
    trial_id="t.kd.c0.1", task="t", arm="kd", method="kd", number=0, stage="confirm",
    coefficients={"alpha": 0.3}, train={"lr": 1e-3}, seed=0,
)  # fmt: skip


def record(**params: float) -> TrialResult:
    return TrialResult(
        sweep="s", task="t", arm="kd", method="kd", trial_id="t.kd.c0.1", number=0,
        stage="confirm", status=Status.COMPLETED, params=params,
    )  # fmt: skip


@pytest.mark.parametrize("within_reach", [True, False])
def test_a_kept_student_says_whose_it_is(tmp_path, monkeypatch, within_reach):
    monkeypatch.setattr(confirm.ray, "get", lambda reference: reference)
    folder = tmp_path / "run" / "checkpoints" / "t" / "kd" / "best"
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    for seed, alpha in ((1, 0.3), (2, 0.4)):  # another configuration, after a resumption
        config = replace(CONFIG, save_path=str(folder), coefficients={"alpha": alpha})
        state = weights.capture(tiny(seed=seed))
        student = drafts.hand_over(None, config, state) if within_reach else (state,)
        assert student is not None
        confirm._save(student, config, folder)
        assert digest_of(weights.load(folder).tensors) == digest_of(state.tensors)
        assert [path.name for path in folder.parent.iterdir()] == ["best"]
        assert is_student_of(folder, record(lr=1e-3, alpha=alpha))
        assert not is_student_of(folder, record(lr=1e-3, alpha=0.7 - alpha))
    (folder / MARK).unlink()
    assert is_student_of(folder, record(alpha=0.7))  # of an older version


def test_a_mark_that_cannot_be_read_is_nobodys(tmp_path: Path) -> None:
    for text in (b"", b"[", b"[]", b"\xff", b"[" * 10_000):
        (tmp_path / MARK).write_bytes(text)
        assert not is_student_of(tmp_path, record())
