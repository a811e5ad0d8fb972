"""What a local sweep listens on: `python -m tests.chaos.sockets`.

Runs a small sweep and prints a row for each process and address that waits for connections: on the
network, sockets that are files, which are as open as the folders that they are in, and those that
have a name without a file, which are open to every user: the fork server's both ends ask the system
for the user of the other one. The table is that of docs/explanation/reliability.md.
"""

from __future__ import annotations

import contextlib
import os
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
OWN = f"raykd-{os.getuid()}"
LIMIT_S = 600.0

Socket = tuple[str, str, int]
"""Name of the process, address or path, and port."""


def kind_of(path: str) -> str:
    """Whether other users may connect to a socket.

    A file of Ray's is only as closed as the folders from that of the user on: those above are of
    whoever runs this. The mode of the file itself is not asked, as some systems do not
    ask for it either.

    Raises:
        OSError: The file is gone.
    """
    file = Path(path)
    if not file.is_absolute():
        return CHECKED if path.startswith(FORK_SERVER) else OPEN
    file.stat()
    folders = [*file.parents]
    own = [k for k, folder in enumerate(folders) if folder.name == OWN]
    if own:
        folders = folders[: own[-1] + 1]
    return OPEN if all(folder.stat().st_mode & stat.S_IXOTH for folder in folders) else CLOSED


def listening(root: psutil.Process) -> dict[Socket, str]:
    """The kind of address of every socket of a tree of processes that waits."""
    seen: dict[Socket, str] = {}
    for process in (root, *root.children(recursive=True)):
        try:
            name = process.name().partition(" ")[0]
            for one in process.net_connections(kind="inet"):
                if one.status == psutil.CONN_LISTEN:
                    seen[name, one.laddr.ip, one.laddr.port] = one.laddr.ip
            for one in process.net_connections(kind="unix"):
                if one.laddr:
                    with contextlib.suppress(OSError):
                        seen[name, one.laddr, 0] = kind_of(one.laddr)
        except psutil.Error:  # it ended meanwhile
            continue
    return seen


def watched(command: subprocess.Popen[bytes]) -> dict[Socket, str]:
    """All that a sweep listens on until it ends, as it was at the last look.

    Ray makes the folder of its session before it can be closed.
    """
    seen: dict[Socket, str] = {}
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
        surroundings.open_to_others()
        spec = tiny_spec(
            report={"path": str(top / "report.html")}, resources={"cpus_per_worker": 0.5}
        )
        file = top / "sockets.yaml"
        file.write_text(to_yaml(spec), encoding="utf-8")
        arguments = ["sweep", str(file), "--out", str(top / "runs")]
        command = launch(arguments, top / "said.txt", surroundings.environment())
        seen = watched(command)
        code = command.wait(LIMIT_S)
        surroundings.forget()
        assert code == 0, (top / "said.txt").read_text()
    head(COLUMNS)
    for (name, address), count in sorted(Counter((of[0], a) for of, a in seen.items()).items()):
        show((name, address, str(count)))
    wrong = {of: a for of, a in seen.items() if a not in (*LOOPBACK, CLOSED, CHECKED)}
    for of, address in sorted(wrong.items()):
        print(*of, address)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
