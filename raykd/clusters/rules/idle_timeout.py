"""Workers that are kept, and paid, without work."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.errors import Problem

LONGEST = 60
"""Minutes; setting up a new worker takes about ten."""


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    key = "idle_timeout_minutes"
    minutes = cluster.config[key]
    if cluster.provider == "local":  # machines of one's own are not paid by the hour
        return
    if key not in cluster.document.value:
        message = f"no {key}: Ray gives workers back after {minutes} minutes without work"
        hint = "state what you want; setting up a new worker takes about ten minutes"
        yield cluster.document.problem((key,), message, hint, "warning")
    elif minutes > LONGEST:
        message = f"workers are kept for {minutes} minutes without work, and paid"
        yield cluster.document.problem((key,), message, f"at most {LONGEST}", "warning")


RULE = Rule(help="Workers without work are given back soon.", check=_check)
