"""One pretended host: what it has for itself, and how commands are run on it.

A host is a set of namespaces (network, mount, pid, uts) with an address, a HOME, `/tmp`, `/run`,
`/dev/shm` and accounts of its own, and an sshd; `host.sh` makes it. It sees the rest of this
machine's disk, but cannot write to it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ACCOUNTS = ("root", "ubuntu", "ec2-user")
"""Names under which cluster files log in. All are the same account of the host."""

PATIENCE_S = 900.0
"""Tests wait this long for what takes a minute on an idle machine."""

_SSHD = """
HostKey /root/.host_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
PidFile none
PrintMotd no
MaxStartups 100
Subsystem sftp internal-sftp
"""

_BASHRC = """
export PATH={path}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export PYTHONPATH={repository} PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
export RAY_USAGE_STATS_ENABLED=0 TERM=dumb
"""


class CommandFailed(AssertionError):
    """A command on a host did not end with 0, or took too long."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host.

    Attributes:
        name: Its host name.
        address: Its address in the LAN.
        pid: Its first process, as this machine numbers it.
        namespace: Its pid namespace.
        port: Its end of the cable at the bridge.
        disk: Where this machine keeps the host's own folders: `root` (its HOME) and `tmp`.
    """

    name: str
    address: str
    pid: int
    namespace: int
    port: str
    disk: Path

    @property
    def home(self) -> Path:
        """The host's HOME, as this machine sees it."""
        return self.disk / "root"

    def run(self, command: str, timeout_s: float = PATIENCE_S, *, check: bool = True) -> str:
        """Run a command as a user of the host would, and return what it prints.

        Raises:
            CommandFailed: It failed (unless `check` is off) or took too long.
        """
        limited = ["timeout", "--signal=KILL", str(timeout_s), "bash", "--login", "-c", command]
        ended = subprocess.run(
            self._inside(limited), capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if check and ended.returncode != 0:
            raise CommandFailed(
                f"on {self.name}, exit code {ended.returncode}: {command}\n"
                f"{ended.stdout[-8000:]}\n{ended.stderr[-8000:]}"
            )
        return ended.stdout

    def start(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command that runs next to the test; its output goes to a file."""
        with log.open("wb") as out:
            return subprocess.Popen(
                self._inside(["bash", "--login", "-c", command]),
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def shell(self, command: str = "") -> int:
        """A shell at this terminal, or one command in it; gives the exit code."""
        shell = ["bash", "--login", *(["-c", command] if command else ["-i"])]
        return subprocess.run(self._inside(shell)).returncode

    def write(self, path: str, text: str) -> None:
        """Write a file below the host's HOME, readable by its user only."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(text)

    def trust(self, public_key: str) -> None:
        """Let the owner of a key log in."""
        keys = self.home / ".ssh" / "authorized_keys"
        keys.parent.mkdir(mode=0o700, exist_ok=True)
        with keys.open("a") as file:
            file.write(public_key.strip() + "\n")

    def _inside(self, command: Sequence[str]) -> list[str]:
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--uts"]
        clean = ["env", "--ignore-environment", "--chdir=/root", "HOME=/root", "USER=root"]
        return [*enter, *clean, f"PATH={os.environ['PATH']}", *command]


def furnish(disk: Path, environment: Mapping[str, str]) -> None:
    """What a host finds on its disk when it is switched on."""
    home = disk / "root"
    for folder in (home / ".ssh", disk / "tmp"):
        folder.mkdir(mode=0o700, parents=True)
    others = [
        line
        for line in Path("/etc/passwd").read_text().splitlines()
        if line.partition(":")[0] not in ACCOUNTS
    ]
    accounts = [f"{name}:x:0:0::/root:/bin/bash" for name in ACCOUNTS]
    (disk / "passwd").write_text("\n".join([*accounts, *others, ""]))
    (disk / "sshd_config").write_text(_SSHD)
    make_key(home / ".host_key")
    (home / ".bashrc").write_text(
        _BASHRC.format(path=Path(sys.executable).parent, repository=REPOSITORY)
        + "".join(f"export {name}={shlex.quote(v)}\n" for name, v in environment.items())
    )
    (home / ".profile").write_text(". ~/.bashrc\n")


def make_key(file: Path) -> str:
    """Make a key pair without a password; returns the public half."""
    checked(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lan", "-f", str(file)])
    return file.with_name(f"{file.name}.pub").read_text()


def checked(command: Sequence[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if ended.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: {ended.stderr.strip()}")


def wait_for(condition: Callable[[], bool], what: Callable[[], str] | str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It took too long; the text says what was waited for.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {PATIENCE_S:.0f} s: {what if isinstance(what, str) else what()}"
            )
        time.sleep(0.1)
