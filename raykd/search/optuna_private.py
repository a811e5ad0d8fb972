"""Everything raykd uses of Optuna that is not public API, checked before a search begins."""

from __future__ import annotations

from typing import Protocol, TypeGuard, cast

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
    storage = cast("optuna.storages.BaseStorage | None", getattr(study, "_storage", None))
    if storage is None:
        raise OPTUNA.lacks("optuna.study.Study._storage (continuing trials that were cut short)")
    study_id = storage.get_study_id_from_name(study.study_name)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
    storage.set_trial_state_values(trial_id, state=TrialState.WAITING)
