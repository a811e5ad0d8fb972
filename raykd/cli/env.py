"""``raykd env``: the environment, to paste into an issue."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from raykd.cli.output import Output

PACKAGES = ("raykd", "ray", "torch", "transformers", "optuna", "datasets", "plotly", "pyarrow")


def env(output: Output) -> None:
    """Show versions, devices, cluster address and room on disk."""
    info = surroundings()
    if output.is_json:
        output.record(info)
        return
    facts = {"python": info["python"], "system": info["system"]}
    facts |= {name: version or "not installed" for name, version in info["packages"].items()}
    facts["processors"] = str(info["cpus"])
    facts["devices"] = ", ".join(info["devices"]) or "no GPU"
    facts["cluster"] = info["cluster"] or "none (RAY_ADDRESS is not set)"
    for place, free in info["disk_free_bytes"].items():
        facts[f"free in {place}"] = f"{free / 1e9:.1f} GB"
    output.facts(facts)


def surroundings() -> dict[str, Any]:
    """Versions, devices, cluster address and free disk space as plain data."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cpus": _processors(),
        "devices": _devices(),
        "cluster": os.environ.get("RAY_ADDRESS", ""),
        "disk_free_bytes": _disk_room(),
    }


def versions() -> dict[str, str]:
    """Python and what results depend on most, as ``raykd --version`` shows them."""
    packages = {
        name: _version(name) or "not installed" for name in ("torch", "ray", "transformers")
    }
    return {"Python": platform.python_version(), **packages}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processors() -> int:
    """Those that this process may use, where the system says it."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _devices() -> list[str]:
    if not _version("torch"):
        return []
    import torch

    return [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]


def _disk_room() -> dict[str, int]:
    """Free bytes where runs are written, where models are cached, and in shared memory."""
    cache = Path(os.environ.get("HF_HOME") or os.path.expanduser("~/.cache"))
    places = {".": Path(), str(cache): cache, "/dev/shm": Path("/dev/shm")}
    return {name: shutil.disk_usage(path).free for name, path in places.items() if path.exists()}
