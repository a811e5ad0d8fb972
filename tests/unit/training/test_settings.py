"""Every setting of training changes what it says, seen from outside of the loop.

The same loop fine-tunes teachers, so `teacher.finetune` has these settings, too.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from raykd.errors import SetupError
from raykd.models.base import Outputs
from raykd.spec.model_section import finetune_infos
from raykd.training import model_options, optim
from raykd.training.device import has_bf16
from raykd.training.loop import TrainResult, train_model
from raykd.training.settings import TrainSettings
from tests.unit.training.toys import COLLATOR, CPU, Plain, bert, encoded, job

ROWS, VALIDATION_ROWS = 20, 11
CHECKED = {
    "epochs", "batch_size", "micro_batch", "sharding", "gradient_checkpointing", "attention",
    "compile", "optimizer", "lr", "warmup_ratio", "schedule", "weight_decay", "adam_epsilon",
    "max_grad_norm", "precision", "dropout", "length_grouping", "packing", "evals_per_epoch",
    "eval_batch_size",
}  # fmt: skip


class Watched:
    """One training with everything that can be seen of it."""

    def __init__(self, monkeypatch, **changes):
        self.batches: list[list[int]] = []
        self.read: list[int] = []
        self.steps: list[dict[str, float]] = []
        self.norms: list[float] = []
        self.autocast: list[bool] = []
        step = torch.optim.AdamW.step

        def stepping(adamw):
            groups = {len(g["params"]) and g["params"][0].ndim >= 2: g for g in adamw.param_groups}
            self.steps.append({
                "lr": adamw.param_groups[0]["lr"],
                "eps": adamw.param_groups[0]["eps"],
                "decay of matrices": groups[True]["weight_decay"],
                "decay of vectors": groups[False]["weight_decay"],
                "scale": float(getattr(adamw, "grad_scale", None) or 1.0),
            })  # fmt: skip
            every = [p.grad.flatten() for g in adamw.param_groups for p in g["params"]]
            self.norms.append(torch.cat(every).norm().item())
            return step(adamw)

        def collate(rows, numbers):
            batch = COLLATOR(rows, numbers)
            self.read.append(len(numbers))
            return batch

        def teacher(batch):
            self.batches.append(batch.index.tolist())
            self.autocast.append(torch.is_autocast_enabled("cpu"))
            return Outputs()

        collate.pad_id = COLLATOR.pad_id
        monkeypatch.setattr(optim.torch.optim.AdamW, "step", stepping)
        given = {"rows": ROWS, "validation": encoded(VALIDATION_ROWS, seed=9), "method": Plain,
                 "batch_size": 8, "epochs": 2, "precision": "fp32", "dropout": 0.0}  # fmt: skip
        scale = changes.pop("scale", 1.0)
        made = job(**(given | changes), scale=scale)
        self.job = dataclasses.replace(made, collator=collate, teacher=teacher)
        self.before = {n: p.detach().clone() for n, p in made.model.named_parameters()}
        self.result: TrainResult = train_model(self.job)

    def column(self, name):
        return [step[name] for step in self.steps]


def test_every_setting_is_checked_here():
    names = {field.name for field in dataclasses.fields(TrainSettings)}
    assert names == CHECKED
    assert set(finetune_infos()) == CHECKED | {"rows", "seed", "explain", "search", "seeds"}


def test_sharding_over_one_rank_changes_nothing(monkeypatch):
    """Over several: `tests.contracts.test_sharding`."""
    norms = []
    for sharding in ("none", "full"):
        with monkeypatch.context() as patch:
            norms.append(Watched(patch, sharding=sharding).norms)
    assert norms[0] == norms[1]


def test_epochs_are_passes_over_all_rows(monkeypatch):
    for epochs in (1, 3):
        seen = Watched(monkeypatch, epochs=epochs)
        assert seen.result.history[-1].epoch == epochs
        counted = np.bincount(np.concatenate(seen.batches), minlength=ROWS)
        assert counted.tolist() == [epochs] * ROWS


@pytest.mark.parametrize(("size", "steps"), [(1, 20), (8, 3), (20, 1), (64, 1)])
def test_a_step_takes_so_many_rows(monkeypatch, size, steps):
    seen = Watched(monkeypatch, batch_size=size, epochs=1)
    assert seen.result.steps == len(seen.steps) == steps
    assert max(len(rows) for rows in seen.batches) == min(size, ROWS)


@pytest.mark.parametrize(("size", "most"), [("auto", 8), (8, 8), (3, 3), (1, 1)])
def test_a_pass_takes_so_many_rows_and_a_step_as_many_as_before(monkeypatch, size, most):
    with monkeypatch.context() as patch:
        whole = Watched(patch, epochs=1)
    seen = Watched(monkeypatch, epochs=1, micro_batch=size)
    passes = iter(seen.batches)
    for rows in whole.batches:
        own = [next(passes) for _ in range(math.ceil(len(rows) / most))]
        assert max(map(len, own)) <= most
        assert sorted(row for part in own for row in part) == sorted(rows)
    assert next(passes, None) is None
    assert seen.norms == pytest.approx(whole.norms, rel=1e-4)
    assert seen.result.history[-1].micro_batch == (0 if most == 8 else most)


def test_blocks_are_computed_again_with_the_same_gradient(monkeypatch):
    runs: dict[bool, int] = {}
    norms: dict[bool, list[float]] = {}
    for again in (False, True):
        model = bert(5, layers=2, dropout=0.2)
        runs[again] = 0

        def count(module, given, again=again):
            runs[again] += module.training

        model.bert.encoder.layer[0].attention.register_forward_pre_hook(count)
        with monkeypatch.context() as patch:
            seen = Watched(patch, model=model, gradient_checkpointing=again, dropout=None)
        norms[again] = seen.norms
    # The same draws of dropout, too.
    assert norms[True] == pytest.approx(norms[False], rel=1e-5)
    assert runs[True] == 2 * runs[False]


@pytest.mark.parametrize(
    ("name", "expected"), [("auto", "cheap_dropout"), ("sdpa", "sdpa"), ("eager", "eager")]
)
def test_attention_is_the_one_that_was_requested(monkeypatch, name, expected):
    model = bert(5)
    with monkeypatch.context() as patch:
        seen = Watched(patch, model=model, attention=name, epochs=1)
    assert model.config._attn_implementation == expected
    assert seen.norms == pytest.approx(Watched(monkeypatch, epochs=1).norms, rel=1e-4)


def test_flash_attention_is_refused_where_there_is_no_gpu(monkeypatch):
    with pytest.raises(SetupError, match="flash_attention_2 runs on GPUs only") as caught:
        Watched(monkeypatch, attention="flash_attention_2")
    assert "sdpa" in caught.value.hint


@pytest.mark.parametrize("name", ["adamw", "adafactor", "sgd", "muon"])
def test_the_optimizer_is_what_moves_the_weights(name):
    made = job(method=Plain, rows=ROWS, batch_size=ROWS, epochs=1, dropout=0.0, weight_decay=0.0,
               precision="fp32", warmup_ratio=0.0, lr=1e-2, max_grad_norm=None,
               optimizer=name)  # fmt: skip
    before = {n: p.detach().clone() for n, p in made.model.named_parameters()}
    gradients = {}
    for n, p in made.model.named_parameters():
        p.register_hook(lambda gradient, n=n: gradients.__setitem__(n, gradient.clone()))
    train_model(made)
    moved = {n: p.detach() - before[n] for n, p in made.model.named_parameters()}
    bias, matrix = "classifier.bias", "bert.encoder.layer.0.intermediate.dense.weight"
    if name == "sgd":
        assert torch.allclose(moved[bias], -1e-2 * gradients[bias], atol=1e-7)
        assert torch.allclose(moved[matrix], -1e-2 * gradients[matrix], atol=1e-7)
        return
    if name == "adafactor":  # by a share of the size of what is moved
        sizes = torch.tensor([before[matrix].square().mean().sqrt(), 1e-3])
        expected = 1e-2 * sizes.max().item()
        assert moved[matrix].square().mean().sqrt().item() == pytest.approx(expected, rel=0.2)
        return
    assert moved[bias].abs().tolist() == pytest.approx([1e-2] * 3, rel=1e-3)
    plain = nn.Parameter(before[matrix].clone())
    plain.grad = gradients[matrix]
    of = {"lr": 1e-2, "weight_decay": 0.0}
    by_itself = (
        torch.optim.Muon([plain], **of, adjust_lr_fn="match_rms_adamw")
        if name == "muon"
        else torch.optim.AdamW([plain], **of)
    )
    by_itself.step()
    assert torch.allclose(moved[matrix], plain.detach() - before[matrix], atol=1e-6)


@pytest.mark.parametrize("name", ["adafactor", "sgd", "muon", "adamw_8bit"])
def test_every_optimizer_decays_clips_and_continues(tmp_path, name):
    settings = {"optimizer": name, "epochs": 3, "weight_decay": 0.5, "lr": 1e-2}

    def trained(**changes):
        made = job(method=Plain, **settings, **changes)
        return made.model, train_model(made)

    model, whole = trained()
    path = tmp_path / "state.safetensors"
    reported = []

    def stop(evaluation):
        reported.append(evaluation)
        if len(reported) == 3:
            raise InterruptedError
        return False

    with pytest.raises(InterruptedError):
        trained(state_path=path, state_every_s=0.0, on_evaluation=stop)
    again, result = trained(state_path=path)
    assert [e.terms for e in result.history] == [e.terms for e in whole.history]
    assert all(torch.equal(again.state_dict()[k], v) for k, v in model.state_dict().items())
    assert not torch.equal(
        trained(max_grad_norm=1e-3)[0].classifier.weight, model.classifier.weight
    )
    # What has no gradient decays as it would with AdamW: tokens that no row has.
    used = {0, *encoded(70).input_ids.tolist(), *encoded(40, seed=9).input_ids.tolist()}
    unused = [k for k in range(60) if k not in used]
    start = bert(5).get_input_embeddings().weight[unused]
    factor = np.prod([1 - 1e-2 * 0.5 * s for s in _linear(whole.steps)])
    actual = model.get_input_embeddings().weight[unused]
    assert torch.allclose(actual, start * factor, rtol=1e-4, atol=1e-7)


def _linear(total, ratio=0.1):
    warm = math.ceil(ratio * total)
    return [(k + 1) / warm if k < warm else (total - k) / (total - warm) for k in range(total)]


@pytest.mark.parametrize("lr", [1e-4, 3e-2])
def test_the_rate_is_what_weights_move_by(monkeypatch, lr):
    """AdamW's first step is the rate in the direction of the gradient's sign, and the decay."""
    seen = Watched(monkeypatch, lr=lr, schedule="constant", warmup_ratio=0.0, epochs=1,
                   batch_size=ROWS, weight_decay=0.0)  # fmt: skip
    assert seen.column("lr") == [lr]
    moved = seen.job.model.classifier.bias.detach() - seen.before["classifier.bias"]
    assert moved.abs().tolist() == pytest.approx([lr] * 3, rel=1e-3)


@pytest.mark.parametrize(
    ("ratio", "schedule", "expected"),
    [
        (0.0, "constant", [1, 1, 1, 1, 1, 1]),
        (0.0, "linear", [1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        (0.5, "linear", [1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3]),
        (0.5, "constant", [1 / 3, 2 / 3, 1, 1, 1, 1]),
        (1.0, "linear", [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1]),
    ],
)
def test_the_rate_rises_over_its_share_of_the_steps_and_falls_as_its_schedule_says(
    monkeypatch, ratio, schedule, expected
):
    seen = Watched(monkeypatch, lr=0.01, warmup_ratio=ratio, schedule=schedule)
    assert seen.column("lr") == pytest.approx([0.01 * share for share in expected])


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_matrices_decay_and_vectors_do_not(monkeypatch, decay):
    validation = encoded(2, seed=9)
    seen = Watched(monkeypatch, weight_decay=decay, lr=1e-2, schedule="constant", rows=4,
                   warmup_ratio=0.0, validation=validation)  # fmt: skip
    assert set(seen.column("decay of matrices")) == {decay}
    assert set(seen.column("decay of vectors")) == {0.0}
    # Tokens that no row has are moved by the decay alone.
    after = seen.job.model.get_input_embeddings().weight.detach()
    before = seen.before["bert.embeddings.word_embeddings.weight"]
    used = {0, *np.concatenate([encoded(4).input_ids, validation.input_ids]).tolist()}
    unused = [k for k in range(len(before)) if k not in used]
    factor = (1 - 1e-2 * decay) ** seen.result.steps
    assert len(unused) > 3
    assert torch.allclose(after[unused], before[unused] * factor, rtol=1e-5)


def test_a_large_epsilon_makes_steps_small(monkeypatch):
    def moved(epsilon):
        seen = Watched(monkeypatch, adam_epsilon=epsilon, weight_decay=0.0)
        assert set(seen.column("eps")) == {epsilon}
        after = seen.job.model.classifier.bias.detach()
        return (after - seen.before["classifier.bias"]).abs().mean().item()

    assert moved(1.0) < 0.2 * moved(1e-8)


def test_gradients_are_clipped_to_their_norm(monkeypatch):
    free = Watched(monkeypatch, max_grad_norm=None, scale=50.0)
    assert set(free.column("scale")) == {1.0}
    assert min(free.norms) > 2.0
    clipped = Watched(monkeypatch, max_grad_norm=2.0, scale=50.0)
    expected = [max(1.0, norm / 2.0) for norm in clipped.norms]
    assert clipped.column("scale") == pytest.approx(expected, rel=1e-4)
    loose = Watched(monkeypatch, max_grad_norm=1e6, scale=50.0)
    assert set(loose.column("scale")) == {1.0}


def test_precision_is_that_of_the_products(monkeypatch):
    dtypes = []

    def keep(module, given, actual):
        dtypes.append(actual.dtype)

    model = bert(5)
    model.bert.encoder.layer[0].intermediate.dense.register_forward_hook(keep)
    Watched(monkeypatch, model=model, precision="fp32")
    assert set(dtypes) == {torch.float32}
    if not has_bf16(CPU):
        with pytest.raises(SetupError, match=r"train\.precision is bf16, but this CPU"):
            Watched(monkeypatch, precision="bf16")
        return
    dtypes.clear()
    Watched(monkeypatch, model=model, precision="bf16")
    assert set(dtypes) == {torch.bfloat16}


def test_dropout_is_that_of_the_training_and_not_of_evaluations(monkeypatch):
    def losses(**changes):
        model = bert(5, dropout=changes.pop("own", 0.1))
        history = Watched(monkeypatch, model=model, lr=1e-12, **changes).result.history
        return history[-1].terms["loss"], history[-1].metrics["accuracy"]

    own, without, strong = losses(dropout=None), losses(dropout=0.0), losses(dropout=0.9)
    assert losses(dropout=0.1)[0] == own[0]
    assert losses(dropout=0.0, own=0.5)[0] == without[0]
    assert len({own[0], without[0], strong[0]}) == 3
    assert own[1] == without[1] == strong[1]


def test_rows_of_similar_length_go_together_or_not(monkeypatch):
    lengths = encoded(400).lengths()

    def padded(grouping):
        seen = Watched(monkeypatch, rows=400, length_grouping=grouping, epochs=1)
        return sum(len(rows) * lengths[rows].max() for rows in seen.batches)

    assert padded(True) < 1.1 * lengths.sum() < 1.3 * lengths.sum() < padded(False)


@pytest.mark.parametrize("count", [1, 3])
def test_there_are_so_many_evaluations_in_an_epoch(monkeypatch, count):
    history = Watched(monkeypatch, evals_per_epoch=count, batch_size=2).result.history
    assert len(history) == 2 * count
    assert [e.epoch for e in history] == [pytest.approx((k + 1) / count, abs=0.1)
                                          for k in range(2 * count)]  # fmt: skip


@pytest.mark.parametrize("size", [1, 4, 128])
def test_an_evaluation_takes_so_many_rows_at_once(monkeypatch, size):
    seen = Watched(monkeypatch, eval_batch_size=size, epochs=1)
    of_training = [len(rows) for rows in seen.batches]
    of_evaluation = seen.read[len(of_training) :]
    assert sum(of_evaluation) == VALIDATION_ROWS
    assert len(of_evaluation) == math.ceil(VALIDATION_ROWS / size)


def test_auto_packs_where_rows_are_not_grouped_by_length():
    """What packing changes is in tests/contracts/test_packing.py."""
    packs = {
        (packing, grouped): TrainSettings(packing=packing, length_grouping=grouped).packs
        for packing in ("auto", True, False) for grouped in (True, False)
    }  # fmt: skip
    assert {of for of, does in packs.items() if does} == {
        ("auto", False), (True, False), (True, True),
    }  # fmt: skip


@pytest.mark.parametrize(("value", "count"), [("auto", 0), (False, 0), (True, 1)])
def test_blocks_are_compiled_where_the_file_says_so(monkeypatch, value, count):
    """What compiled blocks compute is in tests/unit/models/test_compiled.py."""
    compiled = []
    monkeypatch.setattr(model_options, "compile_blocks", compiled.append)
    train_model(job(method=Plain, epochs=1, compile=value))
    assert len(compiled) == count
