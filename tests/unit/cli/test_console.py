from __future__ import annotations

import io
import json
import threading

import pytest
from rich.console import Console as Terminal

from raykd.cli.console import JsonLines, Lines, LiveView, Silent, open_console
from raykd.cli.output import Format, Output
from raykd.errors import Problem
from tests.unit.cli.event_stream import BEGIN, EVERYTHING, READY, TRIALS, event, result


def lines_of(events) -> list[str]:
    stream = io.StringIO()
    with Lines(stream) as console:
        for one in events:
            console.handle(one)
    return stream.getvalue().splitlines()


def test_one_line_per_finished_trial_and_a_summary_every_half_minute():
    assert lines_of(EVERYTHING) == [
        "[00:00:00] run: runs/small-1",
        "[00:00:00] small: 1 tasks, arms kd, none, 6 trials",
        "[00:00:03] fine-tuning the teacher of glue/rte",
        "[00:00:10] teacher of glue/rte prepared: accuracy 72.6",
        "[00:00:10] glue/rte: search",
        "[00:00:20] glue-rte.kd.s000 completed  70.0  alpha 0.7123  (kd 1/2)",
        "[00:00:40] glue-rte.kd.s001 failed  boom [x]  alpha 0.7123  (kd 2/2)",
        "[00:00:40] 2 of 6 trials; kd best 70.0; about 1 min left",
        "[00:00:50] glue-rte.none.s000 pruned  60.0  alpha 0.7123  (none 1/2)",
        "[00:00:51] note: [bold] was ignored",
        "[00:01:40] completed after 2 min",
    ]


def test_reports_between_do_not_make_lines():
    reports = [{**READY[-1], "time": READY[-1]["time"] + k} for k in range(10)]
    assert len(lines_of([*BEGIN, *READY, *reports])) == len(lines_of([*BEGIN, *READY]))


def test_json_is_one_object_per_event_on_stdout(capsys):
    with JsonLines() as console:
        for one in EVERYTHING:
            console.handle(one)
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == EVERYTHING
    assert err == ""


def test_the_live_view_leaves_stdout_alone(capsys):
    stream = io.StringIO()
    with LiveView(Terminal(file=stream, force_terminal=True, width=100)) as console:
        for one in EVERYTHING:
            console.handle(one)
        print("the result")
    assert capsys.readouterr().out == "the result\n"
    text = stream.getvalue()
    assert "note: [bold] was ignored" in text
    assert "boom [x]" in text
    assert "3 of 6 trials" in text


def test_events_may_come_while_the_view_is_drawn():
    failures: list[BaseException] = []
    console = LiveView(Terminal(file=io.StringIO(), force_terminal=True))
    for one in BEGIN:
        console.handle(one)
    stop = threading.Event()

    def redraw() -> None:
        try:
            while not stop.is_set():
                Terminal(file=io.StringIO()).print(console.view())
        except RuntimeError as exc:
            failures.append(exc)

    drawing = threading.Thread(target=redraw)
    drawing.start()
    for k in range(200):
        console.handle({**READY[2], "trial_id": f"t{k}"})
        console.handle(event("trial_finished", 20, result=result("kd", k, "completed", 0.5)))
    stop.set()
    drawing.join()
    assert not failures


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (Output(format=Format.JSON), JsonLines),
        (Output(format=Format.JSON, quiet=True), JsonLines),
        (Output(format=Format.PLAIN), Lines),
        (Output(), Lines),
        (Output(quiet=True), Silent),
        (Output(format=Format.RICH), LiveView),
    ],
)
def test_which_console_is_opened(output, kind, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    assert type(open_console(output)) is kind


def test_a_dumb_terminal_gets_lines(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "dumb")
    assert type(open_console(Output(format=Format.RICH))) is Lines


def test_silence(capsys):
    with Silent() as console:
        for one in TRIALS:
            console.handle(one)
    assert capsys.readouterr() == ("", "")


def test_the_log_file_holds_what_happened_and_the_terminal_nothing_twice(tmp_path, capsys):
    output = Output(format=Format.PLAIN)
    output.configure(verbose=True, log_file=str(tmp_path / "log"))
    with open_console(output) as console:
        for one in EVERYTHING:
            console.handle(one)
    output.note("continue with: raykd sweep --resume RUN")
    output.text("caveat: few seeds")
    output.table(["arm", "score"], [["kd", "0.7"]], title="glue/rte")
    output.problem(Problem(message="no room"), "the trace")
    output.close()
    log = (tmp_path / "log").read_text()
    for words in (
        "INFO raykd.shown: run: runs/small-1", "fine-tuning the teacher of glue/rte",
        "teacher of glue/rte prepared: accuracy 72.6", "glue-rte.kd.s001 failed  boom [x]",
        "WARNING raykd.shown: note: [bold] was ignored", "completed after 2 min",
        "DEBUG raykd.shown: trial_report", "continue with: raykd sweep --resume RUN",
        "caveat: few seeds", "  kd   0.7", "ERROR raykd.shown: error: no room", "the trace",
    ):  # fmt: skip
        assert words in log, words
    out, err = capsys.readouterr()
    assert err.count("boom [x]") == 1
    assert "raykd.shown" not in out + err
    assert (err.count("no room"), out.count("few seeds")) == (1, 1)


def test_a_wait_for_slots_is_reported():
    begin = [one for one in BEGIN if one["event"] != "slot"]
    starting = event("slot", 2, slot=0, state="starting", node="n1")
    lines = lines_of([*begin, starting, event("stage", 40, stage="search", task="glue/rte")])
    assert lines[-1] == "[00:00:40] 0 of 6 trials; 1 slots are starting"


def test_nothing_that_a_method_raised_steers_the_terminal():
    error = "RuntimeError: \x1b[2J\x1b]0;owned\x07"
    stream = io.StringIO()
    lines = Lines(stream)
    for one in [*BEGIN, event("trial_finished", 9, result={**result("kd", 0, "failed", None),
                                                          "error": error})]:  # fmt: skip
        lines.handle(one)
    assert "RuntimeError: \\x1b[2J\\x1b]0;owned\\x07" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
