"""The token without which a machine cannot join the cluster, and with which anyone may use it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from raykd.clusters.base import START, ClusterFile, Rule
from raykd.errors import Problem

TOKEN = ".ray/auth_token"
_MODE = re.compile(r"\bRAY_AUTH_MODE=[\"']?(\w+)")
_START = re.compile(r"\bray start\b")


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    yield from _mount(cluster)
    for place, command in cluster.commands(*START):
        mode = _MODE.findall(command)
        if _START.search(command) and (not mode or mode[-1] != "token"):
            got = f"is set to {mode[-1]}" if mode else "is not set"
            message = f"RAY_AUTH_MODE {got} where Ray is started: whoever reaches the head "
            message += "may run code on it"
            hint = "export RAY_AUTH_MODE=token; ray start ..."
            yield cluster.document.problem(place, message, hint)


def _mount(cluster: ClusterFile) -> Iterator[Problem]:
    mounts = cluster.config.get("file_mounts") or {}
    remote = next((r for r in mounts if str(r).endswith(TOKEN)), None)
    if remote is None:
        message = "the token is not sent to the machines; those without it cannot join"
        hint = f"file_mounts: {{~/{TOKEN}: ~/{TOKEN}}}"
        yield cluster.document.problem(("file_mounts",), message, hint)
    elif not cluster.client.path(str(mounts[remote])).is_file():
        message = f"there is no token on this machine ({mounts[remote]})"
        hint = "make one: ray get-auth-token --generate"
        yield cluster.document.problem(("file_mounts", remote), message, hint)


RULE = Rule(help="Machines hold the token, and Ray asks for it.", check=_check)
