"""Try a cluster file without a cluster: ``python -m tests.cluster [-- COMMAND]``, as root.

Makes a laptop and other hosts, opens a shell on the laptop (or runs COMMAND there), and takes
everything away when it ends.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from tests.cluster.cloud import Cloud
from tests.cluster.host import Host, make_key
from tests.cluster.lan import Lan, missing


def main() -> int:
    """Gives the exit code of what ran on the laptop."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--hosts", default="head,worker1,worker2", help="names, by comma")
    parser.add_argument("--aws", action="store_true", help="a cloud (moto) in place of the hosts")
    parser.add_argument("command", nargs="*", help="what to run on the laptop, after --")
    options = parser.parse_args()
    reason = missing()
    if reason:
        parser.error(reason)
    with ExitStack() as stack:
        lan = stack.enter_context(Lan())
        if options.aws:
            laptop = stack.enter_context(Cloud(lan)).laptop
        else:
            laptop = _machines(lan, options.hosts.split(","))
        for host in lan.hosts.values():
            print(f"{host.name:10} {host.address:12} {host.disk}", flush=True)
        return laptop.shell(" ".join(options.command))


def _machines(lan: Lan, names: list[str]) -> Host:
    """A laptop whose key opens the other hosts."""
    environment = {"RAY_AUTH_MODE": "token", "RAY_UP_enable_autoscaler_v2": "0"}
    laptop = lan.add("laptop", environment)
    key = make_key(laptop.home / ".ssh" / "id_ed25519")
    for name in names:
        lan.add(name).trust(key)
    return laptop


if __name__ == "__main__":
    sys.exit(main())
