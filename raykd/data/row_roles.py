"""Reads the rows of a task and splits them into roles: train, validation, test, finetune."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from raykd.data.balance import Balance, check_classes, resampled, weighted
from raykd.data.base import Array, DataSettings, Examples, Task
from raykd.data.hold_out import choose, equal_parts, hold_out
from raykd.data.keys import at_key
from raykd.data.rationales import from_file, rationales_as_input, relabelled, with_rationales
from raykd.data.table import NoSplit
from raykd.data.unlabelled_files import with_unlabelled

UNBALANCED = Balance()


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitPart:
    """A split, or a part that is held out from it.

    Attributes:
        split: Its name.
        fraction: The part, None for all of it.
        key: The place in the user's file that asks for it, empty where nothing there does.
    """

    split: str
    fraction: float | None = None
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleSettings:
    """How rows are read and split into roles.

    Attributes:
        source: Where they come from, and the seed of every choice among them.
        validation: The rows that the search is guided by.
        test: The rows that the report shows.
        finetune_rows: Rows that the teacher is fine-tuned on, None for all.
        student_rows: Rows that students are trained on, None for all.
        rationale_file: File with one rationale per line, which take the place of the data's.
        rationales_in_prompts: Whether rationales are part of the prompts.
        llm_labels: Whether students learn the responses of a language model.
        augment: Adds rows to those that students are trained on; None: they stay as they are.
        balance: What is done about classes of different sizes.
        unlabelled: Files of further rows for students, without labels.
        searches: Searches of each arm, which share the rows to select on.
    """

    source: DataSettings
    validation: SplitPart
    test: SplitPart
    finetune_rows: int | None = None
    student_rows: int | None = None
    rationale_file: str | None = None
    rationales_in_prompts: bool = False
    llm_labels: bool = False
    augment: Callable[[Examples], Examples] | None = None
    balance: Balance = UNBALANCED
    unlabelled: tuple[str, ...] = ()
    searches: int = 1


def selecting_role(search: int) -> str:
    """The role of the rows that one of several searches selects on; they are numbered from 0."""
    return f"validation_{search + 1}"


def is_selecting(role: str) -> bool:
    """Whether a role holds the rows of one of several searches."""
    return role.startswith("validation_")


def load_row_roles(task: Task, settings: RoleSettings) -> dict[str, Examples]:
    """Rows by role: ``finetune`` and ``train``, which may share rows, ``validation``, ``test``.

    Extra evaluation splits, where they can be reached, are ``test_<suffix>``. Where there are
    several searches, each selects on a part of ``validation`` of its own, see `selecting_role`.

    Parts that are held out from a split are disjoint. What is trained on is what they leave of
    train; likewise, a role that names all of a split has what a part of it leaves. Roles that have
    the same rows share the object, so that nothing is done twice for them.

    Raises:
        DataError: The rows are not what the task needs.
        SetupError: They cannot be reached.
    """
    source = settings.source
    roles, train, rest = _scored(task, settings)
    if settings.test.split == task.extra_eval_with and settings.test.fraction is None:
        reachable = task.splits(source)
        for suffix, split in task.extra_eval_splits.items():
            if split in reachable:
                roles[f"test_{suffix}"] = _load(task, split, settings)
    if settings.searches > 1:
        with at_key("search.repeats"):
            shares = equal_parts(len(roles["validation"]), settings.searches, source.seed)
        parts = {selecting_role(k): roles["validation"].take(of) for k, of in enumerate(shares)}
        roles.update(parts)
    balance = settings.balance
    check_classes(balance, has_classes=task.has_row_classes, name=task.name)
    for role, count in (("finetune", settings.finetune_rows), ("train", settings.student_rows)):
        roles[role] = resampled(train.take(choose(rest, count, source.seed)), balance, task.name)
    if settings.augment is not None:
        roles["train"] = settings.augment(roles["train"])
    for role in ("finetune", "train"):
        roles[role] = weighted(roles[role], balance)
    if settings.unlabelled:
        roles["train"] = with_unlabelled(roles["train"], task, source, settings.unlabelled)
    if settings.llm_labels:
        with at_key("data.label_type"):
            roles["train"] = relabelled(roles["train"], task.name)
    return roles


def _scored(task: Task, settings: RoleSettings) -> tuple[dict[str, Examples], Examples, Array]:
    """The rows of ``validation`` and ``test``, all of train, and which of train they leave."""
    whole = {"train": _load(task, "train", settings)}
    left = {"train": np.arange(len(whole["train"]))}
    roles: dict[str, Examples] = {}
    parts = {"validation": settings.validation, "test": settings.test}
    for role, part in parts.items():
        if part.split not in whole:
            with _naming_split_key(part.key):
                whole[part.split] = _load(task, part.split, settings)
            left[part.split] = np.arange(len(whole[part.split]))
        if part.fraction is not None:
            with at_key(part.key and f"{part.key}.fraction"):
                keep, held_out = hold_out(
                    len(left[part.split]), part.fraction, settings.source.seed
                )
            roles[role] = whole[part.split].take(left[part.split][held_out])
            left[part.split] = left[part.split][keep]
    for role, part in parts.items():
        if part.fraction is None:
            rows, rest = whole[part.split], left[part.split]
            roles[role] = rows if len(rest) == len(rows) else rows.take(rest)
    return roles, whole["train"], left["train"]


@contextmanager
def _naming_split_key(key: str) -> Iterator[None]:
    """Name the key that asks for a split, where there is no such split.

    A file that the task's description names for the split stays the place of the mistake.
    """
    try:
        yield
    except NoSplit as exc:
        in_task = any(problem.path.startswith(".splits.") for problem in exc.problems())
        if not key or in_task:
            raise
        problems = [replace(problem, path=f"{key}.split") for problem in exc.problems()]
        raise exc.with_problems(problems) from exc


def _load(task: Task, split: str, settings: RoleSettings) -> Examples:
    """Rows of a split, with their rationales."""
    rows = task.load(split, settings.source)
    if (file := settings.rationale_file) is not None:
        with at_key("data.rationales.source"):
            rationales = from_file(Path(file), split)
            rows = with_rationales(rows, rationales, f"{file} ({task.name}, {split})")
    if not settings.rationales_in_prompts:
        return rows
    with at_key("data.rationales.as_input"):
        return rationales_as_input(rows, task.name)
