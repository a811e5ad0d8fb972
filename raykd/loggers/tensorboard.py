"""Event files of TensorBoard: a folder for each trial, with its parameters as hparams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raykd.loggers.base import LoggedTrial, Logger, Memory, Scores, SweepEnd, TrialEnd
from raykd.params import Scalar, show

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_SWEEP = "sweep"
"""The folder of what belongs to no trial."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Where the files go."""


class TensorBoardLogger(Logger[Params]):
    """Writes ``loggers/tensorboard/TRIAL`` in the run folder, and ``sweep`` next to them.

    ``tensorboard --logdir runs`` shows all sweeps. Of a driver that was killed, what the last
    seconds brought may stand there twice, with equal steps and values.
    """

    needs = "tensorboard"
    extra = "tensorboard"

    def connect(self, memory: Memory) -> None:
        """Write the settings, unless an earlier driver did."""
        self._writers: dict[str, SummaryWriter] = {}
        if not memory:
            rows = (f"| {key} | {show(value)} |" for key, value in self.sweep.settings.items())
            table = "\n".join(("| setting | value |", "| --- | --- |", *rows))
            self._writer(_SWEEP).add_text("settings", table)

    def trial_started(self, trial: LoggedTrial) -> None:
        """Its parameters as text; as hparams they stand next to the scores at its end."""
        text = "\n\n".join(f"{name}: {show(value)}" for name, value in trial.params.items())
        self._writer(trial.key).add_text("params", text, walltime=trial.time)

    def scores(self, scores: Scores) -> None:
        """A point of each curve."""
        writer = self._writer(_SWEEP if scores.trial is None else scores.trial.key)
        for name, value in scores.values.items():
            writer.add_scalar(name, value, scores.step, walltime=scores.time)

    def trial_finished(self, end: TrialEnd) -> None:
        """Final metrics, and the row of the trial in the table of hparams."""
        writer = self._writer(end.trial.key)
        for name, value in end.metrics.items():
            if not name.startswith("validation/"):  # a curve has those
                writer.add_scalar(name, value, end.step, walltime=end.time)
        writer.add_text("status", " ".join((end.status, end.error)), walltime=end.time)
        row = {"task": end.trial.task, "arm": end.trial.arm, "stage": end.trial.stage}
        self._hparams(writer, row | dict(end.trial.params), end.metrics)
        writer.close()
        del self._writers[end.trial.key]

    def sweep_finished(self, end: SweepEnd) -> None:
        """The verdicts, as text."""
        for task, verdict in end.verdicts.items():
            self._writer(_SWEEP).add_text(f"verdict/{task}", verdict, walltime=end.time)

    def flush(self) -> None:
        """Bring the files to the disk."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def memory(self) -> Memory:
        """That the settings were written."""
        return {"begun": 1}

    def _writer(self, key: str) -> SummaryWriter:
        """The files of a trial; a new one next to those of an earlier driver."""
        from torch.utils.tensorboard import SummaryWriter

        if key not in self._writers:
            self._writers[key] = SummaryWriter(self.sweep.folder / key)
        return self._writers[key]

    @staticmethod
    def _hparams(
        writer: SummaryWriter, params: Mapping[str, Scalar], metrics: Mapping[str, float]
    ) -> None:
        from torch.utils.tensorboard import summary

        made: Any = summary.hparams  # torch's functions have no types
        files: Any = writer.file_writer
        plain = {n: v if isinstance(v, bool | int | float) else show(v) for n, v in params.items()}
        for part in made(plain, dict(metrics)):
            files.add_summary(part)


LOGGER = TensorBoardLogger
