"""The run folder: created before any work, locked while a sweep writes to it."""

from __future__ import annotations

import fcntl
import getpass
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import raykd
from raykd.errors import LONGEST, Problem, SetupError, SpecError
from raykd.results.records import TaskRecord, TeacherRecord
from raykd.results.serialization import to_dict
from raykd.results.store import SPEC_HASH, VERSION, load_results, other_version, text_hash
from raykd.secrets import without_secrets
from raykd.spec.load import spec_from_dict, to_yaml
from raykd.spec.schema import SweepSpec
from raykd.sweep.input_hashes import InputHashes
from raykd.training.settings import FLOAT32_PRODUCTS
from raykd.whole_file import whole_file

PACKAGES = ("ray", "torch", "transformers", "tokenizers", "datasets", "optuna", "pyarrow",
            "numpy", "scipy", "plotly")  # fmt: skip

HUB_MODELS = "hub models"
"""Where the environment has the commits of models from the hub, as the report names them."""


def create(
    out: Path,
    spec: SweepSpec,
    source: str,
    command: str,
    baseline: str,
    inputs: Mapping[str, InputHashes] | None = None,
    commits: Mapping[str, str] | None = None,
) -> Path:
    """Create a run folder with the search space as given, as resolved, and the environment.

    Args:
        out: Folder of run folders.
        spec: What is run.
        source: The file as it was given.
        command: The command line.
        baseline: Arm that the others are compared with.
        inputs: What it begins with, by task (`raykd.sweep.input_hashes`).
        commits: Commits of the models that come from the hub, by their names.

    Raises:
        SetupError: The folder cannot be written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        out.mkdir(parents=True, exist_ok=True)
        run = _fresh(out, f"{spec.name}-{stamp}")
        for folder in ("teachers", "checkpoints", "state"):
            (run / folder).mkdir()
        with whole_file(run / "spec.yaml") as part:
            part.write_text(source, encoding="utf-8")
        began = {
            SPEC_HASH: write_spec(run, spec),
            "inputs": dict(inputs or {}),
            HUB_MODELS: dict(commits or {}),
        }
        _write(run / "env.json", {**environment(command, baseline), **began})
    except OSError as exc:
        raise SetupError(
            f"cannot make a run folder in {out}: {exc.strerror or exc}",
            hint="choose another place with --out DIR",
        ) from exc
    return run


def _fresh(out: Path, name: str) -> Path:
    """Create a new folder, even when two sweeps start in the same second."""
    for attempt in range(1, 1000):
        run = out / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            run.mkdir()
        except FileExistsError:
            continue
        return run
    raise SetupError(f"cannot find a free name for a run folder in {out}")


def with_budget(spec: SweepSpec, trials: int) -> SweepSpec:
    """The search space of a run with another number of trials per arm.

    Raises:
        SpecError: It is no budget.
    """
    try:
        return spec.with_trials(trials)
    except SpecError as exc:
        raise exc.with_problems([replace(p, file="--trials") for p in exc.problems()]) from exc


def write_spec(run: Path, spec: SweepSpec) -> str:
    """Write the resolved search space as YAML and as JSON.

    Returns:
        The hash of the YAML.

    Raises:
        ValueError: It is none that could be read again, and what was there before stays.
    """
    plain = spec.as_dict()
    spec_from_dict(plain)
    _write(run / "resolved.json", plain)
    text = to_yaml(spec)
    with whole_file(run / "resolved.yaml") as part:
        part.write_text(text, encoding="utf-8")
    return text_hash(text)


def write_resumption(
    run: Path,
    spec: SweepSpec,
    command: str,
    inputs: Mapping[str, InputHashes],
    commits: Mapping[str, str],
) -> None:
    """Record a resumption: its budget, machine, versions and inputs.

    Raises:
        SetupError: The folder cannot be written.
    """
    env = reopen(run)[1]
    began = {"inputs": dict(inputs), HUB_MODELS: dict(commits)}
    again = {**environment(command, str(env.get("baseline", ""))), **began}
    try:
        env = {**env, SPEC_HASH: write_spec(run, spec)}
        _write(run / "env.json", {**env, "resumed": [*env.get("resumed", ()), again]})
    except OSError as exc:
        raise SetupError(
            f"cannot write to {run}: {exc.strerror or exc}",
            hint="a sweep is continued where it can write",
        ) from exc


def _write(path: Path, plain: Mapping[str, Any]) -> None:
    with whole_file(path) as part:
        part.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def reopen(run: Path) -> tuple[SweepSpec, Mapping[str, Any]]:
    """The search space and environment of a run folder; nothing is written.

    Raises:
        SpecError: It is not a run folder, or one that this raykd cannot continue.
    """
    try:
        plain = json.loads((run / "resolved.json").read_text(encoding="utf-8"))
        env: Mapping[str, Any] = json.loads((run / "env.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise SpecError(
            f"'{run}' is not a run folder: {exc}",
            hint="give the folder that raykd printed as 'run:', e.g. runs/quickstart-20260114-0930",
        ) from exc
    if (wrong := other_version(env)) is not None:
        raise SpecError(
            f"{run} is a run folder {wrong}, this raykd continues {VERSION}",
            hint="resume it with the version of raykd that its env.json names",
        )
    try:
        return spec_from_dict(plain), env
    except (ValueError, TypeError, KeyError) as exc:
        problems = [_unreadable(run, error) for error in getattr(exc, "errors", list)()]
        raise SpecError(
            f"{run / 'resolved.json'} cannot be read: {exc}", problems=problems
        ) from exc


def _unreadable(run: Path, error: Mapping[str, Any]) -> Problem:
    """An invalid value of a resolved search space, as reported by pydantic."""
    return Problem(
        file=str(run / "resolved.json"),
        path=".".join(str(part) for part in error["loc"]),
        message=f"{error['msg']}, got {error['input']!r}"[:200],
        hint="written by another version of raykd (env.json), or changed since: repair that value",
    )


def last_environment(run: Path) -> Mapping[str, Any]:
    """The environment of the last resumption of a run, else that of its start."""
    env = reopen(run)[1]
    resumed = env.get("resumed") or [env]
    last: Mapping[str, Any] = resumed[-1]
    return last


def recorded_inputs(run: Path) -> Mapping[str, InputHashes]:
    """The input hashes of the last resumption of a run, else of its start, as far as recorded."""
    hashes: Mapping[str, InputHashes] = last_environment(run).get("inputs") or {
        task.name: {"data rows": task.data_fingerprint} for task in load_results(run).tasks
    }
    return hashes


@contextmanager
def lock(run: Path, shown: str = "") -> Iterator[None]:
    """Hold the run folder: a second sweep on it would take over running trials.

    Args:
        run: The run folder.
        shown: What it is called in messages, where that is not its path.

    Raises:
        SetupError: Another live sweep holds it, or it cannot be written.
    """
    try:
        opened = (run / "lock").open("a+", encoding="utf-8")
    except OSError as exc:
        raise SetupError(
            f"cannot write to {run}: {exc.strerror or exc}",
            hint="a sweep is continued where it can write",
        ) from exc
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            file.seek(0)
            who = file.read(LONGEST).strip() or "another sweep"
            raise SetupError(
                f"another sweep is writing to {shown or run}: {who}",
                hint="wait for it to end, or stop it, then resume",
            ) from exc
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def environment(command: str, baseline: str) -> dict[str, Any]:
    """The environment that is needed to repeat the run: command, versions, machine."""
    return {
        "version": VERSION,
        "command": without_secrets(command),
        "baseline": baseline,
        "started": time.time(),
        "raykd": raykd.__version__,
        "git": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "host": platform.node(),
        "user": _user(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "devices": _devices(),
        "float32 products": FLOAT32_PRODUCTS,
    }


def _user() -> str:
    """Who runs the sweep, so that an anonymous report can leave the name out; empty if unknown."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a process in a container, of a number without a name
        return ""


def _git_commit() -> str:
    """The commit of raykd's own checkout, empty for an installed package."""
    package = Path(raykd.__file__).parent
    if not (package.parent / ".git").exists():
        return ""
    process = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=package, capture_output=True, text=True, check=False
    )
    return process.stdout.strip()


def _processor() -> str:
    """What the processor calls itself, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _devices() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def write_teacher(run: Path, task: str, teacher: TeacherRecord, record: TaskRecord) -> None:
    """Write the record of how the teacher of a task was prepared."""
    plain = {"teacher": to_dict(teacher), "record": to_dict(record)}
    name = task.replace("/", "-").replace(" (", ".").removesuffix(")")
    path = run / "teachers" / f"{name}.json"
    _write(path, plain)
