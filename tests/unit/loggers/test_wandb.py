"""The W&B logger, offline, read back from what `wandb sync` would send."""

from __future__ import annotations

import importlib
import json
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from wandb.proto import wandb_internal_pb2

from raykd.errors import SetupError
from raykd.loggers.wandb import LOGGER, Params
from tests.unit.loggers.messages import CONFIRMED, POINTS, SEARCHED, TASK, VERDICT, deliver

BLOCK = 32768


def records(sweeping) -> Iterator[Any]:
    """Everything in the offline runs, with the name of its run."""
    for file in sorted((sweeping.run / "loggers" / "wandb").glob("wandb/offline-run-*/*.wandb")):
        name = ""
        for data in framed(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            name = record.run.display_name or name
            if name:
                yield name, record


def framed(data: bytes) -> Iterator[bytes]:
    """The records of LevelDB's log format, which begins with seven bytes of W&B's own."""
    at, parts = 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def read(sweeping) -> dict[str, dict[str, Any]]:
    """By name of the run: its id, group, parameters, rows of its history, summary, exit code."""
    runs: dict[str, dict[str, Any]] = {}
    for name, record in records(sweeping):
        run = runs.setdefault(name, {"ids": set(), "config": {}, "rows": [], "summary": {}})
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run["ids"].add(record.run.run_id)
            run["group"] = record.run.run_group
            run["config"] |= values(record.run.config.update)
        elif kind == "config":
            run["config"] |= values(record.config.update)
        elif kind == "history":
            run["rows"].append(values(record.history.item))
        elif kind == "summary":
            run["summary"] |= values(record.summary.update)
        elif kind == "exit":
            run["exit"] = record.exit.exit_code
    return runs


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def test_two_sessions_are_a_run_for_each_trial_in_one_group(sweeping, capfd):
    importlib.import_module("openai")  # as with a teacher behind an address: W&B has a word on it
    sweeping.first()
    deliver("wandb", sweeping.run, project="mine")
    sweeping.second()
    record = deliver("wandb", sweeping.run, project="mine")
    assert record.place == f"{sweeping.run / 'loggers' / 'wandb'} (wandb sync sends it)"
    assert capfd.readouterr() == ("", "")  # nothing in the middle of the live view
    runs, until = read(sweeping), time.monotonic() + 30
    while "exit" not in runs["sweep"] or f"verdict/{TASK}" not in runs["sweep"]["summary"]:
        assert time.monotonic() < until, runs["sweep"]  # a process of W&B's own writes the files
        time.sleep(0.1)
        runs = read(sweeping)
    assert set(runs) == {"sweep", SEARCHED, "glue-rte.kd.s001", CONFIRMED}
    assert {run["group"] for run in runs.values()} == {sweeping.run.name}
    assert all(len(run["ids"]) == 1 for run in runs.values())

    first = runs[SEARCHED]
    assert (first["config"]["lr"], first["config"]["arm"], first["exit"]) == (1e-4, "kd", 0)
    curve = [r["step"] for r in first["rows"] if "validation/accuracy" in r]
    assert curve == [30 * k for k in range(1, POINTS + 1)]
    failed = runs["glue-rte.kd.s001"]
    assert [row["step"] for row in failed["rows"]] == [10, 20]
    own = [row["_step"] for row in failed["rows"]]
    assert own == sorted(set(own))  # W&B drops what does not grow
    assert (failed["exit"], failed["summary"]["error"]) == (1, "loss became NaN")
    assert runs[CONFIRMED]["summary"]["test/accuracy"] == 0.64
    assert runs["sweep"]["summary"][f"verdict/{TASK}"] == VERDICT
    assert runs["sweep"]["config"]["search.trials"] == 12


def test_going_online_needs_a_key_and_nobody_is_prompted_for_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(SetupError, match="logger 'wandb' has no key") as caught:
        LOGGER.check(Params(mode="online"))
    assert "WANDB_API_KEY" in caught.value.hint
    LOGGER.check(Params(mode="offline"))
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password key")
    LOGGER.check(Params(mode="online"))
    (tmp_path / "netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    LOGGER.check(Params(mode="online"))
