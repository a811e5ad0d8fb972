from __future__ import annotations

import dataclasses

import numpy as np
import torch

from raykd.methods.base import OutputSpec
from raykd.methods.seqkd import METHOD, Params
from raykd.models.base import Outputs
from raykd.models.signals.generations import Generations
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.small_pairs import SmallPair, rows_of
from tests.unit.methods import setups

CONTEXT = setups.context("causal_lm")


def test_it_reads_text_of_the_teacher_and_no_distribution():
    method = METHOD(Params(), CONTEXT)
    assert method.teacher_outputs() == OutputSpec(Generations())
    assert method.divergences() == ()
    terms = method.loss(None, Outputs(task_loss=torch.tensor(2.0)), Outputs())
    assert dict(terms) == {"task": torch.tensor(2.0)}


def test_it_serves_any_pair_of_tokenizers():
    """What the teacher writes is split again."""
    other = METHOD(Params(), dataclasses.replace(CONTEXT, same_tokens=False))
    assert (other.refusal(), METHOD(Params(), CONTEXT).refusal()) == ("", "")


def test_it_trains_as_plain_fine_tuning_does_on_the_rows_it_is_given():
    """On the teacher's rows it is `sft` bit for bit; on other rows the student is another."""
    pair = SmallPair.of("causal_lm")
    written = rows_of("causal_lm", 1, seed=40)

    def trained(name, rows):
        model = SmallPair.of("causal_lm").student
        method = pair.method(name)
        alone = DistributedContext(0, 1, torch.device("cpu"))
        train_model(pair.job(method, model, alone, epochs=1, train=rows))
        return {k: v.numpy() for k, v in model.state_dict().items()}

    seqkd, sft = trained("seqkd", written), trained("sft", written)
    plain = trained("sft", pair.rows)
    assert all(np.array_equal(seqkd[k], sft[k]) for k in seqkd)
    assert any(not np.array_equal(seqkd[k], plain[k]) for k in seqkd)
