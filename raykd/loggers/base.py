"""The contract of a logger, and what it receives: trials, scores, the verdict; one file each."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from raykd.errors import SetupError
from raykd.params import Scalar

P = TypeVar("P")

Memory = Mapping[str, str | int]
"""What a logger wants to find again when the sweep is resumed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """The sweep that is logged.

    Attributes:
        name: Name of the search space.
        run: Name of the run folder.
        folder: A folder in the run folder that belongs to the logger; it exists.
        settings: Every setting of the search space, by its dotted place.
    """

    name: str
    run: str
    folder: Path
    settings: Mapping[str, Scalar]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedTrial:
    """A trial of the search or the confirm stage.

    Attributes:
        key: Unique in the sweep. A confirm trial of another configuration, after a resumption with
            more trials, bears the id of the first one and has a key of its own.
        task: Task name.
        arm: Arm.
        stage: ``search`` or ``confirm``.
        number: Number of the trial in its study; the rank of the configuration in confirm.
        params: Parameters of method and training that were set or searched.
        time: When it began, seconds since the epoch.
    """

    key: str
    task: str
    arm: str
    stage: str
    number: int
    params: Mapping[str, Scalar]
    time: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Numbers at one step of a trial, or of the whole sweep.

    Attributes:
        trial: The trial; None for the sweep.
        step: Optimizer steps done; 0 for the sweep.
        time: Seconds since the epoch.
        values: Number by name: ``validation/accuracy``, ``loss/total``, ``train/lr``.
    """

    trial: LoggedTrial | None
    step: int
    time: float
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialEnd:
    """How a trial ended.

    Attributes:
        trial: The trial.
        time: Seconds since the epoch.
        step: Optimizer steps done at its last evaluation.
        status: ``completed``, ``pruned``, ``failed`` or ``interrupted``.
        seconds: Wall time in the slot.
        metrics: Last metrics, named like those of `Scores`; ``test/<metric>`` in confirm.
        error: Last line of the error, or empty.
    """

    trial: LoggedTrial
    time: float
    step: int
    status: str
    seconds: float
    metrics: Mapping[str, float]
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepEnd:
    """How a sweep ended; a sweep that is resumed ends again.

    Attributes:
        time: Seconds since the epoch.
        status: ``done``, ``failed`` or ``interrupted``.
        verdicts: The verdict on each task, in sentences.
    """

    time: float
    status: str
    verdicts: Mapping[str, str]


Message = LoggedTrial | Scores | TrialEnd | SweepEnd
"""What a logger receives, in the order in which it happened."""


class Logger(ABC, Generic[P]):
    """Hands on what happens in a sweep; a file in ``loggers/`` holds a class as ``LOGGER``.

    All calls come from one thread, which nothing waits for. A call that raises is made again after
    a pause, so that it may be made twice: what it does should be the same then. After some failures
    the logger is switched off, and receives the rest when the sweep is resumed.

    Args:
        params: The parameters of the file.
        sweep: What is logged.

    Attributes:
        needs: The package that must be installed; empty for none.
        extra: The extra of raykd that installs it.
    """

    needs: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    def __init__(self, params: P, sweep: Sweep) -> None:
        self.params = params
        self.sweep = sweep

    @classmethod
    def check(cls, params: P) -> None:
        """Refuse what cannot work here, before a sweep begins.

        Raises:
            SetupError: With the reason.
        """
        if cls.needs and importlib.util.find_spec(cls.needs) is None:
            name = cls.__module__.rpartition(".")[2]
            raise SetupError(
                f"logger '{name}' needs the package {cls.needs}, which is not installed",
                hint=f"pip install 'raykd[{cls.extra}]', or leave the logger out",
            )

    @abstractmethod
    def connect(self, memory: Memory) -> None:
        """Connect; on a resumption, continue where an earlier driver stopped.

        Args:
            memory: What `memory` gave at the last `flush` of that driver; empty at first.
        """

    @abstractmethod
    def trial_started(self, trial: LoggedTrial) -> None:
        """A trial begins; not repeated where a slot is lost and the trial goes to another one."""

    @abstractmethod
    def scores(self, scores: Scores) -> None:
        """Numbers at a step, once.

        The trial may have begun under an earlier driver, and the metrics of its last steps may come
        shortly after its end.
        """

    @abstractmethod
    def trial_finished(self, end: TrialEnd) -> None:
        """A trial ends. One that was interrupted begins again with the same key when resumed."""

    @abstractmethod
    def sweep_finished(self, end: SweepEnd) -> None:
        """The sweep ends; the verdicts take the place of earlier ones."""

    def flush(self) -> None:
        """Write what was received to where it survives a kill; called every few seconds."""

    def close(self) -> None:
        """Release what is open."""

    def memory(self) -> Memory:
        """What `connect` wants to find; taken after each `flush`."""
        return {}

    @property
    def place(self) -> str:
        """Where what was logged is looked at, for the report."""
        return str(self.sweep.folder)


def tell(logger: Logger[Any], message: Message) -> None:
    """Call the method of a logger that a message is for."""
    if isinstance(message, LoggedTrial):
        logger.trial_started(message)
    elif isinstance(message, Scores):
        logger.scores(message)
    elif isinstance(message, TrialEnd):
        logger.trial_finished(message)
    else:
        logger.sweep_finished(message)
