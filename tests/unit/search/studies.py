"""Small studies in a folder, for the tests of the search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

from raykd.search.control import NOBODY, ControlGroup
from raykd.search.study import StudySearch, StudySpace
from raykd.spec.domains import Domain

DOMAINS = {
    "alpha": Domain(kind="uniform", low=0.0, high=1.0),
    "kind": Domain(kind="choice", choices=("cos", "l2")),
}


class JournalInMemory(BaseJournalBackend):
    """A journal without a file."""

    def __init__(self) -> None:
        self._written: list[dict] = []

    def read_logs(self, log_number_from: int):
        return iter(self._written[log_number_from:])

    def append_logs(self, logs: list[dict]) -> None:
        self._written += json.loads(json.dumps(logs))


def storage(folder: Path) -> JournalStorage:
    """The storage of a run, opened again as a second driver would."""
    return JournalStorage(JournalFileBackend(str(folder / "studies.journal")))


def space(
    *,
    name: str = "task arm",
    domains: Mapping[str, Domain] = DOMAINS,
    budget: int = 4,
    start: tuple[Mapping[str, object], ...] = (),
    directions: tuple[str, ...] = ("maximize",),
) -> StudySpace:
    return StudySpace(
        study_name=name, domains=domains, fixed={}, directions=directions, start=start,
        budget=budget,
    )  # fmt: skip


def study(
    folder: Path,
    *,
    lag: int | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
    control: ControlGroup = NOBODY,
    **changes: object,
) -> StudySearch:
    return StudySearch(
        space(**changes),
        storage(folder),
        lambda existing: optuna.samplers.RandomSampler(existing),
        lag=lag,
        pruner=pruner,
        control=control,
    )


def run(search: StudySearch, name: str, values: Sequence[float]) -> dict[str, object]:
    """One trial from question to answer."""
    requested = search.suggest(name)
    search.complete(name, values)
    return requested
