"""Prices that the estimate cannot use."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.clusters.estimate import PRICES, price
from raykd.errors import Problem
from raykd.registry import suggestion


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    given = cluster.document.get(*PRICES)
    if given is None:
        return
    if not isinstance(given, dict):
        message = "prices are given by node type, e.g. {head: 0.12, gpu: 0.50}"
        yield cluster.document.problem(PRICES, message)
        return
    names = [node.name for node in cluster.node_types()]
    for name, value in given.items():
        place = (*PRICES, str(name))
        if name not in names:
            hint = suggestion(str(name), names) or f"node types: {', '.join(names)}"
            yield cluster.document.problem(place, f"there is no node type '{name}'", hint)
        elif (price(cluster, name) or 0.0) < 0 or price(cluster, name) is None:
            message = f"a price is a number of dollars an hour, got {value!r}"
            yield cluster.document.problem(place, message)


RULE = Rule(help="Prices are numbers, for node types that exist.", check=_check)
