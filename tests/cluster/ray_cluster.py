"""What the tests ask of Ray on the hosts of a LAN."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

from tests.cluster.host import Host, wait_for
from tests.cluster.lan import members

_OF_RAY = re.compile(r"gcs_server|raylet|ray::|site-packages/ray/|raykd sweep")

_ALIVE = """\
import json, logging, ray
ray.init("auto", logging_level=logging.ERROR, log_to_driver=False)
print(json.dumps([n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"]]))
"""


def wait_for_nodes(head: Host, addresses: Collection[str], timeout_s: float) -> None:
    """Wait until exactly these nodes are members of the cluster of a head."""
    head.write("alive.py", _ALIVE)
    seen: list[str] = []

    def there() -> bool:
        # Ray may print warnings of its own before and after.
        said = head.run("RAY_AUTH_MODE=token python alive.py").splitlines()
        (answer,) = (line for line in said if line.startswith("["))
        seen[:] = json.loads(answer)
        return sorted(seen) == sorted(addresses)

    wait_for(there, timeout_s, lambda: f"nodes {sorted(addresses)}; there are {sorted(seen)}")


def ray_processes(hosts: Iterable[Host]) -> list[str]:
    """Processes of Ray on some hosts."""
    return [
        f"{host.name}: {command[:200]}"
        for host in hosts
        for pid, command in members({host.namespace}).items()
        if pid != host.pid and _OF_RAY.search(command)
    ]
