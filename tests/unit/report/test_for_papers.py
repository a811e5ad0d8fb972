"""The report as Markdown and as LaTeX."""

import dataclasses
import re
from pathlib import Path

import pytest

from raykd.cli.main import main
from raykd.report import latex, markdown
from raykd.report.latex import render_latex
from raykd.report.markdown import render_markdown
from raykd.report.sections import arms, verdict
from raykd.results.records import SweepResult
from tests.synthetic_run import HOSTILE


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown text as cells."""
    blocks = re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE)
    return [[re.split(r"(?<!\\)\|", row)[1:-1] for row in block.splitlines()] for block in blocks]


def test_markdown_has_verdict_tables_caveats_and_settings(result: SweepResult):
    text = render_markdown(result)
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == ["Which method, and how sure?", "All arms", "What did it cost?", "Teacher",
                      "Reproduce"]  # fmt: skip
    record = verdict.record(result)
    for task in record.tasks:
        assert f"**{task.verdict.headline}**" in text
    for caveat in record.caveats:
        assert f"{caveat.message} ({caveat.hint})" in text
    shown = [[[cell.strip() for cell in row] for row in table] for table in tables(text)]
    task = arms.record(result).tasks[0]
    of_task = next(t for t in shown if t[0] == list(task.columns))
    assert of_task[-1] == ["ckd (best)", *(c.replace("<", "&lt;") for c in task.rows[-1].cells[1:])]
    assert "```yaml\nname: ckd_glue" in text
    assert "torch: 2.13.0" in text


def test_tables_of_markdown_have_equal_rows_and_text_stays_text(result: SweepResult):
    text = render_markdown(result)
    assert tables(text)
    for table in tables(text):
        assert len({len(row) for row in table}) == 1
    without_code = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert "<script>" not in without_code
    assert HOSTILE in text  # in the block of code, where nothing reads it
    assert text.endswith(f"from run {result.run}.\n")
    assert "\n\n\n" not in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a|b *c* `d`", r"a\|b \*c\* \`d\`"), ("snake_case _x_", r"snake_case \_x\_"),
     ("two\nlines", "two lines"), ("<b> & [x]", r"&lt;b&gt; &amp; \[x\]")],
)  # fmt: skip
def test_text_is_escaped_for_markdown(text: str, shown: str):
    assert markdown.escaped(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a_b & 5 % of $x#1", r"a\_b \& 5 \% of \$x\#1"),
     ("{~^}", r"\{\textasciitilde{}\textasciicircum{}\}"),
     ("\\input{x}", r"\textbackslash{}input\{x\}"), ("two\nlines\x00", "two lines")],
)  # fmt: skip
def test_text_is_escaped_for_latex(text: str, shown: str):
    assert latex.escaped(text) == shown


def test_latex_has_a_table_of_each_task_that_balances(result: SweepResult):
    hostile = dataclasses.replace(result.tasks[0], student="x")
    text = render_latex(dataclasses.replace(result, tasks=(hostile, *result.tasks[1:])))
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular"] * len(result.tasks)
    assert text.count(r"\end{table}") == text.count(r"\toprule") == len(result.tasks)
    for columns, body in re.findall(r"\\begin\{tabular\}\{(l+r+)\}(.*?)\\end", text, re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(columns)}
    of_task = arms.record(result).tasks[0]
    best = next(row for row in of_task.rows if row.mark)
    assert rf"\textbf{{{best.cells[0]}}} & {best.cells[1]} &" in text
    assert verdict.record(result).tasks[0].verdict.headline.replace("%", r"\%") in text


def test_they_go_to_stdout_or_to_a_file(run_folder: Path, tmp_path: Path, capsys):
    assert main(["report", str(run_folder), "--markdown"]) == 0
    output = capsys.readouterr().out
    out = tmp_path / "appendix.md"
    assert main(["report", str(run_folder), "--format", "markdown", "--out", str(out)]) == 0
    assert out.read_text("utf-8") == output
    capsys.readouterr()
    assert main(["report", str(run_folder), "--latex", "--anonymous"]) == 0
    assert r"\begin{tabular}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--markdown", "--latex"], "one format at a time, not latex and markdown"),
     (["--latex", "--format", "csv"], "one format at a time, not csv and latex"),
     (["--format", "svg"], "no folder for them is named"),
     (["--figures", "f", "--format", "json"], "--figures writes svg, png or pdf, not json")],
)  # fmt: skip
def test_formats_that_do_not_go_together_are_refused(run_folder, options, message, capsys):
    assert main(["report", str(run_folder), *options]) == 2
    assert message in capsys.readouterr().err
