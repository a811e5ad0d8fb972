"""``raykd report``: rebuild the report of a run, or compare several runs, without the cluster."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.output import Output


class ReportFormat(StrEnum):
    """What to write."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"


class PlotlyPlace(StrEnum):
    """Where the chart library goes."""

    INLINE = "inline"
    DIRECTORY = "directory"


def report(
    output: Output,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
    format: Annotated[
        ReportFormat, typer.Option("--format", help="html: the page; json, csv: the records.")
    ] = ReportFormat.HTML,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to; json and csv default to stdout."),
    ] = None,
    plotlyjs: Annotated[
        PlotlyPlace,
        typer.Option("--plotlyjs", help="inline: one file; directory: beside it, 5 MB less."),
    ] = PlotlyPlace.INLINE,
) -> None:
    """Rebuild the HTML report of a run; several runs make a comparison."""
    if format is ReportFormat.HTML:
        page = _write_page(runs, out, plotlyjs)
        output.text(f"report: {page}")
        if open_page:
            typer.launch(page.resolve().as_uri())
        return
    text = _as_text(runs, format)
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write(out, text)
        output.text(f"{format.value}: {out}")


def _write_page(runs: list[Path], out: Path | None, place: PlotlyPlace) -> Path:
    # Imported here: plotly and optuna take seconds, and every `raykd --help` imports this file.
    from raykd.report.build import build_report

    return build_report(runs, out, "directory" if place is PlotlyPlace.DIRECTORY else "inline")


def _as_text(runs: list[Path], format: ReportFormat) -> str:
    from raykd.results.export import as_csv, as_json
    from raykd.results.merge import merge
    from raykd.results.store import load_results

    result = merge([load_results(run) for run in runs])
    return as_csv(result) if format is ReportFormat.CSV else as_json(result)


def _write(out: Path, text: str) -> None:
    from raykd.errors import SetupError

    try:
        out.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"cannot write {out}: {exc.strerror or exc}") from exc
