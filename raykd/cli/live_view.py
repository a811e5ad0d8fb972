"""Renders the progress of a sweep with rich."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raykd.cli.progress import ArmProgress, Progress, RunningTrial, duration, parameters, time_left

SHOWN_TRIALS = 3
BAR_WIDTH = 30
ARM_WIDTH = 20
"""Characters of an arm's name that are shown."""


def draw(state: Progress, now: float) -> RenderableType:
    """The whole view.

    Args:
        state: Where the sweep stands.
        now: Seconds since the epoch.
    """
    parts: list[RenderableType] = [_headline(state, now)]
    if state.preparation is not None:
        parts.append(_preparation(state))
    if state.arms or state.running or state.teachers:
        parts.append(_arms(state))
    if state.running:
        parts.append(_running(state))
    parts.append(_footer(state, now))
    return Group(*parts)


def _headline(state: Progress, now: float) -> Text:
    place = ""
    if state.task in state.tasks:
        place = f"{state.task} {state.tasks.index(state.task) + 1} of {len(state.tasks)}"
    what = state.finished or ("confirming" if state.stage == "confirm" else "running")
    teacher = state.teachers.get(state.task)
    parts = [
        place,
        f"{what} {duration(now - state.started)}",
        "" if teacher is None else f"teacher {state.score(state.task, teacher)}",
        _cluster(state),
    ]
    text = Text(state.name, style="bold", no_wrap=True, overflow="ellipsis")
    return text.append("  " + "   ".join(part for part in parts if part), style="not bold")


def _cluster(state: Progress) -> str:
    ready = sum(slot == "ready" for slot in state.slots.values())
    lost = sum(slot == "lost" for slot in state.slots.values())
    words = []
    if state.cluster:
        slots, gpus = state.cluster["slots"], state.cluster["gpus"]
        count = f"{slots} slot{'' if slots == 1 else 's'}"
        words.append(count if ready >= slots or not state.slots else f"{ready} of {count} ready")
        words.append(f"{gpus:g} GPUs" if gpus else f"{state.cluster['cpus']:g} CPUs")
    if lost:
        words.append(f"{lost} lost")
    return ", ".join(words)


def _preparation(state: Progress) -> RenderableType:
    made = state.preparation
    assert made is not None
    row = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=made.total or None, completed=made.done, width=BAR_WIDTH)
    amount = f"{made.done:g}/{made.total:g} {made.unit}" if made.total else made.unit
    row.add_row(Text("  " + made.describe()), bar, Text(amount), Text(made.detail))
    return row


def _arms(state: Progress) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_edge=False, expand=True)
    # Counts and names keep their width; the parameters take what is left and are cut.
    longest = min(max((len(name) for name in state.arm_names), default=0), ARM_WIDTH)
    table.add_column("  arm", no_wrap=True, overflow="ellipsis", width=max(longest, 3) + 2)
    titles = ["trials", "pruned", "failed", "best (validation)", "since"]
    if state.stage == "confirm":
        titles.append("confirmed")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("best parameters", overflow="ellipsis", no_wrap=True, ratio=1)
    for name in state.arm_names:
        table.add_row(*_arm_cells(state, name, state.arm(state.task, name)))
    return table


def _arm_cells(state: Progress, name: str, arm: ArmProgress) -> list[Text]:
    failed = Text(str(arm.failed), style="bold red" if arm.failed else "")
    cells = [
        Text(f"  {name}"),
        Text(f"{arm.done}/{state.trials}"),
        Text(str(arm.pruned)),
        failed,
        Text(state.score(state.task, arm.best)),
        Text(str(arm.since) if arm.best is not None else "-"),
    ]
    if state.stage == "confirm":
        lost = f", {arm.lost} lost" if arm.lost else ""
        count = f"{arm.confirmed}/{state.confirm_runs}{lost}"
        cells.append(Text(count, style="bold red" if lost else ""))
    return [*cells, Text(parameters(arm.best_params))]


def _running(state: Progress) -> Text:
    trials = list(state.running.values())
    shown = [_trial(state, trial) for trial in trials[:SHOWN_TRIALS]]
    if len(trials) > SHOWN_TRIALS:
        shown.append(f"... {len(trials) - SHOWN_TRIALS} more")
    return Text(f"  running  {'   '.join(shown)}", no_wrap=True, overflow="ellipsis")


def _trial(state: Progress, trial: RunningTrial) -> str:
    parts = [f"#{trial.number} {trial.arm}"]
    if trial.epoch is not None:
        epochs = trial.params.get("epochs")
        parts.append(f"epoch {trial.epoch:g}" + (f"/{epochs}" if epochs is not None else ""))
        parts.append(state.score(state.task, trial.objective))
    return "  ".join(parts)


def _footer(state: Progress, now: float) -> Text:
    left = state.seconds_left(now)
    parts = [f"{state.ended} of {state.planned} trials"]
    if not state.finished:
        if left is not None:
            parts.append(time_left(left))
        parts.append("stop: Ctrl-C (keeps results)")
    return Text("  " + "   ".join(parts), style="dim", no_wrap=True, overflow="ellipsis")
