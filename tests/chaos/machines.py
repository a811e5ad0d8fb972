"""Machines on which a sweep has to work, or to say what is wrong: full, closed, small, slow ones.

None is simulated: file systems are mounted (`own_mounts`), ports are listened on, processes are
stopped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.chaos import own_mounts
from tests.chaos.family import Family
from tests.chaos.own_mounts import MOUNTS, OTHER_USER, ROOT, SHARED_MEMORY, TMP

RAY_PORTS = (6379, 8076, 8265, 10001, 10002, 44217, 44227, 52365)
"""Those that Ray takes where it is told none."""

PORTS_STEP = 3
MOST_OF = 0.9
"""So much of the ports has to be free to be taken here."""

LOOPBACK = "127.0.0.1"
STILL_S = 40.0
"""Longer than a worker may be silent."""

SLOW_RUNS_S, SLOW_STOPS_S = 0.05, 0.2
"""A slow machine works for so long, and then not for so long."""

NO_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Before a command, which root then runs as a user who may not write in folders of others."""


@dataclass(kw_only=True)
class Machine:
    """What a sweep is started on.

    Attributes:
        folder: Of this sweep.
        events: How many a sweep of this kind writes at least that is left alone.
        chance: Chooses the moment.
        out: Where run folders go.
        place: Where temporary files go.
        cache: Where teachers are kept.
        variables: Of the environment; None takes one away.
        prefix: What its command is started by.
        where: The folder that it is started in, None for any.
        resources: What a trial requests, where it is not the usual.
        clean: Folders in which nothing may be left, besides the usual ones.
        watch: Called again and again with the processes and the number of events.
        look_s: How often.
        happened: Whether the fault has happened.
        mended: Takes the cause away.
        gone: Takes the rest away.
    """

    folder: Path
    events: int
    chance: random.Random
    out: Path
    place: Path
    cache: Path
    variables: dict[str, str | None] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    where: Path | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    clean: tuple[Path, ...] = ()
    watch: Callable[[Family, int], None] | None = None
    look_s: float = 0.25
    happened: bool = True
    mended: ExitStack = field(default_factory=ExitStack)
    gone: ExitStack = field(default_factory=ExitStack)

    def disk(self, name: str, size: str, *options: str) -> Path:
        """A disk of its own."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        self.mount(path, size, *options)
        return path

    def mount(self, path: Path, size: str, *options: str) -> None:
        """An empty file system in memory in the place of a folder, until all is over."""
        own_mounts.mount_tmpfs(path, size, *options)
        self.gone.callback(own_mounts.unmount, path)

    def close(self, path: Path) -> None:
        """Let a folder be read-only until the cause is taken away."""
        path.mkdir(exist_ok=True)
        own_mounts.mount_read_only(path)
        self.mended.callback(own_mounts.unmount, path)

    def once(self, do: Callable[[Family], None]) -> None:
        """Do something once, after some event of the sweep."""
        self.happened, after = False, self.chance.randint(1, self.events - 3)

        def watch(family: Family, events: int) -> None:
            if events >= after and not self.happened:
                self.happened = True
                do(family)

        self.watch, self.look_s = watch, 0.02

    def fills_up(self, disk: Path) -> None:
        """Let a disk be full, after some event of the sweep."""
        filler = disk / "filler"
        self.mended.callback(filler.unlink, missing_ok=True)
        self.once(lambda family: own_mounts.fill(filler))


def out_fills_up(machine: Machine) -> None:
    machine.out = machine.disk("out", "16m")
    machine.fills_up(machine.out)


def temporary_fills_up(machine: Machine) -> None:
    machine.place = machine.disk("t", "32m")
    machine.fills_up(machine.place)


def everything_fills_up(machine: Machine) -> None:
    disk = machine.disk("d", "48m")
    machine.out, machine.place, machine.cache = disk / "out", disk, disk / "cache"
    machine.fills_up(disk)


def shared_memory_fills_up(machine: Machine) -> None:
    machine.mount(SHARED_MEMORY, "1g")
    machine.fills_up(SHARED_MEMORY)


def shared_memory_of(size: str, *options: str) -> Callable[[Machine], None]:
    return lambda machine: machine.mount(SHARED_MEMORY, size, *options)


def small_temporary(machine: Machine) -> None:
    machine.place = machine.disk("t", "2m")


def closed_out(machine: Machine) -> None:
    machine.close(machine.out)


def no_room(machine: Machine) -> None:
    machine.out = machine.disk("out", "1m")
    machine.mended.callback(own_mounts.resize, machine.out, "64m")


def closed_cache(machine: Machine) -> None:
    machine.cache = machine.folder / "cache"
    machine.close(machine.cache)


def full_cache(machine: Machine) -> None:
    machine.cache = machine.disk("cache", "64k")


def no_home(machine: Machine) -> None:
    for file in (Path("/etc/passwd"), Path("/etc/nsswitch.conf")):  # who else knows users
        own_mounts.mount_over(file, Path("/dev/null"))
        machine.mended.callback(own_mounts.unmount, file)
    machine.variables |= dict.fromkeys(("HOME", "XDG_CACHE_HOME", "RAYKD_CACHE", "USER", "LOGNAME"))


def own_tmp(machine: Machine) -> Path:
    """A ``/tmp`` with an empty ``ray`` in it, which the sweep uses as it is usual."""
    tmp = Path("/tmp")
    machine.mount(tmp, "50%")
    machine.variables |= {"TMPDIR": None, "RAY_TMPDIR": None}
    machine.clean = (tmp,)
    (tmp / "ray").mkdir()
    return tmp / "ray"


def ray_of_another(machine: Machine) -> None:
    os.chown(own_tmp(machine), OTHER_USER, OTHER_USER)
    machine.prefix = NO_CAPABILITIES


def closed_ray(machine: Machine) -> None:
    machine.close(own_tmp(machine))


def closed_ray_tmpdir(machine: Machine) -> None:
    closed = machine.folder / "closed"
    machine.close(closed)
    machine.variables["RAY_TMPDIR"] = str(closed)
    machine.mended.callback(machine.variables.pop, "RAY_TMPDIR")


def no_temporary(machine: Machine) -> None:
    closed = machine.folder / "closed"
    for path in (closed, Path("/tmp"), Path("/var/tmp")):
        machine.close(path)
    machine.where = closed
    machine.variables |= {"TMPDIR": None, "RAY_TMPDIR": None, "PYTHONPATH": os.getcwd()}
    machine.mended.callback(machine.variables.clear)
    machine.mended.callback(setattr, machine, "where", None)


def no_node(machine: Machine) -> None:
    machine.resources = machine.chance.choice((
        {"cpus_per_worker": 4096}, {"gpus_per_worker": 64}, {"workers": 4096},
        {"labels": {"zone": "nowhere"}},
    ))  # fmt: skip
    machine.mended.callback(setattr, machine, "resources", {})


def taken_ports(machine: Machine) -> None:
    """Listen on every port that Ray may think of, and on a third of those that the system gives.

    On the loopback address alone, where the processes of a local sweep listen: who listens on all
    addresses would lack the port, too, and no other machine can connect to these here.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first, last = map(int, file.read().split())
    wanted = {*RAY_PORTS, *range(first, last + 1, PORTS_STEP)}
    _allow_files(machine, len(wanted))
    listeners = [listener for port in sorted(wanted) if (listener := _listen(port)) is not None]
    for listener in listeners:
        machine.mended.enter_context(contextlib.closing(listener))
    machine.happened = len(listeners) > MOST_OF * len(wanted)


def _listen(port: int) -> socket.socket | None:
    """Listen on a port, unless somebody else has it."""
    listener = socket.socket()
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(1)
    except OSError as exc:
        listener.close()
        if exc.errno != errno.EADDRINUSE:
            raise
        return None
    return listener


def _allow_files(machine: Machine, count: int) -> None:
    """Let this process open so many files more, and the sweep as many as before."""
    soft, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + soft
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    machine.mended.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
    machine.prefix = ("sh", "-c", f'ulimit -S -n {soft}; exec "$@"', "sh")


def stands_still(machine: Machine) -> None:
    machine.once(lambda family: stop(family, STILL_S))


def slow(machine: Machine) -> None:
    """A fifth of the speed."""
    machine.watch, machine.look_s = lambda family, events: stop(family, SLOW_STOPS_S), SLOW_RUNS_S


def stop(family: Family, seconds: float) -> None:
    """Stop all processes for some time."""
    with _stopped(family):
        time.sleep(seconds)


@contextlib.contextmanager
def _stopped(family: Family) -> Iterator[None]:
    try:
        _send(family, signal.SIGSTOP)
        yield
    finally:
        _send(family, signal.SIGCONT)


def _send(family: Family, number: signal.Signals) -> None:
    for process in family.alive():
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def hung_start(machine: Machine) -> None:
    """The first GCS that is started does nothing for ever."""
    machine.happened = False

    def watch(family: Family, events: int) -> None:
        if not machine.happened and (found := family.named("gcs_server")):
            machine.happened = True
            found[0].suspend()

    machine.watch, machine.look_s = watch, 0.02


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of machine, and what has to become of a sweep there.

    Attributes:
        make: Makes it.
        needs: What only some processes are able to do (`own_mounts`).
        codes: What the sweep may end with.
        says: Expressions for what it has to say where it does not run to its end, in lower case.
        notes: The same where it does.
        resumes: Whether what was begun is resumed once the cause is gone; else the command is given
            once more.
    """

    make: Callable[[Machine], None]
    needs: tuple[str, ...] = (MOUNTS,)
    codes: tuple[int, ...] = (0,)
    says: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    resumes: bool = True


FULL = ("no space left on device", "--resume|raykd report run")
"""The cause, and the next step: of a sweep that lacks the report alone, that is written later."""

MACHINES: dict[str, Kind] = {
    "/dev/shm of 64 MB": Kind(make=shared_memory_of("64m")),
    "/dev/shm of 4 MB": Kind(make=shared_memory_of("4m")),
    "/dev/shm read-only": Kind(make=shared_memory_of("1m", "ro")),
    "/dev/shm fills up": Kind(make=shared_memory_fills_up),
    "temporary files: 2 MB": Kind(make=small_temporary),
    "temporary files: disk fills up": Kind(make=temporary_fills_up),
    "run folders: read-only": Kind(
        make=closed_out, codes=(4,), says=("read-only", "--out"), resumes=False
    ),
    "run folders: no room": Kind(make=no_room, codes=(4,), says=("free", "--out"), resumes=False),
    "run folders: disk fills up": Kind(make=out_fills_up, codes=(0, 4), says=FULL),
    "everything: disk fills up": Kind(make=everything_fills_up, codes=(0, 4), says=FULL),
    "cache read-only": Kind(make=closed_cache, notes=("cannot be written", "not kept")),
    "cache full": Kind(make=full_cache, notes=("not kept",)),
    "no HOME, unknown user": Kind(make=no_home, notes=("not kept",)),
    "/tmp/ray of another user": Kind(make=ray_of_another, needs=(MOUNTS, ROOT, TMP)),
    "/tmp/ray read-only": Kind(make=closed_ray, needs=(MOUNTS, TMP)),
    "RAY_TMPDIR read-only": Kind(make=closed_ray_tmpdir, codes=(4,), says=("ray_tmpdir",)),
    "temporary files: nowhere": Kind(
        make=no_temporary, needs=(MOUNTS, TMP), codes=(4,), says=("tmpdir",), resumes=False
    ),
    "ports taken": Kind(make=taken_ports, needs=()),
    "no node is large enough": Kind(
        make=no_node, needs=(), codes=(2,), says=("resources.",), resumes=False
    ),
    "the first start of Ray hangs": Kind(make=hung_start, needs=()),
    f"stands still for {STILL_S:.0f} s": Kind(make=stands_still, needs=()),
    "a fifth of the speed": Kind(make=slow, needs=()),
}  # fmt: skip
"""By name."""
