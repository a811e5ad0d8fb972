from __future__ import annotations

import io

import pytest
from rich.console import Console

from raykd.cli.live_view import draw
from raykd.cli.progress import Progress
from tests.unit.cli.event_stream import BEGIN, END, READY, START, TEACHER, TRIALS, event, result


def drawn(*parts, now: float = START + 60, width: int = 100) -> list[str]:
    state = Progress()
    for part in parts:
        for one in part:
            state.update(one)
    stream = io.StringIO()
    Console(file=stream, width=width).print(draw(state, now))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_teacher_in_preparation_has_a_bar():
    lines = drawn(BEGIN, TEACHER)
    assert lines[0] == "small  glue/rte 1 of 1   running 00:01:00   2 slots, 8 CPUs"
    assert lines[1].startswith("  fine-tuning the teacher of glue/rte ")
    assert lines[1].endswith("20/40 steps accuracy 0.7")
    assert "Ctrl-C" in lines[-1]


def test_one_row_per_arm():
    lines = drawn(BEGIN, TEACHER, READY, TRIALS)
    assert lines[0].endswith("teacher 72.6   2 slots, 8 CPUs")
    assert lines[1].split() == [
        "arm", "trials", "pruned", "failed", "best", "(validation)", "since", "best", "parameters",
    ]  # fmt: skip
    assert lines[2].split() == ["kd", "2/2", "0", "1", "70.0", "1", "alpha", "0.7123"]
    assert lines[3].split() == ["none", "1/2", "1", "0", "60.0", "0", "alpha", "0.7123"]
    assert lines[-1] == "  3 of 6 trials   about 1 min left   stop: Ctrl-C (keeps results)"


def test_running_trials_and_how_many_more():
    more = [
        event("trial_started", 20, trial_id=f"t{k}", task="glue/rte", arm="kd", number=k,
              stage="search", params={}, slot=0)
        for k in range(1, 5)
    ]  # fmt: skip
    [line] = [x for x in drawn(BEGIN, READY, more) if x.startswith("  running")]
    assert line == "  running  #0 kd  epoch 2/4  65.0   #1 kd   #2 kd   ... 2 more"


def test_confirm_runs_have_a_column():
    confirm = [
        event("stage", 60, stage="confirm", task="glue/rte"),
        event("trial_finished", 70, result=result("kd", 0, "completed", 0.9, stage="confirm")),
    ]
    lines = drawn(BEGIN, READY, TRIALS, confirm)
    assert "confirming" in lines[0]
    assert "1/1" in lines[2].split()


def test_a_confirm_run_that_failed_is_no_confirmation():
    confirm = [
        event("stage", 60, stage="confirm", task="glue/rte"),
        event("trial_finished", 70, result=result("kd", 0, "failed", None, stage="confirm")),
    ]
    assert "0/1, 1 lost" in drawn(BEGIN, READY, TRIALS, confirm)[2]


def test_the_end():
    lines = drawn(BEGIN, READY, TRIALS, END, now=START + 100)
    assert "completed 00:01:40" in lines[0]
    assert lines[-1] == "  3 of 6 trials"


def test_a_narrow_terminal_cuts_lines_and_never_wraps():
    wide, narrow = drawn(BEGIN, READY, TRIALS), drawn(BEGIN, READY, TRIALS, width=60)
    assert len(narrow) == len(wide)
    assert max(map(len, narrow)) <= 60


def test_a_lost_slot_is_reported():
    assert "1 lost" in drawn(BEGIN, [event("slot", 5, slot=1, state="lost", node="n1")])[0]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("stage", ["search", "confirm"])
def test_names_and_counts_are_whole_on_a_narrow_terminal(width, stage):
    """The parameters of the best trial give way, not how many trials there were."""
    params = {"alpha": 0.51481234, "temperature": 4, "lr": 3.2e-5, "wrdist": 123.4, "ltrdist": 0.71}
    arms = ["none", "one_to_one", "tinybert"]
    begin = [event("sweep_started", 0, name="bake", run="r", tasks=["glue/rte"], arms=arms,
                   trials=2000, confirm_runs=3)]  # fmt: skip
    ended = [
        {**event("trial_finished", 9), "result": {**result(arm, 0, "completed", 0.6512),
         "params": params, "searched": tuple(params)}}
        for arm in arms
    ]  # fmt: skip
    more = [event("stage", 60, stage="confirm", task="glue/rte")] if stage == "confirm" else []
    lines = drawn(begin, ended, more, width=width)
    [head] = [line for line in lines if line.startswith("  arm")]
    assert head.split()[:7] == [
        "arm",
        "trials",
        "pruned",
        "failed",
        "best",
        "(validation)",
        "since",
    ]
    assert ("confirmed" in head) == (stage == "confirm")
    for arm in arms:
        [row] = [line for line in lines if line.startswith(f"  {arm} ")]
        assert row.split()[1:5] == ["1/2000", "0", "0", "0.6512"]
        assert len(row) <= width
