"""Hashes of the inputs of a run: a resumption on other data or models is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from raykd.errors import SpecError
from raykd.models.file_arrays import digest_of
from raykd.models.model_factory import ModelFactory
from raykd.models.resolve import hub_commit
from raykd.spec.schema import SweepSpec
from raykd.task_setup.set_up import TaskSetup
from raykd.task_setup.settings import pair_settings

InputHashes = Mapping[str, str]


def hash_inputs(setup: TaskSetup) -> InputHashes:
    """Hashes of what is outside the search space and decides the results of a task.

    Settings are not among it: a resumed run keeps those it began with.
    """
    splits = {
        "teacher's tokens": setup.teacher_splits,
        "student's tokens": setup.student_splits,
    }
    hashes = {"data rows": setup.data_fingerprint, "teacher": _of_model(setup.teacher)}
    if isinstance(setup.student, ModelFactory):
        hashes["student"] = _of_model(setup.student)
    for name, of in splits.items():
        ids = hashlib.sha256()
        for role in sorted(of):
            ids.update(role.encode())
            ids.update(of[role].input_ids.tobytes())
        hashes[name] = ids.hexdigest()[:12]
    return hashes


def _of_model(factory: ModelFactory) -> str:
    """Weights and configuration; where the files are and who wrote them does not matter.

    A model that begins from sizes is a setting.
    """
    digest = hashlib.sha256()
    if factory.state is not None:
        left_out = ("_name_or_path", "transformers_version")
        config = {k: v for k, v in factory.state.config.items() if k not in left_out}
        digest.update(json.dumps(config, sort_keys=True, default=str).encode())
        digest.update(digest_of(factory.state.tensors).encode())
    return digest.hexdigest()[:12]


def hub_commits(spec: SweepSpec) -> Mapping[str, str]:
    """The commits of the models that come from the hub, by the names in the search space.

    Raises:
        RaykdError: A model is out of reach.
    """
    models = pair_settings(spec)
    augment = spec.data.augment
    names = (models.teacher, models.student, augment.model if augment is not None else None)
    commits = {name: hub_commit(name) for name in names if isinstance(name, str)}
    return {name: commit for name, commit in commits.items() if commit is not None}


def changed_inputs(
    before: Mapping[str, InputHashes], now: Mapping[str, InputHashes]
) -> tuple[str, ...]:
    """Which inputs differ, in words; tasks that one side lacks are not compared.

    Args:
        before: What the run began with, by task.
        now: What there is now.
    """
    return tuple(
        f"{what} of {task}"
        for task in now
        if task in before
        for what in now[task]
        if what in before[task] and before[task][what] != now[task][what]
    )


def refuse_changed_inputs(changed: tuple[str, ...], run: str) -> None:
    """Refuse to resume with other data or models.

    Raises:
        SpecError: Something differs.
    """
    if not changed:
        return
    raise SpecError(
        f"{run} began with other inputs: {', '.join(changed)} changed since, and results of before "
        "and after would be one comparison",
        hint="bring back what it began with, begin a new sweep, or continue all the same with "
        "--allow-changes",
    )


def changed_versions(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Which versions differ between two environments (`run_folder.environment`), in words."""
    old, new = dict(before.get("packages", {})), dict(now.get("packages", {}))
    for name in ("raykd", "git", "python"):
        old[name], new[name] = before.get(name, ""), now.get(name, "")
    return tuple(
        f"{name} {_short(old.get(name))} -> {_short(new[name])}"
        for name in new
        if old.get(name) != new[name]
    )


def _short(version: object) -> str:
    """A version, or the beginning of a commit."""
    text = str(version or "none")
    return text[:9] if len(text) == 40 else text
