"""What preparing and serving a teacher costs as the train set grows: time, bytes, memory.

``python -m tests.benchmarks.teacher_growth [--rows 10000 100000 400000]``. Generated sentences in a
file, read as any task of one's own; a teacher 3x96 whose logits and inner products (for CKD) are
recorded by two slots, written to the cache and published; then the same from the cache. Each size
runs in a process of its own. Driver memory is what is private to the driver (USS), at its peak,
over what it held before reading the first row. The outputs are in shared memory: if the driver held
them once more, the ratio at the end would be 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from raykd.clusters.capacity import survey
from raykd.clusters.connection import connected
from raykd.clusters.slots import slots
from raykd.results.event_log import EventLog
from raykd.spec.load import load_spec
from raykd.spec.schema import SweepSpec
from raykd.sweep import run_folder
from raykd.sweep.teacher_provider import TeacherProvider
from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.user_cache import open_cache

ROWS = (10_000, 100_000, 400_000)
WORDS = 2_000
CACHE_BYTES = 1 << 40


def write_rows(folder: Path, count: int) -> None:
    """Sentences of 4 to 24 words; the label is which of two words comes first."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for split, rows in (("train", count), ("validation", 500)):
        with (folder / f"{split}.jsonl").open("w") as file:
            for label, length in zip(
                rng.integers(0, 2, rows), rng.integers(4, 25, rows), strict=True
            ):
                words = [f"w{n}" for n in rng.integers(0, WORDS, length)]
                words[0] = "up" if label else "down"
                file.write(json.dumps({"text": " ".join(words), "label": int(label)}) + "\n")


def space(folder: Path) -> SweepSpec:
    """One task, CKD and plain soft targets; written as a user writes it (JSON is YAML)."""
    shape = {"family": "bert", "heads": 2, "vocabulary": 2200, "max_positions": 64, "layers": 3}
    plain = {
        "name": "growth",
        "tasks": [
            {
                "name": "generated", "path": str(folder / "data"), "texts": ["text"],
                "labels": ["0", "1"],
            }
        ],
        "data": {"max_length": 64, "select_on": {"split": "train", "fraction": 0.02}},
        "teacher": {
            "model": {**shape, "hidden": 96},
            "finetune": {"epochs": 1, "rows": 2000, "lr": 1e-3},
            "serve": "outputs",
        },
        "student": {"model": {**shape, "hidden": 48}},
        "train": {"epochs": 1},
        "methods": {"kd": {}, "ckd": {}},
        "search": {"trials": 2, "algorithm": "random"},
    }  # fmt: skip
    (folder / "space.yaml").write_text(json.dumps(plain))
    return load_spec(folder / "space.yaml")


def one_size(rows: int) -> dict[str, float]:
    """Measure one size in this process."""
    with tempfile.TemporaryDirectory() as name, connected(None):
        folder = Path(name)
        write_rows(folder / "data", rows)
        spec = space(folder)
        peak = _Peak()
        began = time.monotonic()
        setups = {"generated": set_up_task(spec, "generated")}
        actual = {"read": time.monotonic() - began}
        encoded = setups["generated"].teacher_splits["train"]
        actual["row bytes"] = encoded.input_ids.nbytes + encoded.token_type_ids.nbytes
        run = run_folder.create(folder / "runs", spec, "", "", "")
        cluster = survey(spec)
        log = EventLog(run / "events.jsonl", lambda event: None)
        with slots(spec, cluster, run, log) as autoscaler:
            coordinator = autoscaler.coordinator
            for stage in ("prepare", "from the cache"):
                began = time.monotonic()
                teachers = TeacherProvider(
                    setups, lambda of: plan_teacher(spec, of, cluster.store_bytes),
                    spec.resources.max_failures, coordinator, log, run,
                    open_cache(folder / "cache")[0], CACHE_BYTES,
                )  # fmt: skip
                teachers.request()
                handle = teachers.wait("generated")
                assert handle is not None
                actual[stage] = time.monotonic() - began
                actual["blocks"], actual["stored"] = len(handle.refs) - 1, handle.store_bytes
                teachers.release("generated")
                del teachers, handle
        actual["driver"] = peak.over()
    return actual


class _Peak:
    """Most private memory of this process, over what it holds when this begins."""

    def __init__(self) -> None:
        self._before = _private()
        self._most = self._before
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._end.wait(0.25):
            self._most = max(self._most, _private())

    def over(self) -> int:
        self._end.set()
        self._thread.join()
        return self._most - self._before


def _private() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(x.split()[1]) * 1024 for x in lines if x.startswith("Private_"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--one", type=int)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one_size(given.one)))
        return
    table: dict[int, dict[str, Any]] = {}
    for rows in given.rows:
        command = [sys.executable, "-m", "tests.benchmarks.teacher_growth", "--one", str(rows)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        f = table[rows] = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{rows:>8,} rows: read and tokenised {f['read']:.1f} s, prepared {f['prepare']:.1f} s "
            f"({f['blocks']} blocks, {f['stored'] / 2**20:,.0f} MiB, "
            f"{f['stored'] / rows / 1024:.2f} KiB a row), "
            f"from the cache {f['from the cache']:.1f} s, driver +{f['driver'] / 2**20:,.0f} MiB",
            flush=True,
        )
    first, last = (table[n] for n in (min(table), max(table)))
    more = max(table) - min(table)
    if more:
        grown = (last["driver"] - first["driver"]) / more
        print(f"driver memory: {grown:.0f} bytes a row more; "
              f"outputs: {last['stored'] / max(table):.0f} bytes a row")  # fmt: skip
        print(f"ratio driver memory / stored outputs: {grown / (last['stored'] / max(table)):.3f}")


if __name__ == "__main__":
    main()
