from __future__ import annotations

import json
import os
import resource
import threading
from collections import Counter

import pytest

from raykd.errors import SetupError
from raykd.results.event_log import EventLog
from raykd.results.store import read_events


def ignore(event):
    """A listener for tests that read the file."""


def test_every_event_is_a_line_and_shown_after_it_is_written(tmp_path):
    path = tmp_path / "events.jsonl"
    shown = []
    log = EventLog(path, lambda e: shown.append((e["event"], len(path.read_text().splitlines()))))
    log.emit("stage", stage="search")
    log.emit("note", message="two\nlines")
    events, torn = read_events(path)
    assert [(e["event"], e.get("message", "")) for e in events] == [
        ("stage", ""), ("note", "two\nlines"),
    ]  # fmt: skip
    assert torn == 0
    assert shown == [("stage", 1), ("note", 2)]
    assert events[0]["time"] <= events[1]["time"]


@pytest.mark.parametrize("torn", [b'{"time": 1, "event": "no', b"{"])
def test_a_line_torn_by_a_kill_does_not_spoil_the_next(tmp_path, torn):
    path = tmp_path / "events.jsonl"
    EventLog(path, ignore).emit("first")
    with path.open("ab") as file:
        file.write(torn)
    EventLog(path, ignore).emit("second")
    EventLog(path, ignore).emit("third")
    events, count = read_events(path)
    assert [e["event"] for e in events] == ["first", "second", "third"]
    assert count == 1


def test_a_log_is_continued(tmp_path):
    path = tmp_path / "events.jsonl"
    path.touch()
    for name in ("one", "two"):
        EventLog(path, ignore).emit(name)
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["one", "two"]


def test_threads_do_not_tear_each_others_lines(tmp_path):
    path = tmp_path / "events.jsonl"
    shown = []
    log = EventLog(path, shown.append)

    def write(name):
        for k in range(50):
            log.emit(name, number=k, text="x" * 200)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events, torn = read_events(path)
    assert torn == 0
    assert Counter(e["event"] for e in events) == {"a": 50, "b": 50}
    assert [e["number"] for e in events if e["event"] == "a"] == list(range(50))
    assert [(e["event"], e["number"]) for e in events] == [(e["event"], e["number"]) for e in shown]


def test_a_full_disk_is_reported_and_the_log_continues_when_there_is_room(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path, ignore)
    log.emit("before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + 20, hard))
    try:
        with pytest.raises(SetupError, match=r"cannot write .*events\.jsonl") as caught:
            log.emit("lost", text="x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "--resume" in caught.value.hint
    log.emit("after")
    events, _ = read_events(path)
    assert [e["event"] for e in events] == ["before", "after"]


def test_a_folder_that_is_gone_is_reported(tmp_path):
    with pytest.raises(SetupError, match="No such file"):
        EventLog(tmp_path / "gone" / "events.jsonl", ignore).emit("first")
