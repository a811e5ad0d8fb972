"""The page of bake-offs, from the files that are kept of them under ``reports/``."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from docs_pages import DOCS, ROOT, gpu_hours
from docs_pages.markdown import table

PATH = DOCS / "explanation" / "bakeoffs.md"
REPORTS = ROOT / "reports"
HEAD = """\
# Bake-offs

Methods against each other at an equal budget, at a size that two cores do. Generated from the
files under [reports/](../../reports) by `make docs-pages`; do not edit this page. Each folder there
holds the table of trials (`trials.parquet`), the report (`report.html`), the verdicts with the
tables behind them (`verdict.json`) and the environment (`env.json`), all of them anonymous. The
report's charts need `plotly.min.js` of the package plotly next to it; their numbers are there
without it.

```bash
make bakeoff DATA=path/to/data               # both again, and this page
raykd report runs/RUN --anonymous            # the report of a run of your own
```

`DATA` is a folder with `glue/` and `dolly/`; without it, rows are read from the hub. The same
versions, rows and seeds give the same numbers on the same kind of processor: run again a day later
by that command, all 107 trials of both had the same coefficients and the same scores, to the bit.
Times are those of a machine that did much else meanwhile.

What they say holds for students, teachers and budgets of this size. [Statistics](statistics.md)
explains the sentences, [Read the report](../how-to/report.md) the columns.
"""


def folders() -> list[Path]:
    """What is kept of each bake-off; its sweep writes a page of its own next to them."""
    return sorted(path for path in REPORTS.glob("bakeoff_*") if path.is_dir())


def text() -> str:
    """The whole page."""
    lines = [HEAD]
    for folder in folders():
        lines += [*_bakeoff(folder)]
    return "\n".join([*lines, *gpu_hours.lines()])


def _bakeoff(folder: Path) -> Iterator[str]:
    kept, env = (_read(folder / f"{name}.json") for name in ("verdict", "env"))
    trials = pq.read_table(folder / "trials.parquet", columns=["stage", "status"]).to_pydict()
    stages = {stage: trials["stage"].count(stage) for stage in ("search", "confirm")}
    lost = sum(status == "failed" for status in trials["status"])
    yield f"## {kept['name']}"
    yield ""
    yield f"{kept['description']} {_plan(kept)}"
    yield ""
    space = f"[{kept['name']}.yaml](../../search_spaces/{kept['name']}.yaml)"
    began = datetime.datetime.fromtimestamp(env["started"], tz=datetime.UTC)
    yield (
        f"{space} on {began:%-d %B %Y}: {stages['search']} trials and {stages['confirm']} confirm "
        f"runs, {lost or 'none'} of them failed, in {kept['seconds'] / 60:.0f} minutes "
        f"({kept['device seconds'] / 60:.0f} of training and scoring students) on {_machine(env)}."
    )
    yield ""
    if kept["over tasks"]["columns"]:
        yield f"**{kept['over tasks']['heading']}.** {kept['over tasks']['note']}"
        yield ""
        yield from table(kept["over tasks"]["columns"], kept["over tasks"]["rows"])
        yield ""
    for task in kept["tasks"]:
        yield from _task(task)
    yield "Caveats:"
    yield ""
    yield from (f"- {c['task']}: {c['message']}" for c in kept["caveats"])
    yield ""


def _plan(kept: dict[str, Any]) -> str:
    seeds, trials = len(kept["confirm seeds"]), kept["trials of a search"]
    if kept["searches of an arm"] > 1:
        return (
            f"Each arm is searched {kept['searches of an arm']} times with {trials} trials, and "
            f"the best of each search is trained again on {seeds} fresh seed{'s' * (seeds > 1)}: "
            "methods are compared, and searches are what is counted."
        )
    return (
        f"Each arm has one search of {trials} trials, and its best is trained again on {seeds} "
        "fresh seeds: configurations are compared."
    )


def _task(task: dict[str, Any]) -> Iterator[str]:
    yield f"### {task['task']}: {task['metric']}"
    yield ""
    teachers = "; ".join(
        f"{name}: {of['model']} ({of['weights']:,} weights)"
        for name, of in task["teachers"].items()
    )
    sizes = ", ".join(f"{role} {count:,}" for role, count in task["split sizes"].items())
    student = f"{task['student']['model']} ({task['student']['weights']:,} weights)"
    yield f"Student: {student}; {teachers}. Rows: {sizes}."
    yield ""
    yield f"**{task['headline']}** {' '.join(task['details'])}"
    yield ""
    yield from table(task["columns"], task["rows"])
    yield ""


def _machine(env: dict[str, Any]) -> str:
    packages = env["packages"]
    versions = ", ".join(f"{name} {packages[name]}" for name in ("torch", "transformers", "ray"))
    processor = f" of an {env['processor']}" if env.get("processor") else ""
    return f"{env['cpus']} cores{processor}, Python {env['python']}, {versions}"


def _read(path: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return plain
