"""A method that notes in the file ``RAYKD_FIRST_STEP`` when its first training step is computed."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from raykd import LossTerms, Method, OutputSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """There is nothing to set."""


class FirstStep(Method[Params]):
    """Plain training that notes its begin."""

    title = "plain training"
    reference = ""
    requires = OutputSpec()

    def loss(self, batch, student, teacher):
        noted = Path(os.environ["RAYKD_FIRST_STEP"])
        if not noted.exists():
            noted.write_text(str(time.time()))
        return LossTerms(task=student.task_loss)


METHOD = FirstStep
