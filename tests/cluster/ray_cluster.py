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
from tests.object_store import created
ray.init("auto", logging_level=logging.ERROR, log_to_driver=False)
alive = {n["NodeID"]: n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"]}
print(json.dumps({alive[node]: size for node, size in created().items() if node in alive}))
"""


def stored(head: Host) -> dict[str, int]:
    """Bytes that ever were laid into the object store of each living node, by address."""
    head.write("alive.py", _ALIVE)
    # Ray may print warnings of its own before and after.
    message = head.run("RAY_AUTH_MODE=token python alive.py").splitlines()
    (answer,) = (line for line in message if line.startswith("{"))
    actual: dict[str, int] = json.loads(answer)
    return actual


def wait_for_nodes(head: Host, addresses: Collection[str]) -> None:
    """Wait until exactly these nodes are members of the cluster of a head."""
    seen: list[str] = []

    def there() -> bool:
        seen[:] = stored(head)
        return sorted(seen) == sorted(addresses)

    wait_for(there, lambda: f"nodes {sorted(addresses)}; there are {sorted(seen)}")


def ray_processes(hosts: Iterable[Host]) -> list[str]:
    """Processes of Ray on some hosts."""
    return [
        f"{host.name}: {command[:200]}"
        for host in hosts
        for pid, command in members({host.namespace}).items()
        if pid != host.pid and _OF_RAY.search(command)
    ]
