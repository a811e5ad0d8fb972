"""Faults of methods and training that were once there, each with its right outcome."""

from __future__ import annotations

import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from raykd.data.base import EXPLAIN, PREDICT
from raykd.losses.terms import LossTerms, Mean
from raykd.models.base import RandomInitConfig
from raykd.models.dropout import set_dropout
from raykd.models.load import build_model, model_dims
from raykd.teachers.finetune import finetune
from raykd.training.batches import train_shard
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from raykd.training.settings import TrainSettings
from raykd.training.terms import LossTracker, shares, step_of, totals
from tests.ranks import on_ranks
from tests.small_pairs import PAD, SmallPair
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import Model

ALONE = DistributedContext(0, 1, torch.device("cpu"))


def minimised(method, batches):
    """Steps of a method on some batches, and what is logged of them."""
    student, teacher, loss_tracker = Model(1), Model(2, trained=False), LossTracker(ALONE)
    number = 0
    for number, batch in enumerate(batches, 1):
        terms = text_setups.one_step(method, batch, student, teacher)
        step = step_of(terms, 1, takes_part=True, device=torch.device("cpu"))
        values = torch.stack([t.float() for t in (*terms.values(), *terms.metrics.values())])
        loss_tracker.add(step, totals(step, ALONE), values.detach(), number)
    return loss_tracker.means(number)


def test_gkd_mixes_steps_that_have_a_likelihood_with_steps_that_have_none():
    from raykd.methods.gkd import METHOD, Params

    torch.manual_seed(0)
    method = METHOD(Params(lmbda=0.5, kd_ratio=0.5), setups.context("causal_lm"))
    actual = minimised(method, [text_setups.batch([2, 3])] * 19)
    assert set(actual) == {"loss", "task", "distil"}
    # Steps on given responses have both; the likelihood is the mean over them alone.
    given = minimised(METHOD(Params(lmbda=0.0, kd_ratio=0.5), method.context),
                      [text_setups.batch([2, 3])])  # fmt: skip
    assert actual["task"] == pytest.approx(given["task"], rel=1e-5)
    assert actual["loss"] < actual["task"] + actual["distil"]


def test_step_by_step_meets_a_batch_without_rationales():
    from raykd.methods.step_by_step import METHOD, Params

    method = METHOD(Params(alpha=0.5), setups.context("causal_lm"))
    batches = [
        text_setups.batch([2, 1], views={EXPLAIN: text_setups.batch(rationales, seed=1)})
        for rationales in ([3, 2], [0, 0], [4, 0])
    ]
    actual = minimised(method, batches)
    some = minimised(method, [batches[0], batches[2]])
    assert actual["rationale"] == pytest.approx(some["rationale"], rel=1e-5)
    assert actual["loss"] == pytest.approx(actual["label"] + 2 / 3 * actual["rationale"], rel=1e-5)


def test_a_teacher_learns_to_explain_from_rows_of_which_most_have_no_rationale():
    pair = SmallPair.of("causal_lm")
    read = pair.rows.views[PREDICT]
    rows = dataclasses.replace(read, views=pair.rows.views)
    inputs = SimpleNamespace(
        task=dataclasses.replace(pair.task, metric="log_likelihood"),
        finetune=TrainSettings(epochs=1, batch_size=2, lr=1e-3, precision="fp32"), explain=0.4,
        teacher=SimpleNamespace(dims=model_dims(pair.teacher)), teacher_pad=PAD, max_length=24,
        teacher_splits={"finetune": rows, "validation": rows}, finetune_seed=1,
    )  # fmt: skip
    model = pair.teacher.train().requires_grad_(True)
    [last] = finetune(model, inputs, ALONE, lambda *progress: None)
    assert last.terms["label"] > 0
    assert last.terms["rationale"] > 0


@pytest.mark.parametrize("lengths", [[1, 9], [9, 1], [3, 0], [0, 3, 7], [2, 2, 2, 9]])
@pytest.mark.parametrize("size", [2, 3])
def test_a_mean_over_tokens_has_one_gradient_on_any_number_of_ranks(lengths, size):
    """Rows of 1 and 9 tokens: each token is a tenth of the loss, not a half of its rank's."""
    weight = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    labels = [torch.full((n,), row % 6) for row, n in enumerate(lengths)]
    every = torch.cat(labels)
    (expected,) = torch.autograd.grad(F.cross_entropy(weight.expand(len(every), 6), every), weight)

    def run(world: DistributedContext):
        rows = np.arange(len(lengths))
        own = torch.cat([labels[row] for row in train_shard(rows, world.rank, world.size)])
        loss = F.cross_entropy(weight.expand(len(own), 6), own, reduction="sum")
        terms = LossTerms(task=Mean(loss / max(len(own), 1), len(own)))
        takes_part = world.rank < len(rows)
        step = step_of(terms, 1, takes_part=takes_part, device=torch.device("cpu"))
        share = shares(step, totals(step, world), world)[0]
        return torch.autograd.grad(share * terms["task"], weight)[0]

    assert torch.allclose(sum(on_ranks(size, run)) / size, expected, atol=1e-7)


def test_the_loss_that_is_logged_of_sinkd_on_text_is_the_sum():
    pair = SmallPair.of("causal_lm")
    values = {"sinkhorn_scale": 1.0, "alpha": 0.5}
    [last] = train_model(
        pair.job(pair.method("sinkd", **values), pair.student, ALONE, epochs=1)
    ).history
    terms = dict(last.terms)
    assert set(terms) == {"loss", "task", "distil", "sinkhorn"}
    assert terms["sinkhorn"] > 0.1
    assert terms.pop("loss") == pytest.approx(sum(terms.values()), rel=1e-5)


@pytest.mark.parametrize(
    ("family", "kind"),
    [("llama", "causal_lm"), ("qwen2", "causal_lm"), ("gpt2", "causal_lm"),
     ("gpt_neo", "causal_lm"), ("t5", "seq2seq"), ("bert", "classification")],
)  # fmt: skip
def test_dropout_acts_and_can_be_switched_off(family, kind):
    random_init = RandomInitConfig(
        family=family, layers=2, hidden=32, heads=2, max_positions=32, dropout=0.1
    )
    model = build_model(random_init, vocabulary=100, kind=kind, num_labels=2, seed=0).train()
    ids = torch.randint(5, 100, (2, 8), generator=torch.Generator().manual_seed(0))
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    given |= {"decoder_input_ids": ids} if family == "t5" else {}
    set_dropout(model, 0.5)
    assert not torch.equal(model(**given).logits, model(**given).logits)
    set_dropout(model, 0.0)
    assert torch.equal(model(**given).logits, model(**given).logits)


class CutOff(Exception):
    pass


@pytest.mark.parametrize("name", ["kd", "minillm"])
def test_a_training_that_was_cut_off_within_a_rollout_continues_bit_for_bit(name, tmp_path):
    pair = SmallPair.of("causal_lm", dropout=0.1)
    values = {"ppo_epochs": 4, "max_new_tokens": 4} if name == "minillm" else {}

    def run(**changes):
        model = copy.deepcopy(pair.student)
        method = pair.method(name, **values)
        train_model(pair.job(method, model, ALONE, epochs=3, state_every_s=0.0, **changes))
        return model.state_dict()

    def stop(evaluation):
        # Two epochs of three steps: the second rollout of four steps has two of them left.
        if evaluation.epoch == 2:
            raise CutOff
        return False

    path = tmp_path / "state.safetensors"
    whole = run()
    with pytest.raises(CutOff):
        run(state_path=path, on_evaluation=stop)
    assert path.exists()
    resumed = run(state_path=path)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
