r"""The verdict as LaTeX: a table of each task, for a paper. It needs ``\usepackage{booktabs}``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from raykd.report.charts import slug
from raykd.report.sections import arms
from raykd.report.sections.arms import TaskArms
from raykd.results.records import SweepResult
from raykd.results.verdict import verdict

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "'": "'", "±": r"\ensuremath{\pm}", "…": r"\ldots{}",
}  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.])-(?=\d)")
"""A minus sign, as opposed to a hyphen."""


def render_latex(result: SweepResult) -> str:
    """The tables of all tasks; the same records give the same bytes."""
    record = arms.record(result)
    lines = [r"% Tables by raykd; they need \usepackage{booktabs}."]
    for task in record.tasks if record is not None else ():
        lines += ["", *_table(result, task)]
    if record is None:
        lines.append("% No task was prepared.")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text as LaTeX prints it, in one line."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "".join(_SPECIAL.get(character, character) for character in one_line)


def _table(result: SweepResult, task: TaskArms) -> Iterator[str]:
    outcome = verdict(result, task.task)
    about = f"{task.task}, baseline {result.baseline}."
    caption = " ".join([about, outcome.headline, *outcome.details, task.caption])
    columns = [escaped(column) for column in task.columns]
    yield r"\begin{table}"
    yield r"  \centering"
    yield rf"  \caption{{{escaped(caption)}}}"
    yield rf"  \label{{tab:{slug(task.task)}}}"
    yield rf"  \begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}"
    yield r"    \toprule"
    yield f"    {' & '.join(columns)} \\\\"
    yield r"    \midrule"
    for row in task.rows:
        name, *cells = row.cells
        shown = rf"\textbf{{{escaped(name)}}}" if row.mark else escaped(name)
        numbers = [_NUMBER.sub(lambda _: r"\ensuremath{-}", escaped(cell)) for cell in cells]
        yield f"    {' & '.join([shown, *numbers])} \\\\"
    yield r"    \bottomrule"
    yield r"  \end{tabular}"
    yield r"\end{table}"
