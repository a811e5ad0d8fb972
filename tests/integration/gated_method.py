"""A method whose trials wait in the middle of training while a file exists."""

import time
from dataclasses import dataclass
from pathlib import Path

from raykd import LossTerms, Method, OutputSpec, param
from raykd.models.signals.logits import Logits

LONGEST_S = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """What it waits for."""

    gate: str = param("", help="The file.")
    pull: float = param(1.0, low=0.0, help="Weight of the distance to the teacher.")


class Gated(Method[Params]):
    """Task loss plus distance of logits; waiting takes no CPU, however long others need."""

    title = "gated"
    reference = "https://example.org"
    requires = OutputSpec(Logits())

    def loss(self, batch, student, teacher):
        until = time.monotonic() + LONGEST_S
        while Path(self.params.gate).exists() and time.monotonic() < until:
            time.sleep(0.05)
        distance = (student.logits.float() - teacher.logits).square().mean()
        return LossTerms(task=student.task_loss, pull=self.params.pull * distance)


METHOD = Gated
