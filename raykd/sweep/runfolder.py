"""The run folder: made before any work, locked while a sweep writes to it."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import raykd
from raykd.errors import SetupError, SpecError
from raykd.results.codec import to_dict
from raykd.results.records import TaskRecord, TeacherRecord
from raykd.spec.load import spec_from_dict, to_yaml
from raykd.spec.schema import SweepSpec

FORMAT = 1
PACKAGES = ("ray", "torch", "transformers", "tokenizers", "datasets", "optuna", "pyarrow",
            "numpy", "scipy", "plotly")  # fmt: skip


def create(out: Path, spec: SweepSpec, source: str, command: str, baseline: str) -> Path:
    """Make a new run folder with what was asked, what that means, and where it runs.

    Raises:
        SetupError: The folder cannot be written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        out.mkdir(parents=True, exist_ok=True)
        run = _fresh(out, f"{spec.name}-{stamp}")
        for part in ("teachers", "checkpoints", "state"):
            (run / part).mkdir()
        (run / "spec.yaml").write_text(source)
        write_spec(run, spec)
        (run / "env.json").write_text(json.dumps(environment(command, baseline), indent=1))
    except OSError as exc:
        raise SetupError(
            f"cannot make a run folder in {out}: {exc.strerror or exc}",
            hint="choose another place with --out DIR",
        ) from exc
    return run


def _fresh(out: Path, name: str) -> Path:
    """A folder that did not exist before, also when two sweeps start in the same second."""
    for attempt in range(1, 1000):
        run = out / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            run.mkdir()
        except FileExistsError:
            continue
        return run
    raise SetupError(f"cannot find a free name for a run folder in {out}")


def write_spec(run: Path, spec: SweepSpec) -> None:
    """Write what the search space means, for people and for programs."""
    (run / "resolved.yaml").write_text(to_yaml(spec))
    (run / "resolved.json").write_text(json.dumps(spec.as_dict(), indent=1))


def reopen(run: Path) -> tuple[SweepSpec, Mapping[str, Any]]:
    """The search space and environment of a run folder.

    Raises:
        SpecError: It is not a run folder.
    """
    try:
        plain = json.loads((run / "resolved.json").read_text())
        env: Mapping[str, Any] = json.loads((run / "env.json").read_text())
    except (OSError, ValueError) as exc:
        raise SpecError(
            f"'{run}' is not a run folder: {exc}",
            hint="give the folder that raykd printed as 'run:', e.g. runs/quickstart-20260114-0930",
        ) from exc
    return spec_from_dict(plain), env


@contextmanager
def lock(run: Path) -> Iterator[None]:
    """Hold the run folder: a second sweep on it would take over running trials.

    Raises:
        SetupError: Another live sweep holds it, or it cannot be written.
    """
    try:
        opened = (run / "lock").open("w")
    except OSError as exc:
        raise SetupError(
            f"cannot write to {run}: {exc.strerror or exc}",
            hint="a sweep is continued where it can write",
        ) from exc
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise SetupError(
                f"another sweep is writing to {run}",
                hint="wait for it to end, or stop it, then resume",
            ) from exc
        yield


def environment(command: str, baseline: str) -> dict[str, Any]:
    """What a later reader needs to repeat the run: command, versions, machine."""
    return {
        "version": FORMAT,
        "command": command,
        "baseline": baseline,
        "started": time.time(),
        "raykd": raykd.__version__,
        "git": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "devices": _devices(),
    }


def _git_commit() -> str:
    """The commit of raykd's own checkout, empty for an installed package."""
    package = Path(raykd.__file__).parent
    if not (package.parent / ".git").exists():
        return ""
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=package, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


def _devices() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def write_teacher(run: Path, task: str, teacher: TeacherRecord, record: TaskRecord) -> None:
    """Keep how the teacher of a task was prepared."""
    plain = {"teacher": to_dict(teacher), "record": to_dict(record)}
    path = run / "teachers" / f"{task.replace('/', '-')}.json"
    path.write_text(json.dumps(plain, indent=1))
