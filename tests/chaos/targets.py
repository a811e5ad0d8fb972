"""What is killed, and how."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from dataclasses import dataclass

import psutil

from tests.chaos.family import Family


@dataclass(frozen=True, kw_only=True)
class Target:
    """A kind of kill.

    Attributes:
        words: Part of the command line of the process; empty for the driver.
        number: The signal.
        times: How often it is sent.
        everything: Whether all processes get it.
        continues: Whether the sweep is to continue by itself.
        codes: Exit codes that the driver may have; none where it continues.
        silent: Whether nobody is left who could say how to continue, or clean up.
        sudden: Whether the driver has no time to clean its own folder; who resumes does.
    """

    words: str = ""
    number: signal.Signals = signal.SIGKILL
    times: int = 1
    everything: bool = False
    continues: bool = False
    codes: tuple[int, ...] = ()
    silent: bool = False
    sudden: bool = False

    def strike(self, family: Family, chance: random.Random) -> bool:
        """Send the signal; False where there is no such process yet."""
        if self.everything:
            family.look()
            victims = family.alive()
        else:
            victims = family.named(self.words)[-1:] if self.words else [family.root]
        for process in victims:
            with contextlib.suppress(psutil.Error):
                process.send_signal(self.number)
        for _ in range(self.times - 1):
            time.sleep(chance.uniform(0.2, 1.2))
            with contextlib.suppress(psutil.Error):
                family.root.send_signal(self.number)
        return bool(victims)


TARGETS = {
    "driver": Target(codes=(-9,), sudden=True),
    "all": Target(everything=True, codes=(-9,), silent=True),
    "SIGTERM": Target(number=signal.SIGTERM, codes=(143,)),
    "Ctrl-C": Target(number=signal.SIGINT, codes=(130,)),
    "Ctrl-C twice": Target(number=signal.SIGINT, times=2, codes=(130,), sudden=True),
    "Ctrl-C three times": Target(number=signal.SIGINT, times=3, codes=(130,), sudden=True),
    # Ray in the driver may end the driver before it has said a word of its own.
    "raylet": Target(words="raylet/raylet ", codes=(4, 1)),
    "GCS": Target(words="gcs/gcs_server ", codes=(4, 1)),
    "coordinator": Target(words="ray::CoordinatorState", codes=(4,)),
    "worker": Target(words="ray::RayTrainWorker", continues=True),
    "Tune's trial": Target(words="ray::ImplicitFunc", continues=True),
}
"""By the names that the table has."""
