"""The summary that ``raykd sweep`` prints at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raykd.cli.output import Output

if TYPE_CHECKING:
    from raykd.results.records import SweepResult


def show_end(run: str | Path, report: str | Path, output: Output, shown: str = "") -> None:
    """The last lines: one row per arm, caveats, where report and run are.

    Args:
        run: The run folder.
        report: The report.
        output: Where to print.
        shown: How the run is named, where that is not its folder.
    """
    from raykd.results.diagnose import diagnose
    from raykd.results.store import load_results

    result = load_results(run)
    for task in result.tasks:
        _show_task(result, task.name, output)
    for caveat in diagnose(result):
        place = f"{caveat.task}: " if caveat.task else ""
        output.text(f"caveat: {place}{caveat.message}")
    output.text(f"report: {report}")
    output.text(f"run: {shown or run}")


def _show_task(result: SweepResult, task: str, output: Output) -> None:
    from raykd.results.summary import arm_summaries, scale_of
    from raykd.results.verdict import verdict

    scale = scale_of(result, task)
    rows = []
    for arm in arm_summaries(result, task):
        sure = arm.confirmed
        known = sure is not None and sure.has_interval
        lost = f" ({len(arm.lost)} lost)" if arm.lost else ""
        rows.append(
            (
                arm.name,
                scale.show(sure.mean) if sure else "n/a",
                f"{scale.show(sure.low)} to {scale.show(sure.high)}" if sure and known else "n/a",
                f"{len(arm.runs)}{lost}",
                f"{arm.gap.share:.0%}" if arm.gap is not None else "n/a",
                ", ".join(f"{count} {status}" for status, count in arm.counts.items() if count)
                + (f" ({arm.infeasible} beyond a constraint)" if arm.infeasible else ""),
            )
        )
    columns = ("arm", f"confirmed {scale.axis(result.task(task).metric)}", "95 % interval",
               "runs", "gap recovered", "search trials")  # fmt: skip
    output.table(columns, rows, title=f"{task}: {verdict(result, task).headline}")
