"""What a local sweep listens on: `python -m tests.chaos.sockets`.

Runs a small sweep and prints a row for each process and address that waits for connections: on the
network, and sockets that are files. The table is that of docs/explanation/reliability.md.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from raykd.spec.dump import to_yaml
from tests.chaos.__main__ import head, processor, show
from tests.chaos.chain import launch
from tests.chaos.surroundings import Surroundings
from tests.integration.conftest import tiny_spec

COLUMNS = ("process", "listens on", "sockets")
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
LIMIT_S = 600.0


def listening(root: psutil.Process) -> set[tuple[str, str, int]]:
    """Process, address and port of every socket of a tree of processes that waits."""
    seen = set()
    for process in (root, *root.children(recursive=True)):
        try:
            name = process.name().partition(" ")[0]
            for one in process.net_connections(kind="inet"):
                if one.status == psutil.CONN_LISTEN:
                    seen.add((name, one.laddr.ip, one.laddr.port))
        except psutil.Error:  # it ended meanwhile
            continue
    return seen


def watched(command: subprocess.Popen[bytes]) -> set[tuple[str, str, int]]:
    """All that a sweep listens on until it ends."""
    seen: set[tuple[str, str, int]] = set()
    until = time.monotonic() + LIMIT_S
    while command.poll() is None and time.monotonic() < until:
        try:
            seen |= listening(psutil.Process(command.pid))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.5)
    return seen


def main() -> int:
    """Print the table; 1 where something listens beyond this machine."""
    print(f"{processor()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="raykd-sockets-") as temporary:
        top = Path(temporary)
        surroundings = Surroundings(top / "cache")
        spec = tiny_spec(
            report={"path": str(top / "report.html")}, resources={"cpus_per_worker": 0.5}
        )
        file = top / "sockets.yaml"
        file.write_text(to_yaml(spec), encoding="utf-8")
        arguments = ["sweep", str(file), "--out", str(top / "runs")]
        command = launch(arguments, top / "said.txt", surroundings)
        seen = watched(command)
        code = command.wait(LIMIT_S)
        surroundings.forget()
        assert code == 0, (top / "said.txt").read_text()
    head(COLUMNS)
    for (name, address), count in sorted(Counter((n, a) for n, a, _ in seen).items()):
        show((name, address, str(count)))
    return 1 if {address for _, address, _ in seen} - {*LOOPBACK} else 0


if __name__ == "__main__":
    sys.exit(main())
