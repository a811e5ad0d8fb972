"""A run that was killed, next to one that was left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from raykd.results.diagnose import diagnose
from raykd.results.records import SweepResult, TrialResult
from raykd.results.store import load_results, read_events


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a run is from its reference.

    Attributes:
        rows: Trials of the reference.
        equal: Those of them that are the same to the bit.
        extra: Trials that the reference lacks, and ends of a trial that has one already.
        faults: What else is wrong, in words.
    """

    rows: int
    equal: int
    extra: int
    faults: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether there is none."""
        return self.equal == self.rows and not self.extra and not self.faults


def what(trial: TrialResult) -> dict[str, Any]:
    """A trial without times and places."""
    return {
        "number": trial.number, "seed": trial.seed, "params": dict(trial.params),
        "status": trial.status, "metrics": dict(trial.metrics), "error": trial.error,
        "history": [(e.step, dict(e.metrics), dict(e.terms)) for e in trial.history],
    }  # fmt: skip


def table(result: SweepResult) -> dict[str, dict[str, Any]]:
    """The trials of a run by their names."""
    return {trial.trial_id: what(trial) for trial in result.trials}


def compare(run: Path, reference: Path) -> Difference:
    """Compare the end of a run that was killed with that of its reference."""
    result, whole = load_results(run), load_results(reference)
    rows, wanted = table(result), table(whole)
    events, torn = read_events(run / "events.jsonl")
    ends = _ends(events)
    faults = [f"{torn} lines of the log are not whole"] if torn else []
    caveats = Counter(caveat.code for caveat in diagnose(result))
    caveats -= Counter(caveat.code for caveat in diagnose(whole))
    faults += [f"caveat {code}" for code in caveats]
    faults += [
        f"{name} has another {', '.join(k for k in row if row[k] != rows[name][k])}"
        for name, row in wanted.items()
        if name in rows and rows[name] != row
    ]
    if result.interrupted or not result.finished:
        faults.append("the log does not say that the sweep has ended")
    if pq.read_table(run / "trials.parquet").num_rows != len(rows):
        faults.append("trials.parquet has other rows")
    if not (run / "report.html").is_file():
        faults.append("there is no report")
    faults += [f"{path.name} of a state is left" for path in (run / "state").iterdir()]
    return Difference(
        rows=len(wanted),
        equal=sum(rows.get(name) == row for name, row in wanted.items()),
        extra=len(rows.keys() - wanted.keys()) + sum(n - 1 for n in ends.values()),
        faults=tuple(faults),
    )


def _ends(events: Sequence[dict[str, Any]]) -> Counter[str]:
    """How often each trial has ended."""
    return Counter(
        event["result"]["trial_id"]
        for event in events
        if event["event"] == "trial_finished" and event["result"]["status"] != "interrupted"
    )


def repeated_evaluations(run: Path) -> int:
    """Evaluations that were computed again, as the last state was of before them.

    Those of before a state come again as they were, with their seconds.
    """
    events, _ = read_events(run / "events.jsonl")
    computed = {
        (event["trial_id"], event["evaluation"]["step"], event["evaluation"]["seconds"])
        for event in events
        if event["event"] == "trial_report"
    }
    return len(computed) - len({(trial, step) for trial, step, _ in computed})
