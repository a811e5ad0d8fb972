"""Tables of scores, trials and verdicts as CSV files in the run folder, for any program."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from raykd.loggers.base import LoggedTrial, Logger, Memory, Scores, SweepEnd, TrialEnd
from raykd.params import show
from raykd.results.csv_cells import cell
from raykd.whole_file import whole_file

_HEADS: Mapping[str, tuple[str, ...]] = {
    "scores.csv": ("time", "trial", "task", "arm", "stage", "number", "step", "name", "value"),
    "trials.csv": ("trial", "task", "arm", "stage", "number", "began", "ended", "seconds", "status",
                   "params", "metrics", "error"),
}  # fmt: skip
"""The files that grow, and their columns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """It has no parameters."""


class CsvLogger(Logger[Params]):
    """Writes ``scores.csv``, ``trials.csv``, ``settings.csv`` and ``verdicts.csv``.

    What was written after the last flush of a driver that was killed is cut off and written again,
    so that every row stands there once.
    """

    def connect(self, memory: Memory) -> None:
        """Open the files where the last flush left them."""
        self._files: dict[str, TextIOWrapper] = {}
        for name, head in _HEADS.items():
            path = self.sweep.folder / name
            path.touch()
            os.truncate(path, int(memory.get(name, 0)))
            self._files[name] = path.open("a", encoding="utf-8", newline="")
            if not memory.get(name):
                self._row(name, *head)
        self._whole("settings.csv", ("setting", "value"), self.sweep.settings)

    def trial_started(self, trial: LoggedTrial) -> None:
        """Nothing: its row is written when it ends."""

    def scores(self, scores: Scores) -> None:
        """A row for each number."""
        trial = scores.trial
        place = ("", "", "", "", "")
        if trial is not None:
            place = (trial.key, trial.task, trial.arm, trial.stage, str(trial.number))
        for name, value in scores.values.items():
            self._row("scores.csv", scores.time, *place, scores.step, name, value)

    def trial_finished(self, end: TrialEnd) -> None:
        """The row of the trial."""
        trial = end.trial
        self._row(
            "trials.csv", trial.key, trial.task, trial.arm, trial.stage, trial.number, trial.time,
            end.time, end.seconds, end.status, json.dumps(trial.params), json.dumps(end.metrics),
            end.error,
        )  # fmt: skip

    def sweep_finished(self, end: SweepEnd) -> None:
        """The verdicts, in place of earlier ones."""
        self._whole("verdicts.csv", ("task", "verdict"), end.verdicts)

    def flush(self) -> None:
        """Bring the rows to the disk."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def memory(self) -> Memory:
        """How long the files are."""
        return {name: (self.sweep.folder / name).stat().st_size for name in _HEADS}

    def _row(self, name: str, *cells: Any) -> None:
        csv.writer(self._files[name]).writerow(map(cell, cells))

    def _whole(self, name: str, head: tuple[str, str], rows: Mapping[str, Any]) -> None:
        path: Path = self.sweep.folder / name
        with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows((cell(key), cell(show(value))) for key, value in rows.items())


LOGGER = CsvLogger
