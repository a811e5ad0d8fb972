"""Everything raykd uses of Optuna that is not public API, checked before a search begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard, cast

import optuna
from optuna.trial import TrialState

from raykd.private_api import Library, PrivateName

OPTUNA = Library("optuna", "Optuna", "5.0")

LAZY_GENERATOR = PrivateName(
    "optuna.samplers._lazy_random_state", "LazyRandomState",
    "continuing the random numbers of a sampler",
)  # fmt: skip
READ_TRIALS = PrivateName(
    "optuna.study", "Study._get_trials", "limiting the trials that a sampler reads"
)

CONSTRAINTS = "constraints:"
"""What the attributes begin with in which Optuna keeps the constraints of a trial."""

PARTS = (LAZY_GENERATOR, READ_TRIALS)
"""What a search uses, besides the storage of a study."""


class LazyGenerator(Protocol):
    """What Optuna's samplers hold in place of a random generator."""

    @property
    def rng(self) -> object:
        """The generator, made when it is first read."""


def is_lazy_generator(value: object) -> TypeGuard[LazyGenerator]:
    """Whether a sampler makes this generator when it first needs it."""
    return isinstance(value, LAZY_GENERATOR.find())


def forget_fits(sampler: optuna.samplers.GPSampler) -> None:
    """Drop the fitted kernels that a sampler would begin its next fit with."""
    for name in ("_gprs_cache_list", "_constraints_gprs_cache_list"):
        setattr(sampler, name, None)


def put_back(study: optuna.Study, number: int) -> None:
    """Put a trial that was cut short back into the queue, with what it has drawn and reported.

    Optuna's own way, `Study.enqueue_trial`, makes another trial.

    Args:
        study: Its study.
        number: Its number.

    Raises:
        SetupError: This version of Optuna keeps the storage of a study elsewhere.
    """
    storage, trial_id = _place(study, number)
    storage.set_trial_state_values(trial_id, state=TrialState.WAITING)


def set_constraints(study: optuna.Study, number: int, excess: Mapping[str, float]) -> None:
    """Set the constraints of a trial that is open but was requested by another driver.

    Optuna's own way, `optuna.Trial.set_constraint`, needs the trial that was requested.

    Args:
        study: Its study.
        number: Its number.
        excess: How far it is beyond each constraint.

    Raises:
        SetupError: This version of Optuna keeps the storage of a study elsewhere.
    """
    storage, trial_id = _place(study, number)
    for name, over in excess.items():
        storage.set_trial_system_attr(trial_id, f"{CONSTRAINTS}{name}", over)


def without_constraints(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What Optuna noted of a trial before it had a result."""
    return {k: value for k, value in attributes.items() if not k.startswith(CONSTRAINTS)}


def _place(study: optuna.Study, number: int) -> tuple[optuna.storages.BaseStorage, int]:
    """The storage of a study, and the identity of a trial there."""
    storage = cast("optuna.storages.BaseStorage | None", getattr(study, "_storage", None))
    if storage is None:
        raise OPTUNA.lacks("optuna.study.Study._storage (continuing trials that were cut short)")
    study_id = storage.get_study_id_from_name(study.study_name)
    return storage, storage.get_trial_id_from_study_id_trial_number(study_id, number)
