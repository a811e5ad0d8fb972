"""A run folder as an object: its trials as tables, its verdicts, its students and its figures."""

from __future__ import annotations

import functools
import html
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykd import registry
from raykd.errors import UnknownName
from raykd.export.chosen import choose
from raykd.report.charts import Figure
from raykd.report.figures import figures_of
from raykd.results.diagnose import diagnose
from raykd.results.export import table
from raykd.results.records import SweepResult
from raykd.results.sentences import own_interval
from raykd.results.store import load_results
from raykd.results.summary import arm_summaries, task_metric
from raykd.results.verdict import Verdict, verdict

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go


class Run:
    """What a run folder holds. Shown in a notebook, it is its verdicts and the arms behind them.

    Args:
        folder: The run folder.

    Raises:
        RaykdError: It is none, or cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.result: SweepResult = load_results(self.folder)

    @functools.cached_property
    def trials(self) -> pandas.DataFrame:
        """A row for each trial of search and confirmation, a column for each parameter and metric.

        The columns are those of ``raykd report RUN --format csv``.
        """
        import pandas

        head, rows = table(self.result)
        return pandas.DataFrame(rows, columns=head)

    @functools.cached_property
    def confirmed(self) -> pandas.DataFrame:
        """The rows of `trials` that are confirm runs, those of search left out."""
        return self.trials[self.trials["stage"] == "confirm"].reset_index(drop=True)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(record.name for record in self.result.tasks)

    def verdict(self, task: str | None = None) -> Verdict:
        """What can be said about a task.

        Args:
            task: Its name; needed where there are several.

        Raises:
            UnknownName: There is no such task, or several and none is named.
        """
        return verdict(self.result, self._task(task))

    def best(self, task: str | None = None, arm: str | None = None) -> tuple[Any, Any]:
        """The confirmed student of an arm: the model and the tokenizer, from Transformers.

        Args:
            task: The task; needed where there are several.
            arm: The arm; without one, the one that the verdict says to take.

        Raises:
            SpecError: See `raykd.export.chosen.choose`.
        """
        folder = choose(self.folder, task, arm).folder
        transformers = importlib.import_module("transformers")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        if (folder / "adapter_config.json").is_file():
            from peft import AutoPeftModel

            return AutoPeftModel.from_pretrained(folder).eval(), tokenizer
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model = getattr(transformers, config["architectures"][0]).from_pretrained(folder)
        return model.eval(), tokenizer

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures of the report."""
        return tuple(self._figures)

    def figure(self, name: str) -> go.Figure:
        """A figure of the report, for plotly.

        Args:
            name: One of `figures`.

        Raises:
            UnknownName: There is none of this name.
        """
        import plotly.graph_objects as go

        if name not in self._figures:
            hint = registry.suggestion(name, self.figures) or f"one of {', '.join(self.figures)}"
            raise UnknownName(f"the report has no figure '{name}'", hint=hint)
        of = self._figures[name]
        return go.Figure(of.spec).update_layout(title=of.title, height=of.height)

    @functools.cached_property
    def _figures(self) -> Mapping[str, Figure]:
        return figures_of(self.result)

    def _task(self, task: str | None) -> str:
        if task is None and len(self.tasks) == 1:
            return self.tasks[0]
        if task not in self.tasks:
            what = "several tasks" if task is None else f"no task '{task}'"
            hint = f"one of {', '.join(self.tasks)}"
            raise UnknownName(f"the run has {what}", hint=hint)
        return task

    def __repr__(self) -> str:
        """The folder and the verdicts."""
        headlines = "; ".join(f"{task}: {self.verdict(task).headline}" for task in self.tasks)
        return f"Run({str(self.folder)!r}): {headlines or 'nothing has ended yet'}"

    def _repr_html_(self) -> str:
        """The verdicts with the arms behind them, and the caveats."""
        return "\n".join(part for task in self.tasks for part in self._html_of(task))

    def _html_of(self, task: str) -> Iterator[str]:
        measure, outcome = task_metric(self.result, task), self.verdict(task)
        yield f"<h3>{html.escape(task)}</h3>"
        details = html.escape(" ".join(outcome.details))
        yield f"<p><b>{html.escape(outcome.headline)}</b> {details}</p>"
        of = html.escape(f"{measure.metric}, {measure.scale.unit}")
        yield f"<table><thead><tr><th>arm</th><th>{of}</th></tr></thead>"
        for arm in arm_summaries(self.result, task):
            score = measure.scale.show(arm.score) + own_interval(arm, measure) if arm.seeds else ""
            yield f"<tr><td>{html.escape(arm.name)}</td><td>{html.escape(score)}</td></tr>"
        yield "</table>"
        caveats = [c for c in diagnose(self.result) if c.task in ("", task)]
        yield "<ul>" + "".join(f"<li>{html.escape(c.message)}</li>" for c in caveats) + "</ul>"


def load(run: str | Path) -> Run:
    """Open a run folder, of a sweep that has ended or of one that still runs.

    Args:
        run: The folder that ``raykd sweep`` printed.

    Raises:
        RaykdError: It is no run folder, or cannot be read.
    """
    return Run(run)
