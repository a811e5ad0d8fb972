"""Tokens per second of every method on text against plain fine-tuning; MiniLLM over many steps.

``python -m tests.benchmarks.text_arms [--rows 1000] [--steps 200]``. Generated replies, a teacher
2x96 and a student 1x48, all arms with the same rows, batches and steps, one after the other in this
process; the caches of the teacher are those that `teacher.cache: auto` chooses. The second part
trains MiniLLM and fine-tuning for as many steps and prints how the teacher's opinion of the
student's own text (reward, in nats a token) and the reverse divergence on it change, and how much
memory the process has at a quarter of the steps and at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from raykd.data.base import NO_LABEL
from raykd.results.records import Evaluation
from raykd.spec.load import load_spec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of

TASK = "toy_text/replies"
ARMS: dict[str, dict[str, Any]] = {
    "sft": {},
    "kd": {"kd_ratio": 0.5},
    "reverse_kl": {},
    "jsd": {},
    "skew_kl": {},
    "seqkd": {},
    "gkd": {"lmbda": 0.5, "max_new_tokens": 16},
    "minillm": {"max_new_tokens": 16, "lm_coef": 1.0},
}
SIZES = {"family": "gpt2", "vocabulary": 512, "max_positions": 96, "dropout": 0.0, "heads": 2}


def space(arms: dict[str, Any], rows: int, epochs: int, evaluations: int, folder: Path) -> Any:
    """One search space for all arms."""
    content = {
        "name": "text_arms",
        "tasks": [TASK],
        "data": {
            "student_rows": rows,
            "limit": 6000,
            "max_length": 64,
            "select_on": {"split": "validation", "fraction": 0.1},
            "report_on": {"split": "test", "fraction": 0.1},
        },
        "teacher": {
            "model": SIZES | {"layers": 2, "hidden": 96},
            "finetune": {"epochs": 3, "lr": 2e-3, "batch_size": 64},
        },
        "student": {"model": SIZES | {"layers": 1, "hidden": 48}},
        "train": {
            "epochs": epochs,
            "batch_size": 32,
            "lr": 3e-3,
            "evals_per_epoch": evaluations,
        },
        "methods": arms,
        "search": {"trials": 1},
    }
    path = folder / "space.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    return load_spec(path)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        _speed(args.rows, Path(name))
        _over_steps(args.rows, args.steps, Path(name))


def _speed(rows: int, folder: Path) -> None:
    base = 0.0
    for arm, values in ARMS.items():
        # Each arm alone, so that its teacher is served as it would be without the others.
        spec = space({arm: values}, rows, epochs=2, evaluations=1, folder=folder)
        setup, prepared, _ = prepare_task(spec, TASK, folder, lambda *progress: None)
        trial = dataclasses.replace(trial_of(spec, folder, TASK, arm, {}), score_test=False)
        began = time.perf_counter()
        run_in_process(trial, prepared, setup.task, lambda evaluation: None)
        seconds = time.perf_counter() - began
        tokens = 2 * int((prepared.splits["train"].labels != NO_LABEL).sum())
        served = "outputs" if prepared.cached_outputs is not None else "weights"
        base = base or tokens / seconds
        print(f"{arm:10} {tokens / seconds:9,.0f} tokens/s ({served})", flush=True)
        print(f"ratio of tokens/s, {arm} / sft: {tokens / seconds / base:.2f}")


def _resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _over_steps(rows: int, steps: int, folder: Path) -> None:
    epochs = max(1, round(steps * 32 / rows))
    spec = space(
        {"minillm": ARMS["minillm"], "sft": {}}, rows, epochs, evaluations=4, folder=folder
    )
    setup, prepared, _ = prepare_task(spec, TASK, folder, lambda *progress: None)
    seen: list[tuple[Any, int]] = []

    def look(evaluation: Evaluation) -> None:
        seen.append((evaluation.terms, _resident()))

    ends = {}
    for arm in ("minillm", "sft"):
        outcome = run_in_process(trial_of(spec, folder, TASK, arm, {}), prepared, setup.task, look)
        ends[arm] = outcome.metrics
        if arm == "sft":
            break
        for what, better in (("reward", "rises"), ("single_step", "falls")):
            values = [terms[what] for terms, _ in seen]
            half = len(values) // 2
            print(
                f"minillm {what} ({better}): first half {np.mean(values[:half]):.3f}, "
                f"second half {np.mean(values[half:]):.3f}"
            )
        quarter, last = seen[len(seen) // 4][1], seen[-1][1]
        print(f"memory at a quarter of the steps {quarter / 2**20:,.0f} MiB, at the end "
              f"{last / 2**20:,.0f} MiB")  # fmt: skip
        print(f"ratio of memory, end / quarter: {last / quarter:.3f}")
    for what in ("test/log_likelihood", "test/teacher_kl"):
        print(f"{what}: minillm {ends['minillm'][what]:.4f}, sft {ends['sft'][what]:.4f}")
    ratio = ends["minillm"]["test/teacher_kl"] / ends["sft"]["test/teacher_kl"]
    print(f"ratio of divergence from the teacher, minillm / sft: {ratio:.2f}")


if __name__ == "__main__":
    main()
