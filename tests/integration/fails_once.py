"""A method whose second training of all fails, as one does that meets a bad node."""

from dataclasses import dataclass
from pathlib import Path

from raykd import LossTerms, Method, OutputSpec, param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Where it counts."""

    counted: str = param("", help="A file with a letter for every training so far.")


class FailsOnce(Method[Params]):
    """The task loss."""

    title = "task loss, once not"
    reference = "https://example.org"
    requires = OutputSpec()

    def at_epoch(self, epoch, epochs):
        file = Path(self.params.counted)
        before = file.read_text() if file.exists() else ""
        file.write_text(before + "x")
        if before == "x":
            raise RuntimeError("a bad node")

    def loss(self, batch, student, teacher):
        return LossTerms(task=student.task_loss)


METHOD = FailsOnce
