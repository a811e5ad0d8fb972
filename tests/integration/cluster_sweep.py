"""Runs a small sweep on a cluster in a process of its own, and prints events and what nodes hold.

``python -m tests.integration.cluster_sweep ADDRESS FOLDER [CHANGES] [GPUS]``; one JSON object a
line. Nodes may say that they have GPUs where there are none. With GPUS ``shown``, PyTorch passes
for one that was built for them; with ``played``, workers that were given one compute on the CPU,
too. All else is real: what Ray places where, and what trials do.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from ray.air._internal import device_manager

from raykd.errors import RaykdError
from raykd.results.store import load_results
from raykd.spec.schema import SweepSpec
from raykd.sweep.run import SweepOptions, run_sweep
from tests.integration.conftest import tiny_spec
from tests.object_store import created


def space(folder: Path, changes: Mapping[str, Any]) -> SweepSpec:
    """Students and rows large enough that they go through the object store."""
    shape = {"family": "bert", "heads": 2, "layers": 1, "vocabulary": 400, "max_positions": 64}
    plain = {
        "student": {"model": {**shape, "hidden": 128, "intermediate": 256}},
        "search": {"trials": 4, "algorithm": {"name": "random"}},
        "report": {"path": str(folder / "report.html")},
    }
    return tiny_spec(**{**plain, **changes})


def play_gpus() -> None:
    """Who was given a GPU computes on the CPU; called in every worker process as it starts."""
    managers = device_manager.SUPPORTED_ACCELERATOR_TORCH_DEVICE_MANAGER
    managers["GPU"] = device_manager.CPUTorchDeviceManager


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("folder", type=Path)
    parser.add_argument("changes", nargs="?", default="{}", type=json.loads)
    parser.add_argument("gpus", nargs="?", default="", choices=("", "shown", "played"))
    args = parser.parse_args()
    if args.gpus:
        torch.backends.cuda.is_built = lambda: True  # type: ignore[assignment]
    if args.gpus == "played":
        hook = {"worker_process_setup_hook": play_gpus}
        ray.init(args.address, runtime_env=hook, logging_level=logging.ERROR, log_to_driver=False)

    def listen(event: Mapping[str, Any]) -> None:
        print(json.dumps(event, default=str), flush=True)
        if event["event"] == "trial_finished":
            print(json.dumps({"event": "created", "bytes": created()}), flush=True)

    spec = space(args.folder, args.changes)
    options = SweepOptions(out=args.folder, address=args.address, cache=args.folder / "cache")
    try:
        result = load_results(run_sweep(spec, "", options, listen))
    except RaykdError as exc:
        print(json.dumps({"event": "refused", "message": str(exc), "hint": exc.hint}), flush=True)
        return
    done = [(t.trial_id, t.status, t.checkpoint) for t in result.trials]
    print(json.dumps({"event": "result", "trials": done, "run": result.run}), flush=True)


if __name__ == "__main__":
    main()
