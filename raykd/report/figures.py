"""The figures of a report by name, and as files for a paper."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raykd import registry
from raykd.errors import SetupError
from raykd.report.charts import Figure
from raykd.results.records import SweepResult
from raykd.whole_file import whole_file

FORMATS = ("svg", "png", "pdf")


def figures_of(result: SweepResult) -> Mapping[str, Figure]:
    """The figures of all sections, in the order of the sections' names."""
    records = (
        registry.load("sections", name).record(result) for name in registry.names("sections")
    )
    return {f.key.removeprefix("plot-"): f for record in records for f in _figures_in(record)}


def write_figures(result: SweepResult, folder: Path, format: str = "svg") -> tuple[Path, ...]:
    """Write every figure as a file of its own; the same records give the same bytes.

    Args:
        result: The records.
        folder: Where to, made if it is missing; files of other names in it stay.
        format: One of `FORMATS`.

    Returns:
        The files, in the order of `figures_of`.

    Raises:
        SetupError: matplotlib is not installed, or a file cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise SetupError(
            "figures are drawn with matplotlib, which is not installed",
            hint="pip install 'raykd[figures]'",
        )
    from raykd.report.drawing import draw

    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures_of(result).items():
            path = folder / f"{name}.{format}"
            with whole_file(path, durable=False) as part:
                draw(figure, part, format)
            written.append(path)
    except OSError as exc:
        raise SetupError(
            f"cannot write figures to {folder}: {exc.strerror or exc}",
            hint="free some space or name another folder",
        ) from exc
    return tuple(written)


def _figures_in(value: Any) -> Iterator[Figure]:  # a record of the report, or part of one
    """The figures that a record holds, however deep."""
    if isinstance(value, Figure):
        yield value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _figures_in(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _figures_in(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _figures_in(each)
