"""What a trial costs besides its training: trials leased to slots against a TorchTrainer per trial.

``python -m tests.benchmarks.trial_overhead`` runs two sweeps of tiny trials, of 20 and of 100; what
80 trials more take is the marginal cost of a trial. The baseline starts a nested `TorchTrainer`
inside each Ray Tune trial, the way Ray's documentation combines the two, with the same training.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from ray import train, tune
from ray.train.torch import TorchTrainer

from raykd import registry
from raykd.clusters.connection import connected
from raykd.sweep.in_process import prepare_task, run_in_process
from raykd.sweep.run import SweepOptions, run_sweep
from tests.benchmarks._prepared import hand_over, handed_over
from tests.integration.conftest import TASK, tiny_spec, trial_config

FEW, MANY = 20, 100
BASELINE_TRIALS = 3
TRAIN = {"epochs": 1, "batch_size": 32, "precision": "fp32"}


def sweep_seconds(trials: int, folder: Path) -> float:
    """Wall time of a sweep of one arm, slot start and report included."""
    spec = tiny_spec(
        methods={"none": {"name": "none", "method": "none"}},
        search={"trials": trials, "algorithm": {"name": "random"}},
        train={"fixed": TRAIN, "domains": tiny_spec().as_dict()["train"]["domains"]},
        confirm={"seeds": []},
        report={"path": str(folder / "report.html")},
    )
    began = time.monotonic()
    options = SweepOptions(out=folder / "runs", cache=folder / "cache")
    run_sweep(spec, "", options, lambda event: None)
    return time.monotonic() - began


def nested_trial(config: dict[str, Any]) -> None:
    """One Tune trial of the baseline."""

    def loop(settings: dict[str, str]) -> None:
        prepared = handed_over(settings["task"])
        own = trial_config(train={**TRAIN, "lr": 1e-3})
        outcome = run_in_process(own, prepared, registry.load("tasks", own.task), lambda e: None)
        train.report({"accuracy": outcome.metrics["accuracy"]})

    TorchTrainer(
        loop,
        train_loop_config=config,
        scaling_config=train.ScalingConfig(num_workers=1),
        run_config=train.RunConfig(storage_path=config["folder"]),
    ).fit()
    tune.report({"done_training": 1})


def nested_seconds(folder: Path) -> float:
    """Median wall time between the ends of nested trials, run one after another."""
    prepared = prepare_task(tiny_spec(), TASK, folder / "cache", lambda *progress: None)[1]
    config = {
        "task": hand_over(prepared, folder / "prepared"),
        "folder": str(folder / "nested"),
    }
    times = []
    for _ in range(BASELINE_TRIALS):
        began = time.monotonic()
        tune.Tuner(
            tune.with_resources(nested_trial, {"cpu": 0.001}),
            param_space=config,
            run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
        ).fit()
        times.append(time.monotonic() - began)
    return statistics.median(times)


def main() -> None:
    """Print both costs and their ratio."""
    with tempfile.TemporaryDirectory() as name, connected(None):
        folder = Path(name)
        sweep_seconds(1, folder)  # fills the cache of teachers
        few = sweep_seconds(FEW, folder)
        many = sweep_seconds(MANY, folder)
        nested = nested_seconds(folder)
    marginal = (many - few) / (MANY - FEW)
    print(f"{FEW} trials {few:.1f} s, {MANY} trials {many:.1f} s")
    print(f"leased to slots: {marginal:.2f} s a trial (goal <= 0.30)")
    print(f"nested TorchTrainer: {nested:.1f} s a trial (median of {BASELINE_TRIALS})")
    print(f"ratio nested / slots: {nested / marginal:.0f}")


if __name__ == "__main__":
    main()
