"""What a local sweep listens on: `python -m tests.chaos.sockets`.

Runs a small sweep and prints a row for each process and address that waits for connections: on the
network, sockets that are files, which are as open as the folders that they are in, and those that
have a name without a file, which are open to every user: the fork server's both ends ask the system
for the user of the other one. The table is that of docs/explanation/reliability.md.
"""

from __future__ import annotations

import stat
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
CLOSED, OPEN = "a file that other users do not reach", "what other users reach"
CHECKED, FORK_SERVER = "a name, and asks who the other end is", "@raykd-"
LIMIT_S = 600.0


def kind_of(path: str) -> str:
    """Whether other users may connect to a socket."""
    file = Path(path)
    if not file.is_absolute():
        return CHECKED if path.startswith(FORK_SERVER) else OPEN
    ways = [(file, stat.S_IWOTH), *((folder, stat.S_IXOTH) for folder in file.parents)]
    try:
        return OPEN if all(one.stat().st_mode & bit for one, bit in ways) else CLOSED
    except OSError:  # it is gone
        return CLOSED


def listening(root: psutil.Process) -> set[tuple[str, str, int | str]]:
    """Process, address and port, or path, of every socket of a tree of processes that waits."""
    seen: set[tuple[str, str, int | str]] = set()
    for process in (root, *root.children(recursive=True)):
        try:
            name = process.name().partition(" ")[0]
            for one in process.net_connections(kind="inet"):
                if one.status == psutil.CONN_LISTEN:
                    seen.add((name, one.laddr.ip, one.laddr.port))
            for one in process.net_connections(kind="unix"):
                if one.laddr:
                    seen.add((name, kind_of(one.laddr), one.laddr))
        except psutil.Error:  # it ended meanwhile
            continue
    return seen


def watched(command: subprocess.Popen[bytes]) -> set[tuple[str, str, int | str]]:
    """All that a sweep listens on until it ends."""
    seen: set[tuple[str, str, int | str]] = set()
    until = time.monotonic() + LIMIT_S
    while command.poll() is None and time.monotonic() < until:
        try:
            seen |= listening(psutil.Process(command.pid))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.5)
    return seen


def main() -> int:
    """Print the table; 1 where another machine or another user can connect."""
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
    wrong = sorted((n, a, str(of)) for n, a, of in seen if a not in (*LOOPBACK, CLOSED, CHECKED))
    for one in wrong:
        print(*one)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
