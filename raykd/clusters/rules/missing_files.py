"""Files that are to be sent to the machines and are not there."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.clusters.rules.auth_token import TOKEN
from raykd.errors import Problem


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    for remote, local in (cluster.config.get("file_mounts") or {}).items():
        if str(remote).endswith(TOKEN) or cluster.client.path(str(local)).exists():
            continue  # the token has a rule of its own
        message = f"{local} is to be sent to the machines, and does not exist"
        hint = "build it: pip wheel . --no-deps -w dist" if str(local).endswith(".whl") else ""
        yield cluster.document.problem(("file_mounts", str(remote)), message, hint)


RULE = Rule(help="Files that are sent to the machines exist.", check=_check)
