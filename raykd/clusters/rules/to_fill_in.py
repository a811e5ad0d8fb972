"""Places of a shipped file that are still as shipped."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.clusters.document import Document
from raykd.errors import Problem

MARK = "SET-ME"


def to_fill_in(document: Document) -> Iterator[Problem]:
    """Every place that a user must fill in; the same for all kinds of files."""
    for place, value in document.scalars():
        if isinstance(value, str) and MARK in value:
            message = f"still to be filled in: {value}"
            hint = "comments of the file, and docs/how-to/clusters, say with what"
            yield document.problem(place, message, hint, "warning")


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    yield from to_fill_in(cluster.document)


RULE = Rule(help="Nothing is left to be filled in.", check=_check)
