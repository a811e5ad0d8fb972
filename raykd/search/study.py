"""The Optuna study of one arm; the only resumable truth of a search.

Tune's own searcher, `OptunaSearch`, would mislead a sampler or a restart: it tells a trial that was
stopped early as COMPLETE with its short-run value (here: PRUNED), leaves one with a NaN objective
open (here: failed), drops the report at which a stop was decided, and pickles itself.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from raykd.params import Scalar
from raykd.search.control import NOBODY, ControlGroup
from raykd.search.lag import LaggedSampler, known_trials
from raykd.search.optuna_private import OPTUNA, PARTS, put_back, set_constraints
from raykd.search.rungs import STEPS
from raykd.search.sampler_state import SamplerState
from raykd.search.space import redraw, suggest
from raykd.search.study_view import StudyView
from raykd.spec.domains import Domain

LAG = "lag"
"""User attribute of a study: trials whose results a suggestion does without."""
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
RETRY_OF = "retry_of"
"""User attribute of a trial that repeats an interrupted one, whose number it holds.

Only in studies that an earlier raykd wrote: now the trial itself is requested again.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudySpace:
    """What one study searches.

    Attributes:
        study_name: Unique in the storage.
        domains: Searched parameters.
        fixed: Constants.
        directions: ``maximize`` or ``minimize`` for each objective.
        start: Points to try first; searched names only, what they lack is drawn.
        budget: Trials that have to finish.
        metrics: What each objective is called where others look at the study.
        about: The user attributes of the study, for others who open the storage.
    """

    study_name: str
    domains: Mapping[str, Domain]
    fixed: Mapping[str, Scalar]
    directions: tuple[str, ...]
    start: tuple[Mapping[str, Scalar], ...]
    budget: int
    metrics: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)


class StudySearch:
    """What asks and tells the study of an arm; `raykd.search.arms` is the searcher of Tune.

    Args:
        space: What to search.
        storage: Where the study lives.
        sampler: Made with 0 for a search that begins, and for one that continues where
            `sampler_state` knows how. Else it is made with the number of trials that exist, so that
            it does not replay the random stream of the first driver.
        sampler_state: Where the sampler's generators stood when an earlier driver ended.
        lag: Suggestion n waits for the trials below n - lag, and knows their results alone, of
            which trial n is judged by, too; None: it knows what has ended. A study that has
            trials keeps its own.
        pruner: Stops trials early; None lets them run.
        control: Trials that are never stopped.

    Raises:
        SetupError: raykd does not work with this version of Optuna, or the state of the sampler
            cannot be written.
    """

    def __init__(
        self,
        space: StudySpace,
        storage: optuna.storages.BaseStorage,
        sampler: Callable[[int], optuna.samplers.BaseSampler],
        sampler_state: SamplerState | None = None,
        *,
        lag: int | None = 0,
        pruner: optuna.pruners.BasePruner | None = None,
        control: ControlGroup = NOBODY,
    ) -> None:
        OPTUNA.require(PARTS)
        self.space = space
        before, attributes = existing(space, storage)
        self.lag = None if lag is None else int(attributes.get(LAG, lag))
        self._pruner = pruner
        self.control = control
        drawn = [t.number for t in before if t.params]
        self._drawn = len(drawn)
        self._sampler_state = sampler_state
        self._cut_short: int | None = None  # the trial that was being drawn when a driver died
        made = sampler(0)
        if drawn:
            kept = None if sampler_state is None else sampler_state.restore(made, self._drawn)
            if kept is None:
                made = sampler(len(before))
            elif kept < self._drawn:
                self._cut_short = drawn[-1]
        self._sampler = made
        if not drawn:
            self._save_sampler()
        self.study = create_study(
            space, storage, made if self.lag is None else LaggedSampler(made, self.lag)
        )
        if self.lag is not None and attributes.get(LAG) != self.lag:
            self.study.set_user_attr(LAG, self.lag)
        for name, value in space.about.items():
            if attributes.get(name) != value:
                self.study.set_user_attr(name, value)
        self._open: dict[str, optuna.Trial] = {}
        self._reported: dict[str, int] = {}
        self._next: FrozenTrial | int | None = None
        if space.metrics and self.study.metric_names != [*space.metrics]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self.study.set_metric_names([*space.metrics])
        for point in space.start:
            # A driver may have died between two of them.
            self.study.enqueue_trial(dict(point), skip_if_exists=True)

    def counted(self) -> int:
        """Trials that used up the budget: finished and not tried again."""
        again = repeated(self.study)
        trials = self.study.get_trials(deepcopy=False, states=FINISHED)
        return sum(t.number not in again for t in trials)

    def is_ready(self) -> bool:
        """Whether the trials whose results the next suggestion knows have ended."""
        if self.lag is None:
            return True
        if self._next is None:
            trials = self.study.get_trials(deepcopy=False)
            waiting = (t for t in trials if t.state is TrialState.WAITING)
            self._next = next(waiting, len(trials))
        if isinstance(self._next, FrozenTrial):
            if self._next.params and self._next.number != self._cut_short:
                return True
            number = self._next.number
        else:
            number = self._next
        return all(trial.number >= number - self.lag for trial in self._open.values())

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Ask the study for a trial; returns its number and searched parameters."""
        trial = self.study.ask()
        self._next = None
        self._open[trial_id] = trial
        # A trial that was cut short has its values already, and what it had reported.
        is_new = not trial.params
        before = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self._reported[trial_id] = max(before, default=-1)
        if is_cut_short := trial.number == self._cut_short:
            redraw(trial, self.study)
            self._cut_short, is_new = None, False
        chosen = suggest(trial, self.space.domains, self.space.fixed)
        self._drawn += is_new and bool(chosen)
        if chosen and (is_new or is_cut_short):
            # Not before: a driver that dies in the middle of it leaves it cut short.
            self._save_sampler()
        return {"number": trial.number, "params": chosen}

    def _save_sampler(self) -> None:
        if self._sampler_state is not None:
            self._sampler_state.save(self._sampler, self._drawn)

    def should_stop(self, trial_id: str, epoch: float) -> bool:
        """Whether a trial is too far behind those whose results its suggestion knew.

        One of the control group may be, too: it is not stopped all the same.

        Args:
            trial_id: An open trial.
            epoch: Of the evaluation that is judged. A trial that continues after a driver died has
                reported later ones, which count for nothing.
        """
        if self._pruner is None or len(self.space.directions) > 1:
            return False
        trials = self.study.get_trials(deepcopy=False)
        own = copy.copy(trials[self._open[trial_id].number])
        own.intermediate_values = {
            step: value
            for step, value in own.intermediate_values.items()
            if step <= round(epoch * STEPS)
        }
        known = trials if self.lag is None else known_trials(trials, own.number, self.lag)
        view: Any = StudyView(self.study, known)
        return self._pruner.prune(view, own)

    def report(self, trial_id: str, epoch: float, objective: float) -> None:
        """Record an intermediate value; the step is the epoch in thousandths.

        A trial that begins again, after its slot was lost, repeats steps: the first values stand.
        """
        trial, step = self._open[trial_id], round(epoch * STEPS)
        if len(self.space.directions) > 1 or not math.isfinite(objective):
            return
        if step > self._reported.get(trial_id, -1):
            self._reported[trial_id] = step
            trial.report(objective, step)

    def complete(
        self, trial_id: str, values: Sequence[float], excess: Mapping[str, float] | None = None
    ) -> None:
        """Record the result of a completed trial; not finite counts as failed.

        Args:
            trial_id: An open trial.
            values: Of the objectives.
            excess: How far it is beyond each constraint, 0 or less within it.
        """
        excess = excess or {}
        if all(math.isfinite(v) for v in (*values, *excess.values())):
            for name, over in excess.items():
                self._open[trial_id].set_constraint(name, over)
            self.study.tell(self._ended(trial_id), list(values))
        else:
            self.fail(trial_id)

    def prune(self, trial_id: str) -> None:
        """Record that a trial was stopped early; Optuna keeps its last reported value."""
        self.study.tell(self._ended(trial_id), state=TrialState.PRUNED)

    def fail(self, trial_id: str) -> None:
        """Record that a trial failed."""
        self.study.tell(self._ended(trial_id), state=TrialState.FAIL)

    def abandon(self, trial_id: str) -> None:
        """Leave a trial open: it was interrupted, and a resumed sweep runs it again."""
        self._ended(trial_id)

    def _ended(self, trial_id: str) -> optuna.Trial:
        self._reported.pop(trial_id, None)
        return self._open.pop(trial_id)


def create_study(
    space: StudySpace,
    storage: optuna.storages.BaseStorage,
    sampler: optuna.samplers.BaseSampler | None = None,
) -> optuna.Study:
    """The Optuna study of an arm, made where there is none; Optuna stops no trial of it."""
    return optuna.create_study(
        storage=storage,
        sampler=sampler,
        pruner=optuna.pruners.NopPruner(),
        study_name=space.study_name,
        directions=[
            StudyDirection.MAXIMIZE if d == "maximize" else StudyDirection.MINIMIZE
            for d in space.directions
        ],
        load_if_exists=True,
    )


def existing(
    space: StudySpace, storage: optuna.storages.BaseStorage
) -> tuple[list[FrozenTrial], Mapping[str, Any]]:
    """Trials and user attributes of a study that is there already."""
    names = optuna.get_all_study_names(storage)
    if space.study_name not in names:
        return [], {}
    study = optuna.load_study(study_name=space.study_name, storage=storage)
    return study.get_trials(deepcopy=False), study.user_attrs


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What is on record of a completed trial.

    Attributes:
        values: Of the objectives.
        excess: How far it is beyond each constraint, 0 or less within it.
    """

    values: Sequence[float]
    excess: Mapping[str, float] = field(default_factory=dict)


def reopen(study: optuna.Study, settled: Mapping[int, Result | TrialState]) -> tuple[int, ...]:
    """Settle the trials that an earlier driver left open.

    Those without an end on record are put back into the queue as they are: they keep their number,
    their values and what they reported, so that they run as if nothing had happened.

    Args:
        study: The study of an arm.
        settled: By number, the trials whose end is on record (the driver died between recording
            and telling): their results, or the state they ended in.

    Returns:
        Numbers of those that run again.
    """
    enqueued = repeated(study)
    again = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        end = settled.get(trial.number)
        if isinstance(end, TrialState):
            study.tell(trial.number, state=end)
        elif end is not None:
            set_constraints(study, trial.number, end.excess)
            study.tell(trial.number, list(end.values))
        elif trial.number in enqueued:
            study.tell(trial.number, state=TrialState.FAIL)
        else:
            put_back(study, trial.number)
            again.append(trial.number)
    return tuple(again)


def repeated(study: optuna.Study) -> set[int]:
    """Numbers of the interrupted trials that an earlier raykd enqueued again under new ones."""
    trials = study.get_trials(deepcopy=False)
    return {t.user_attrs[RETRY_OF] for t in trials if RETRY_OF in t.user_attrs}
