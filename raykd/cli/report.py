"""``raykd report``: rebuild the report of a run, or compare several runs, without the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raykd.cli.completions import runs as run_folders
from raykd.cli.output import Output
from raykd.cli.run_paths import run_to_read
from raykd.errors import SetupError, SpecError
from raykd.whole_file import whole_file

if TYPE_CHECKING:
    from raykd.results.records import SweepResult


class ReportFormat(StrEnum):
    """What to write."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    LATEX = "latex"
    SVG = "svg"
    PNG = "png"
    PDF = "pdf"


_DRAWN = (ReportFormat.SVG, ReportFormat.PNG, ReportFormat.PDF)


class PlotlyPlace(StrEnum):
    """Where the chart library goes."""

    INLINE = "inline"
    DIRECTORY = "directory"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is written, and how."""

    format: Annotated[
        ReportFormat | None,
        typer.Option(
            "--format",
            help="html: the page (default); json, csv: the records; markdown, latex; svg (the "
            "default), png, pdf: of --figures.",
        ),
    ] = None
    markdown: Annotated[bool, typer.Option("--markdown", help="Short for --format markdown.")] = (
        False
    )
    latex: Annotated[bool, typer.Option("--latex", help="Short for --format latex.")] = False
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every figure to this folder.")
    ] = None
    anonymous: Annotated[
        bool,
        typer.Option("--anonymous", help="Leave out hosts, users, paths, addresses and commands."),
    ] = False

    def resolved(self) -> ReportFormat:
        """The format that is meant.

        Raises:
            SpecError: Several are, or figures and something else.
        """
        short = [(self.markdown, ReportFormat.MARKDOWN), (self.latex, ReportFormat.LATEX)]
        named = {self.format} - {None} | {of for is_set, of in short if is_set}
        if self.figures is not None and not named:
            return ReportFormat.SVG
        if len(named) > 1:
            raise SpecError(
                f"one format at a time, not {' and '.join(sorted(str(of) for of in named))}",
                hint="run raykd report once for each",
            )
        format = next(iter(named), ReportFormat.HTML)
        assert format is not None
        if (format in _DRAWN) != (self.figures is not None):
            raise SpecError(
                f"--figures writes svg, png or pdf, not {format}"
                if self.figures is not None
                else f"{format} is a format of figures, and no folder for them is named",
                hint="raykd report RUN --figures DIR --format svg",
            )
        return format


def report(
    output: Output,
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Run folders or URLs.", autocompletion=run_folders),
    ],
    wanted: Wanted,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to; text formats default to stdout."),
    ] = None,
    plotlyjs: Annotated[
        PlotlyPlace,
        typer.Option("--plotlyjs", help="inline: one file; directory: next to it, 5 MB less."),
    ] = PlotlyPlace.INLINE,
) -> None:
    """Rebuild the HTML report of a run; several runs make a comparison."""
    format = wanted.resolved()
    folders = [run_to_read(run) for run in runs]
    if format is ReportFormat.HTML:
        page = _write_page(folders, out, plotlyjs, wanted.anonymous)
        output.text(f"report: {page}")
        if open_page:
            typer.launch(page.resolve().as_uri())
        return
    from raykd.results.merge import load_runs

    result = load_runs(folders, is_anonymous=wanted.anonymous)
    if wanted.figures is not None:
        from raykd.report.figures import write_figures

        written = write_figures(result, wanted.figures, format.value)
        output.text(f"{len(written)} figures: {wanted.figures}")
        return
    text = _writer(format)(result)
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write(out, text)
        output.text(f"{format.value}: {out}")


def _write_page(runs: list[Path], out: Path | None, place: PlotlyPlace, anonymous: bool) -> Path:
    # Imported here: plotly and optuna take seconds, and every `raykd --help` imports this file.
    from raykd.report.build import PlotlyJs, build_report

    plotlyjs: PlotlyJs = "directory" if place is PlotlyPlace.DIRECTORY else "inline"
    return build_report(runs, out, plotlyjs, is_anonymous=anonymous)


def _writer(format: ReportFormat) -> Callable[[SweepResult], str]:
    """What writes a format that is text."""
    if format is ReportFormat.MARKDOWN:
        from raykd.report.markdown import render_markdown

        return render_markdown
    if format is ReportFormat.LATEX:
        from raykd.report.latex import render_latex

        return render_latex
    from raykd.results.export import as_csv, as_json

    return as_csv if format is ReportFormat.CSV else as_json


def _write(out: Path, text: str) -> None:
    try:
        with whole_file(out) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"cannot write {out}: {exc.strerror or exc}") from exc
