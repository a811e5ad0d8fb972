"""The search stage: every arm of one task, driven by Ray Tune and Optuna."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from ray import tune

from raykd import params, ray_private, registry
from raykd.ray_private.tune_state import without_tune_state
from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.search.arms import FOLLOWERS, Arm, ArmsScheduler, ArmsSearch, SearchError
from raykd.search.control import ControlGroup
from raykd.search.device_budget import DeviceBudget
from raykd.search.lag import lag_for, reads_results
from raykd.search.sampler_state import SamplerState
from raykd.search.space import domains_of
from raykd.search.study import StudySearch
from raykd.search.study_journal import open_journal
from raykd.spec.schema import ArmSpec, SweepSpec
from raykd.spec.schema_stages import Named
from raykd.spec.teachers_section import teachers_of
from raykd.sweep.arm_studies import ArmStudy, max_epochs, study_space
from raykd.training.seeding import derive_seed
from raykd.trial.tune_trainable import tune_trainable

JOURNAL = "studies.journal"

TRAINABLE_RESOURCES = {ray_private.HEAD: 0.0001}
"""Tune refuses trials that take nothing. They must not take CPUs: the slots hold them all."""


def open_storage(run: Path, note: Callable[[str], None] = lambda message: None) -> JournalStorage:
    """The Optuna storage of a run, for the sweep that holds its lock.

    `optuna-dashboard` opens the same file.

    Args:
        run: The run folder.
        note: Hears of what could not be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, dropped = open_journal(run / JOURNAL)
    if dropped:
        note(dropped)
    return storage


def make_arm(
    spec: SweepSpec,
    arm_study: ArmStudy,
    storage: JournalStorage,
    run: Path | None = None,
    *,
    slots: int = 1,
) -> Arm:
    """The study of an arm, continued where an earlier driver left it.

    Args:
        spec: The sweep.
        arm_study: Which one.
        storage: The storage of the run.
        run: The run folder, where it is kept how far the sampler's generators are; None for none.
        slots: Trials at the same time, which ``lag: auto`` of a new study is chosen for.
    """
    domains = domains_of(arm_study.arm, spec.train)
    algorithm = spec.search.algorithm
    build_sampler = registry.load("algorithms", algorithm.name)
    settings = _params("algorithms", algorithm)

    def sampler(existing: int) -> optuna.samplers.BaseSampler:
        seed = derive_seed(spec.search.seed, arm_study.study_name, "sampler", existing)
        made: optuna.samplers.BaseSampler = build_sampler(settings, domains, seed)
        return made

    build_pruner = registry.load("schedulers", spec.search.scheduler.name)
    pruner = build_pruner(_params("schedulers", spec.search.scheduler), max_epochs=max_epochs(spec))
    sampler_state = None
    if run is not None:
        of_search = f".{arm_study.repeat + 1}" if arm_study.repeat else ""
        name = f"{arm_study.task.replace('/', '-')}.{arm_study.arm.name}{of_search}.json"
        sampler_state = SamplerState(run / "samplers" / name)
    lag = _lag(spec, slots)
    stops = reads_results(registry.module("schedulers", spec.search.scheduler.name))
    study = StudySearch(
        study_space(spec, arm_study, run.name if run else ""), storage, sampler, sampler_state,
        lag=lag, pruner=pruner,
    )  # fmt: skip
    study.control = ControlGroup(
        share=float(spec.search.control) if stops else 0.0,
        seed=derive_seed(spec.search.seed, arm_study.study_name, "control"),
        first=0 if study.lag is None else study.lag + 1,  # of a resumed study, as it began
    )
    return Arm(study=study, metrics=arm_study.metrics, constraints=arm_study.constraints)


def _lag(spec: SweepSpec, slots: int) -> int | None:
    """The lag of new studies; None where trials know whatever has ended, or read no results."""
    search = spec.search
    modules = ("algorithms", search.algorithm.name), ("schedulers", search.scheduler.name)
    if search.lag == "none":
        return None
    if not any(reads_results(registry.module(kind, name)) for kind, name in modules):
        return None
    studies = len(spec.methods) * search.repeats
    return lag_for(slots, studies) if search.lag == "auto" else search.lag


def idle_slots(arms: Mapping[str, Arm], slots: int) -> str:
    """What to say where the lag lets fewer trials be open than there are slots; else empty."""
    lags = {arm.study.lag for arm in arms.values()}
    most = sum(math.inf if arm.study.lag is None else arm.study.lag + 1 for arm in arms.values())
    if most >= slots:
        return ""
    needed = lag_for(slots, len(arms))
    return (
        f"of {slots} slots at most {most:.0f} work at a time, because search.lag is "
        f"{max(lag for lag in lags if lag is not None)}; in a new sweep search.lag: {needed} "
        "keeps all at work"
    )


def device_budget(
    spec: SweepSpec, result: SweepResult, searches: Sequence[ArmStudy], devices: float
) -> DeviceBudget:
    """The device time of each search of a task, less what an earlier driver and the teacher took.

    A teacher is shared by those that may read it, in equal parts, also where it was in the cache.

    Args:
        spec: The sweep.
        result: What is on record of the run.
        searches: Those of the task.
        devices: Of a slot.
    """
    if spec.search.device_budget_s is None:
        return DeviceBudget()
    used = {
        s.name: sum(t.device_seconds for t in trials_of(result, s) if is_over(t)) for s in searches
    }
    for teacher in (t for t in result.teachers if t.task == searches[0].task):
        readers = [s.name for s in searches if _may_read(spec, s.arm, teacher.name)]
        for name in readers:
            used[name] += teacher.seconds * devices / len(readers)
    return DeviceBudget(spec.search.device_budget_s, used)


def _may_read(spec: SweepSpec, arm: ArmSpec, teacher: str) -> bool:
    """Whether trials of an arm learn from a teacher, alone or in a combination.

    One that has no name is the only one.
    """
    if arm.method in METHODS_WITHOUT_TEACHER:
        return False
    named = teachers_of(arm)
    members = {member for name in named for member in spec.teachers[name].members}
    return not teacher or teacher in named or teacher in members


def trials_of(result: SweepResult, search: ArmStudy) -> list[TrialResult]:
    """The trials of a search that are on record."""
    of_arm = result.of(search.task, search.arm.name, "search")
    return [trial for trial in of_arm if trial.repeat == search.repeat]


def is_over(trial: TrialResult) -> bool:
    """Whether a trial ended by itself; one that was cut short runs again, and is counted then."""
    return trial.status is not Status.INTERRUPTED


def _params(kind: str, named: Named) -> Any:
    return params.build(registry.params_of(kind, named.name), named.params)


def search(
    searcher: ArmsSearch,
    *,
    run: Path,
    name: str,
    deadline: float | None,
    stop: threading.Event,
    note: Callable[[str], None],
) -> None:
    """Run every arm to its budget.

    Args:
        searcher: Suggests the trials of all arms.
        run: Run folder.
        name: Name of the stage, unique in the run.
        deadline: Monotonic time after which no trial is suggested, or None.
        stop: Set from outside to suggest nothing more.
        note: Called with things worth telling.
    """
    if searcher.remaining() == 0:
        return
    ray_private.keep_credentials_from_trials()
    over = threading.Event()
    failed: list[Exception] = []

    def watch() -> None:
        while not over.wait(0.2):
            if stop.is_set():
                searcher.end()
                return
            if deadline is not None and time.monotonic() > deadline:
                left = searcher.remaining()
                searcher.end()
                try:
                    note(f"the time budget ended the search on {name} with {left} trials to go")
                except Exception as exc:  # a full disk; a thread would keep it to itself
                    failed.append(exc)
                return

    watcher = threading.Thread(target=watch, daemon=True, name="time budget")
    watcher.start()
    try:
        with without_tune_state():
            _tuner(searcher, run, name).fit()
    except SearchError as exc:
        failed.append(exc.error)
    finally:
        over.set()
        watcher.join()
    if failed:  # the first one, as it was raised, with its own cause
        raise failed[0]


class _NoReporter(tune.ProgressReporter):
    """Reports nothing; that of Tune for notebooks clears the output of the cell."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Never."""
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Nothing."""


def _tuner(searcher: ArmsSearch, run: Path, name: str) -> tune.Tuner:
    return tune.Tuner(
        tune.with_resources(tune_trainable, TRAINABLE_RESOURCES),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=ArmsScheduler(searcher),
            # The searcher says when there is nothing more; what is followed anew counts again.
            num_samples=(1 + FOLLOWERS) * searcher.remaining(),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"{name}-{int(time.time())}",
            storage_path=str((run / "ray").resolve()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=FOLLOWERS),
            progress_reporter=_NoReporter() if ray_private.NOTEBOOK.find() else None,
            callbacks=[ray_private.silent_progress()],
        ),
    )
