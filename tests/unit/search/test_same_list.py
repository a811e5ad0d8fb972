"""The same seed gives the same list of trials: on any number of slots, whichever trial ends first,
and whenever a driver dies."""

from __future__ import annotations

import contextlib
import errno
import math
import random
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage, JournalStorage

from raykd import params, registry
from raykd.errors import SetupError
from raykd.results.records import Status
from raykd.search import sampler_state
from raykd.search.arms import Arm, SearchError
from raykd.search.lag import lag_for, reads_results
from raykd.search.sampler_state import SamplerState
from raykd.search.study import StudySearch, StudySpace, reopen
from raykd.spec.domains import Domain
from raykd.whole_file import whole_file
from tests.simulated_search import METRIC, Training, search
from tests.unit.search.studies import JournalInMemory

optuna.logging.set_verbosity(optuna.logging.WARNING)

DOMAINS = {
    "lr": Domain(kind="loguniform", low=1e-5, high=1e-2),
    "angles": Domain(kind="choice", choices=(True, False)),
    "weight": Domain(kind="uniform", low=0.0, high=1.0, when={"angles": True}),
    "layers": Domain(kind="int", low=1, high=6),
}
ARMS = {"none": 1.0, "kd": 1.2, "ckd": 3.0}
"""Arms and the seconds of their epochs."""
EPOCHS = 4
TRIALS = 20
ASHA = ("asha", {"grace_period": 1, "reduction_factor": 2})


def train(of_ends: int):
    """Trainings whose scores are a matter of the trial, and whose lengths of `of_ends`, too."""

    def trained(arm: str, number: int, chosen: Mapping[str, object]) -> Training:
        noise = random.Random(f"{arm} {number}").gauss(0, 0.01)
        end = 0.9 - 0.1 * (math.log10(float(chosen["lr"])) + 3) ** 2 - 0.02 * chosen["layers"]
        end += 0.1 * float(chosen.get("weight", 0.3)) + noise
        length = random.Random(f"{of_ends} {arm} {number}").lognormvariate(0, 0.7)
        scores = [end * (0.5 + 0.5 * epoch / EPOCHS) for epoch in range(1, EPOCHS + 1)]
        return Training(scores=scores, epoch_s=ARMS[arm] * length)

    return trained


def arms(
    storage: optuna.storages.BaseStorage,
    names=tuple(ARMS),
    *,
    algorithm="tpe",
    scheduler=ASHA,
    lag=2,
    budget=TRIALS,
    folder: Path | None = None,
) -> dict[str, Arm]:
    """Arms as the driver makes them."""
    early = {"startup_trials": 3} if algorithm == "gp" else {}
    settings = params.build(registry.params_of("algorithms", algorithm), early)
    stop = params.build(registry.params_of("schedulers", scheduler[0]), scheduler[1])
    modules = registry.module("algorithms", algorithm), registry.module("schedulers", scheduler[0])
    actual = {}
    for name in names:
        space = StudySpace(
            study_name=name, domains=DOMAINS, fixed={}, directions=("maximize",),
            start=({"lr": 1e-3},), budget=budget,
        )  # fmt: skip
        seed = zlib.crc32(name.encode())
        study = StudySearch(
            space,
            storage,
            lambda n, seed=seed: registry.load("algorithms", algorithm)(
                settings, DOMAINS, seed + n
            ),
            None if folder is None else SamplerState(folder / f"{name}.json"),
            lag=lag if any(map(reads_results, modules)) else None,
            pruner=registry.load("schedulers", scheduler[0])(stop, max_epochs=EPOCHS),
        )
        actual[name] = Arm(study=study, metrics=(METRIC,))
    return actual


CASES = [(name, "none" if name == "gp" else "asha") for name in registry.names("algorithms")] + [
    ("random", name) for name in registry.names("schedulers") if name not in ("asha", "none")
]


@pytest.mark.parametrize(("algorithm", "scheduler"), CASES)
def test_slots_and_the_order_of_ends_change_nothing(algorithm, scheduler):
    stop = ("asha", ASHA[1]) if scheduler == "asha" else (scheduler, {})
    names = {"tpe": tuple(ARMS), "gp": ("kd",)}.get(algorithm, ("kd", "ckd"))
    budget = 7 if algorithm == "gp" else TRIALS  # a fit takes a second
    lists = []
    for slots, order in ((1, 0), (4, 2)):
        made = arms(InMemoryStorage(), names, algorithm=algorithm, scheduler=stop, budget=budget)
        lists.append(search(made, train(order), slots).trials)
    assert len(lists[0]) == budget * len(names)
    statuses = {trial.status for trial in lists[0].values()}
    assert (Status.PRUNED in statuses) == (scheduler != "none")
    assert all(actual == lists[0] for actual in lists[1:])


def test_no_slot_waits_for_long_with_the_lag_that_is_chosen_for_it():
    def at_work(slots: int, lag: int | None) -> float:
        made = arms(InMemoryStorage(), scheduler=("none", {}), lag=lag)
        return search(made, train(0), slots).at_work

    for slots in (2, 4):
        assert at_work(slots, lag_for(slots, len(ARMS))) > 0.85 * at_work(slots, TRIALS)


def test_small_machines_have_one_lag_and_large_ones_as_much_as_they_need():
    assert len({lag_for(slots, arms=3) for slots in (1, 2, 4)}) == 1
    assert [lag_for(slots, arms=3) for slots in (4, 8, 48)] == [2, 4, 24]
    assert [lag_for(4, arms) for arms in (1, 2, 5, 20)] == [7, 3, 1, 0]


def test_without_a_lag_the_order_of_ends_decides():
    """Where nothing is waited for, lists differ: equal ones above are no accident."""
    lists = [
        search(arms(InMemoryStorage(), ("kd",), lag=None), train(order), 4).trials
        for order in (0, 1)
    ]
    assert lists[0] != lists[1]


def test_a_lag_of_nothing_is_one_trial_after_the_other():
    made = arms(InMemoryStorage(), ("kd",), lag=0)
    assert search(made, train(0), 4).at_work == pytest.approx(0.25)


class Died(BaseException):
    """A driver was killed."""


class Mortal(JournalInMemory):
    """A journal whose driver dies right before it writes for the n-th time."""

    MOST = 10**9
    left = MOST

    def append_logs(self, logs: list[dict]) -> None:
        self.left -= 1
        if self.left < 0:
            raise Died
        super().append_logs(logs)


def searched(
    folder: Path, deaths: list[int], slots: int, algorithm: str = "tpe"
) -> tuple[list[tuple], int]:
    """A search by drivers that die after so many writes each, and how often it wrote."""
    journal = Mortal()
    for writes in (*deaths, Mortal.MOST):
        journal.left = writes
        try:
            made = arms(JournalStorage(journal), ("kd",), algorithm=algorithm, folder=folder)
            reopen(made["kd"].study.study, {})
            search(made, train(writes), slots)
        except Died:
            continue
    trials = made["kd"].study.study.get_trials()
    return [(t.number, t.params, t.state, t.value) for t in trials], Mortal.MOST - journal.left


@pytest.mark.parametrize(("algorithm", "slots"), [("tpe", 1), ("tpe", 3), ("cmaes", 3)])
def test_a_search_whose_driver_dies_has_the_list_of_one_whose_driver_lives(
    tmp_path, algorithm, slots
):
    wanted, writes = searched(tmp_path / "whole", [], slots, algorithm)
    assert len(wanted) == TRIALS
    for first in range(5 + slots, writes, writes // 12):
        actual, _ = searched(tmp_path / str(first), [first, 23], slots, algorithm)
        assert actual == wanted, f"died after {first} writes"


@pytest.mark.parametrize(("algorithm", "slots"), [("random", 1), ("tpe", 3)])
def test_a_search_that_a_full_disk_ended_has_the_list_of_one_with_room(
    tmp_path, monkeypatch, algorithm, slots
):
    """The journal still had room for the trial, the state of the sampler did not."""
    wanted, _ = searched(tmp_path / "whole", [], slots, algorithm)
    left = 0

    @contextlib.contextmanager
    def filling(path: Path, **given: bool) -> Iterator[Path]:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        with whole_file(path, **given) as part:
            yield part

    monkeypatch.setattr(sampler_state, "whole_file", filling)
    left = 1  # before any trial
    with pytest.raises(SetupError, match=r"cannot write .*kd\.json"):
        arms(JournalStorage(Mortal()), ("kd",), algorithm=algorithm, folder=tmp_path / "first")
    for left in range(2, TRIALS, 3):
        folder, journal = tmp_path / str(left), Mortal()
        with pytest.raises(SearchError, match=r"cannot write .*kd\.json: No space left") as caught:
            search(
                arms(JournalStorage(journal), ("kd",), algorithm=algorithm, folder=folder),
                train(0), slots,
            )  # fmt: skip
        assert isinstance(caught.value.error, SetupError)
        assert "raykd sweep --resume" in caught.value.error.hint
        made = arms(JournalStorage(journal), ("kd",), algorithm=algorithm, folder=folder)
        reopen(made["kd"].study.study, {})
        search(made, train(0), slots)
        trials = made["kd"].study.study.get_trials()
        assert [(t.number, t.params, t.state, t.value) for t in trials] == wanted
