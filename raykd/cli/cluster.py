"""``raykd cluster check``: what is wrong with a cluster file, what it holds and what it costs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from raykd.cli.output import Output
from raykd.errors import SpecError

if TYPE_CHECKING:
    from raykd.clusters.base import Client
    from raykd.clusters.check import Checked
    from raykd.clusters.estimate import Estimate, NodeCost


def check(
    output: Output,
    file: Annotated[str, typer.Argument(metavar="FILE", help="For ray up, or for KubeRay.")],
) -> None:
    """Check a cluster file before money is spent; show slots and cost. Asks no cloud."""
    from raykd.clusters.check import check as check_file

    checked = check_file(file, _client())
    if output.is_json:
        output.record(_as_record(file, checked))
    else:
        for warning in checked.warnings:
            output.note(warning.render())
        if not checked.errors and not output.quiet:
            _show(file, checked, output)
    if checked.errors:
        raise SpecError(problems=checked.errors)


COMMANDS = (check,)


def _client() -> Client:
    import importlib.metadata
    import importlib.util
    import os
    import platform
    from pathlib import Path

    from raykd.clusters.base import LAUNCHER_PACKAGES, Client

    installed = frozenset(name for name in LAUNCHER_PACKAGES if importlib.util.find_spec(name))
    return Client(
        python=".".join(platform.python_version_tuple()[:2]),
        ray=importlib.metadata.version("ray"),
        home=Path(os.path.expanduser("~")),
        folder=Path(),
        packages=installed,
    )


def _as_record(file: str, checked: Checked) -> dict[str, object]:
    return {
        "file": file,
        "provider": checked.provider,
        "max_workers": checked.max_workers,
        "errors": [dataclasses.asdict(p) for p in checked.errors],
        "warnings": [dataclasses.asdict(p) for p in checked.warnings],
        "estimate": None if checked.estimate is None else dataclasses.asdict(checked.estimate),
    }


def _show(file: str, checked: Checked, output: Output) -> None:
    workers = f"a head and at most {checked.max_workers} workers"
    count = len(checked.warnings)
    warnings = f", {count} warning{'s' * (count != 1)}" if count else ""
    output.text(f"{file}: valid{warnings}; {checked.provider}, {workers}")
    if checked.estimate is None:
        output.text("  slots are counted when the machines join; nothing is paid by the hour")
        return
    unit = checked.estimate.unit
    columns = ("node type", "machine", "bought", "running", f"{unit}s each", "price an hour")
    output.table(columns, [_cells(row) for row in checked.estimate.rows])
    # Kubernetes knows pods, and not what they cost.
    output.facts(_sums(checked.estimate, has_prices=checked.provider != "kuberay"))


def _cells(row: NodeCost) -> tuple[str, ...]:
    return (
        row.name,
        row.machine,
        ("spot" if row.is_spot else "on demand") if row.machine else "",
        str(row.least) if row.least == row.most else f"{row.least} to {row.most}",
        "not stated" if row.slots is None else str(row.slots),
        "not stated" if row.price is None else f"${row.price:.2f}",
    )


def _sums(estimate: Estimate, *, has_prices: bool) -> dict[str, str]:
    facts = {"slots": f"at most {estimate.slots}, with one {estimate.unit} each"}
    if estimate.slots is None:
        facts["slots"] = "unknown: a node type states no resources"
    if estimate.idle is None or estimate.full is None:
        if has_prices:
            facts["cost"] = "unknown: metadata.price_per_hour does not name every node type"
    else:
        facts["without work"] = f"${estimate.idle:.2f} an hour"
        facts["all at work"] = f"${estimate.full:.2f} an hour"
    return facts
