from __future__ import annotations

from raykd.methods.base import OutputSpec
from raykd.methods.none import METHOD, Params
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups


def test_the_task_loss_is_all_there_is():
    of = setups.context()
    method = METHOD(Params(), of)
    student = setups.Side(of, of.student, seed=0).outputs(OutputSpec(Logits()), task_loss=True)
    terms = method.loss(setups.batch(), student, Outputs())
    assert dict(terms) == {"task": student.task_loss}
    assert not method.teacher_outputs()
