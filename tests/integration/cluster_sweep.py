"""Runs a small sweep on a cluster in a process of its own, and prints events and what nodes hold.

``python -m tests.integration.cluster_sweep ADDRESS FOLDER [CHANGES]``; one JSON object a line.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import ray
from ray._private.internal_api import node_stats

from raykd.results.store import load_results
from raykd.spec.schema import SweepSpec
from raykd.sweep.run import SweepOptions, run_sweep
from tests.integration.conftest import tiny_spec


def space(folder: Path, changes: Mapping[str, Any]) -> SweepSpec:
    """Students and rows large enough that they go through the object store."""
    shape = {"family": "bert", "heads": 2, "layers": 1, "vocabulary": 400, "max_positions": 64}
    return tiny_spec(
        student={"model": {**shape, "hidden": 128, "intermediate": 256}},
        search={"trials": 4, "algorithm": {"name": "random"}},
        report={"path": str(folder / "report.html")},
        **changes,
    )


def created() -> dict[str, int]:
    """Bytes that ever were laid into the object store of each node, copies included."""
    found = {}
    for node in ray.nodes():
        where = node["NodeManagerAddress"], node["NodeManagerPort"]
        with contextlib.suppress(grpc.RpcError):  # it is gone, and Ray does not know yet
            stats = node_stats(*where, include_memory_info=False).store_stats
            found[node["NodeID"]] = stats.cumulative_created_bytes
    return found


def main() -> None:
    address, folder, *changes = sys.argv[1:]

    def listen(event: Mapping[str, Any]) -> None:
        print(json.dumps(event, default=str), flush=True)
        if event["event"] == "trial_finished":
            print(json.dumps({"event": "created", "bytes": created()}), flush=True)

    spec = space(Path(folder), json.loads(changes[0]) if changes else {})
    options = SweepOptions(out=Path(folder), address=address, cache=Path(folder) / "cache")
    result = load_results(run_sweep(spec, "", options, listen))
    done = [(t.trial_id, t.status, t.checkpoint) for t in result.trials]
    print(json.dumps({"event": "result", "trials": done, "run": result.run}), flush=True)


if __name__ == "__main__":
    main()
