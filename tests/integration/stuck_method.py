"""A method that does not come back: it loops, sleeps or ends its process."""

import os
import sys
import time
from dataclasses import dataclass

from raykd import LossTerms, Method, OutputSpec, param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """What it does."""

    how: str = param("loop", choices=("loop", "sleep", "exit", "interrupt", "die"), help="What.")
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
        return LossTerms(task=student.task_loss)


METHOD = Stuck
