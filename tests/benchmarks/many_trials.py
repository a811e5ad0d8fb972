"""Whether memory stays flat over many trials: of driver, slot, coordinator and Ray's processes.

``python -m tests.benchmarks.many_trials [TRIALS] [KIND] [MINUTES]`` (1,000 and ``classification``
unless given; ``text`` trains a model that generates; no trial begins after so many minutes). The
command runs as a user runs it, with trials of
one epoch on a few rows in one slot. Memory of a process's own is what is anonymous in its share
(PSS). The baseline is the first part of the same sweep (the second tenth of the trials: what grows
at the start is done); the figure is the last tenth, and how much a trial added between the two.
Disk: what the run folder takes, with the part that grows with trials.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from raykd.results.store import read_events
from tests.benchmarks._meter import family, memory

GOAL = 1.05
SAMPLE_S = 1.0
MIB = 2**20

KINDS = {"ray::RayTrainWorker": "slot", "ray::CoordinatorState": "coordinator"}
REST = "Ray's processes"

Sample = tuple[int, dict[str, int]]
"""Trials that are over, and bytes by kind of process."""

_BERT = {"family": "bert", "heads": 2, "layers": 1, "vocabulary": 400, "max_positions": 64}
_GPT = {"family": "gpt2", "heads": 2, "layers": 1, "vocabulary": 400, "max_positions": 64}
_TASKS = {"classification": ("toy/sentiment", _BERT), "text": ("toy_text/replies", _GPT)}


def write_spec(folder: Path, trials: int, kind: str, minutes: float) -> Path:
    """A search of trials that train next to nothing."""
    task, shape = _TASKS[kind]
    plain = {
        "name": "many",
        "tasks": [task],
        "data": {
            "limit": 96, "student_rows": 32, "max_length": 32,
            "select_on": {"split": "validation"}, "report_on": {"split": "test"},
        },
        "teacher": {"model": {**shape, "hidden": 32}, "finetune": {"epochs": 1, "lr": 1e-3}},
        "student": {"model": {**shape, "hidden": 16}},
        "train": {"epochs": 1, "batch_size": 32, "lr": {"loguniform": [1e-4, 1e-2]}},
        "methods": {"kd": {"alpha": {"uniform": [0.1, 0.9]}}},
        "search": {
            "trials": trials, "max_concurrent": 1, "algorithm": "random",
            "time_budget": f"{minutes:g}m",
        },
        "confirm": {"seeds": []},
        "report": {"path": str(folder / "{name}.html")},
    }  # fmt: skip
    file = folder / "many.yaml"
    file.write_text(json.dumps(plain), encoding="utf-8")  # JSON is YAML
    return file


def sampled(file: Path, folder: Path) -> tuple[list[Sample], Path]:
    """Run a sweep; returns what was seen of it, and its run folder.

    Raises:
        RuntimeError: The sweep failed.
    """
    out = folder / "runs"
    env = {**os.environ, "RAYKD_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "raykd", "sweep", str(file), "--out", str(out), "-q"]
    process = subprocess.Popen(command, env=env)
    samples: list[Sample] = []
    while process.poll() is None:
        time.sleep(SAMPLE_S)
        done = _trials(out)
        if done:
            samples.append((done, seen(process.pid)))
    if process.returncode:
        raise RuntimeError(f"the sweep ended with {process.returncode}")
    (run,) = out.iterdir()
    return samples, run


def _trials(out: Path) -> int:
    """Trials that are over."""
    logs = [path.read_bytes() for path in out.glob("*/events.jsonl")]
    return sum(log.count(b'"event": "trial_finished"') for log in logs)


def seen(root: int) -> dict[str, int]:
    """Bytes of a command and what it started, by kind of process."""
    actual: dict[str, int] = defaultdict(int)
    for pid in family(root):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            size = memory(pid)["Pss_Anon"]
        except OSError:  # it ended meanwhile
            continue
        kind = next((kind for name, kind in KINDS.items() if words.startswith(name)), REST)
        actual["driver" if pid == root else kind] += size
    return actual


def part(samples: Sequence[Sample], low: float, high: float, kind: str) -> tuple[float, float]:
    """Means, over a part of the trials, of their number and of the bytes of a kind.

    Once the last one is over the driver writes its report, which is not part of this.
    """
    every = samples[-1][0]
    inside = [
        (done, kinds[kind])
        for done, kinds in samples
        if low * every <= done <= high * every and done < every
    ]
    numbers, sizes = zip(*inside, strict=True)
    return statistics.mean(numbers), statistics.mean(sizes)


def main() -> None:
    """Print the table."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    kind = sys.argv[2] if len(sys.argv) > 2 else "classification"
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 1e4
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="raykd-many-") as temporary:
        folder = Path(temporary)
        samples, run = sampled(write_spec(folder, trials, kind, minutes), folder)
        size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
        log = (run / "events.jsonl").stat().st_size + (run / "studies.journal").stat().st_size
        ends = len(read_events(run / "events.jsonl")[0])
    trials = samples[-1][0]
    print(f"{trials:,} trials of {kind} in {time.monotonic() - began:,.0f} s")
    print("process            second tenth   last tenth    ratio   a trial adds")
    worst = 0.0
    for name in ("driver", *KINDS.values(), REST):
        (begun, first), (ended, last) = part(samples, 0.1, 0.2, name), part(samples, 0.9, 1.0, name)
        worst = max(worst, last / first)
        print(
            f"{name:18} {first / MIB:8.1f} MiB {last / MIB:8.1f} MiB {last / first:8.3f} "
            f"{(last - first) / (ended - begun) / 1024:9.2f} KiB"
        )
    print(f"last tenth / second tenth, at most: {worst:.3f} (goal <= {GOAL})")
    print(
        f"run folder: {size / MIB:.1f} MiB; log and studies {log / trials / 1024:.2f} KiB a trial"
    )
    print(f"events a trial: {ends / trials:.1f}")


if __name__ == "__main__":
    main()
