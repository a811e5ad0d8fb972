"""A LAN of pretended hosts on one Linux machine, as root.

The hosts (`host.py`) hang on a bridge that stands in a network namespace of its own, so nothing
leaves the LAN. All of it hangs on one process, which is the first of an outer pid namespace and
ends when its standard input closes: whichever way the owner of a `Lan` ends, the kernel kills every
process in it, and with them go the mounts and interfaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.cluster.host import REPOSITORY, Host, checked, furnish, wait_for

NETWORK = "10.77.0"
NEEDED = ("ip", "unshare", "nsenter", "sshd", "ssh", "ssh-keygen", "rsync")


def missing() -> str:
    """Why no LAN can be made here, or an empty string."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux and root: hosts are namespaces"
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (iproute2, openssh-server, rsync)"
    probe = "unshare -m -n -p -u -f --mount-proc ip link add probe type bridge"
    tried = subprocess.run(probe.split(), capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"namespaces are refused here: {tried.stderr.strip()}"


class Lan:
    """The hosts and the bridge between them; use it in a `with` statement."""

    def __init__(self) -> None:
        # Short: below it are unix sockets, whose paths may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="lan-", dir="/tmp"))
        self.hosts: dict[str, Host] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._outer = subprocess.Popen(
            ["unshare", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "cat"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self._root = 0

    def __enter__(self) -> Self:
        try:
            self._root = _only_child(self._outer)
            for command in (
                "ip link set lo up",
                "ip link add lan type bridge",
                "ip link set lan up",
            ):
                self._at_bridge(command)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process of the LAN, wait for that, and delete what the hosts wrote."""
        assert self._outer.stdin is not None
        self._outer.stdin.close()
        self._outer.wait(30)
        for process in self._processes:
            process.wait(30)
        shutil.rmtree(self.folder)

    def add(self, name: str, environment: Mapping[str, str] | None = None) -> Host:
        """Switch on another host.

        Args:
            name: Its host name.
            environment: What every command on it finds in its environment.
        """
        address = self.next_address()
        disk = self.folder / name
        furnish(disk, environment or {})
        code = Path(__file__).with_name("host.sh")
        seen = {str(REPOSITORY), sys.prefix, sys.base_prefix}
        with (disk / "log").open("wb") as log:
            process = subprocess.Popen(
                ["nsenter", f"--target={self._root}", "--net", "--pid",
                 "unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--mount-proc",
                 "--kill-child=SIGKILL", "bash", str(code), name, str(disk), *sorted(seen)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        wait_for((disk / "ready").exists, lambda: f"{name}: {(disk / 'log').read_text()}")
        pid = _only_child(_only_child(process))
        space = Path(f"/proc/{pid}/ns/pid").stat().st_ino
        port = f"port{len(self.hosts)}"
        host = Host(
            name=name, address=address, pid=pid, namespace=space, port=port, disk=disk
        )  # fmt: skip
        self._connect(host)
        self.hosts[name] = host
        return host

    def next_address(self) -> str:
        """The address of the host that is added next."""
        return f"{NETWORK}.{len(self.hosts) + 10}"

    def give(self, host: Host, addresses: Sequence[str]) -> None:
        """Give a host further addresses; the first becomes the one it is known by."""
        for address in addresses:
            self._at(host, f"ip addr add {address}/32 dev eth0")
        self._at(host, f"ip route replace default dev eth0 src {addresses[0]}")

    def cut(self, host: Host) -> None:
        """Unplug a host: its processes continue, and nobody hears of them."""
        self._at_bridge(f"ip link set {host.port} down")

    def mend(self, host: Host) -> None:
        """Plug it in again."""
        self._at_bridge(f"ip link set {host.port} up")

    def switch_off(self, host: Host) -> None:
        """End a host with everything that runs on it."""
        os.kill(host.pid, 9)

    def namespaces(self) -> frozenset[int]:
        """The pid namespaces of all hosts there ever were: what is in them is of this LAN."""
        return frozenset(host.namespace for host in self.hosts.values())

    def _connect(self, host: Host) -> None:
        self._at_bridge(f"ip link add {host.port} type veth peer name eth0 netns {host.pid}")
        self._at_bridge(f"ip link set {host.port} master lan up")
        self._at(host, "ip link set lo up")
        self._at(host, f"ip addr add {host.address}/24 dev eth0")
        self._at(host, "ip link set eth0 up")
        # Every address there is belongs to a host of the LAN.
        self._at(host, "ip route add default dev eth0")

    def _at(self, host: Host, command: str) -> None:
        checked(["nsenter", f"--target={host.pid}", "--net", *command.split()])

    def _at_bridge(self, command: str) -> None:
        checked(["nsenter", f"--target={self._root}", "--net", *command.split()])


def members(namespaces: Collection[int]) -> dict[int, str]:
    """Living processes of some pid namespaces: number on this machine and command line."""
    actual = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "ns" / "pid").stat().st_ino in namespaces:
                command = (entry / "cmdline").read_bytes()
                actual[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
    return actual


def _only_child(parent: subprocess.Popen[bytes] | int) -> int:
    pid = parent if isinstance(parent, int) else parent.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_for(lambda: bool(children.read_text()), f"a child of process {pid}")
    return int(children.read_text().split()[0])
