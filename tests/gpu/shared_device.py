"""A small sweep in one slot, or in several that share a device; this needs Ray."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from unittest import mock

import torch

from raykd.results.store import load_results
from raykd.sweep.run import SweepOptions, run_sweep
from tests.integration.conftest import CPUS, tiny_spec


def trial_scores(device: torch.device, slots: int) -> dict[str, float]:
    """The score of every trial, by arm and number, rounded to what rows of validation tell apart.

    Args:
        device: One GPU, of which each slot has its share, or the CPU, of which it has whole cores.
        slots: How many.
    """
    on_gpu = device.type == "cuda"
    share = {"gpus_per_worker": 1 / slots} if on_gpu else {"cpus_per_worker": CPUS // slots}
    here = {"CPU": CPUS, "GPU": 1} if on_gpu else {"CPU": CPUS}
    spec = tiny_spec(resources=share, confirm={"seeds": []})
    with tempfile.TemporaryDirectory() as folder:
        options = SweepOptions(out=Path(folder) / "runs", cache=Path(folder) / "cache")
        with mock.patch.dict(os.environ, RAY_OVERRIDE_RESOURCES=str(here).replace("'", '"')):
            run = run_sweep(spec, "", options, lambda event: None)
        actual = load_results(run)
    return {
        f"{trial.arm} {trial.number}": round(trial.objective or 0.0, 2) for trial in actual.trials
    }
