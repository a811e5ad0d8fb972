"""What a slot does about states and failures of a job, without Ray."""

from __future__ import annotations

import os

from raykd.errors import TrialError
from raykd.trial.failures import failure
from raykd.trial.own_state import with_own_state
from raykd.trial.run import TrialConfig


def config(folder, name="toy.kd.s001"):
    return TrialConfig(
        trial_id=name, task="toy", arm="kd", method="kd", number=1, stage="search",
        coefficients={}, train={}, seed=1,
        state_path=str(folder / "state" / f"{name}.00c0ffee.safetensors"),
    )  # fmt: skip


def own(folder, attempt, takes_over=True, **changes):
    made = with_own_state(config(folder, **changes), attempt, takes_over=takes_over)
    return made.state_path and os.path.basename(made.state_path)


def test_every_attempt_writes_a_state_of_its_own_and_begins_with_that_of_the_one_before(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    first = own(tmp_path, 1)
    assert not list(state.iterdir())
    (state / first).write_text("epoch 1")
    (state / "toy.kd.s0011.00c0ffee.1.safetensors").write_text("of another trial")
    second = own(tmp_path, 2)
    assert first != second
    assert (state / second).read_text() == "epoch 1"
    # The first one, which lost its job, writes once more: the second is not disturbed.
    (state / first).write_text("epoch 2 of a zombie")
    assert (state / second).read_text() == "epoch 1"
    assert len(list(state.iterdir())) == 3


def test_the_newest_state_is_taken_over(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    for attempt, age in ((1, 100), (2, 50), (3, 200)):
        file = state / f"toy.kd.s001.00c0ffee.{attempt}.safetensors"
        file.write_text(f"of attempt {attempt}")
        os.utime(file, (1e9 - age, 1e9 - age))
    assert (state / own(tmp_path, 4)).read_text() == "of attempt 2"


def test_a_new_driver_continues_from_the_state_under_its_own_name(tmp_path):
    (tmp_path / "state").mkdir()
    name = own(tmp_path, 1)
    (tmp_path / "state" / name).write_text("epoch 1")
    assert own(tmp_path, 1) == name
    assert (tmp_path / "state" / name).read_text() == "epoch 1"


def test_other_ranks_know_the_name_and_touch_nothing(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / own(tmp_path, 1)).write_text("epoch 1")
    assert own(tmp_path, 2, takes_over=False) == own(tmp_path, 2, takes_over=False)
    assert [p.name for p in state.iterdir()] == [own(tmp_path, 1, takes_over=False)]


def test_a_state_that_cannot_be_taken_over_is_a_note(tmp_path):
    state, notes = tmp_path / "state", []
    (state / own(tmp_path, 2) / "in the way").mkdir(parents=True)
    saved = state / own(tmp_path, 1, takes_over=False)
    saved.write_text("epoch 1")
    os.utime(saved, (2e9, 2e9))
    made = with_own_state(config(tmp_path), 2, takes_over=True, note=notes.append)
    assert os.path.basename(made.state_path) == own(tmp_path, 2, takes_over=False)
    (note,) = notes
    assert note.startswith("its saved state cannot be taken over: ")
    assert saved.read_text() == "epoch 1"


def test_without_the_run_folder_there_is_no_state(tmp_path):
    assert own(tmp_path / "elsewhere", 1) is None


def raised(exc):
    try:
        raise exc
    except BaseException as caught:
        return failure(caught, 1)


def test_a_method_that_ends_its_process_is_named_with_its_code():
    event = raised(SystemExit(3))
    assert (event["kind"], event["error"]) == ("failed", "SystemExit: 3")
    assert "ends its process" in event["hint"]
    assert raised(KeyboardInterrupt())["error"] == "KeyboardInterrupt"
    assert "SystemExit" in event["traceback"]


def test_the_hint_of_an_error_comes_along():
    event = raised(TrialError("the loss became NaN", hint="lower lr"))
    assert (event["error"], event["hint"]) == ("the loss became NaN", "lower lr")
