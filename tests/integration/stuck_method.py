"""A method that does not come back: it loops, sleeps, ends its process or takes all memory."""

import os
import sys
import time
from dataclasses import dataclass

from raykd import LossTerms, Method, OutputSpec, param

HOW = ("loop", "sleep", "exit", "interrupt", "die", "eat")
_HELD: list[bytes] = []


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """What it does."""

    how: str = param("loop", choices=HOW, help="What.")
    share: float = param(0.5, low=0.0, high=1.0, help="A number to search.")


class Stuck(Method[Params]):
    """Task loss, until it gets stuck."""

    title = "stuck"
    reference = "https://example.org"
    requires = OutputSpec()

    def loss(self, batch, student, teacher):
        how = self.params.how
        while how == "loop":
            pass
        if how == "sleep":
            time.sleep(20)
        elif how == "exit":
            sys.exit(3)
        elif how == "interrupt":
            raise KeyboardInterrupt
        elif how == "die":
            os._exit(7)
        while how == "eat":
            _HELD.append(b"x" * 2**24)
        return LossTerms(task=student.task_loss)


METHOD = Stuck
