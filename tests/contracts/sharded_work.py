"""What one process does with whole models, and several with sharded ones.

Ranks are processes here, because blocks gather their weights in the middle of a pass. Starting them
costs most, so that they do everything at once, and tests look at what came of it.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from transformers import AutoModelForSequenceClassification, ElectraConfig

from raykd import registry
from raykd.data.base import KINDS
from raykd.data.collate import Collator
from raykd.models import lora, weights
from raykd.models.generation import GenerationSettings, generate
from raykd.models.inference import inference
from raykd.models.lora import LoraPlan, LoraSizes
from raykd.models.sharding import blocks, is_part, is_sharded, local_part, shard, whole
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.prepare import make, prepare
from raykd.training import student_runner
from raykd.training.device import DistributedContext, in_lockstep
from raykd.training.evaluate import predict
from raykd.training.inference import InferenceSetup
from raykd.training.lead import led
from raykd.training.loop import train_model
from raykd.training.optim import Optimizer
from raykd.training.settings import TrainSettings
from raykd.training.terms import LossTracker
from raykd.trial.run import TrialConfig, TrialOutcome, run_trial
from tests.contracts.test_ranks import NEEDED, UNEVEN, pair_of
from tests.processes import on_processes
from tests.small_pairs import END, LONGEST, PAD, SmallPair
from tests.unit.teachers import tiny

CPU = torch.device("cpu")
ALONE = DistributedContext(0, 1, CPU)
Work = Callable[[DistributedContext, Path], dict[str, Any]]
REFUSED = ("ckd_adaptive",)
"""Subnets are cut out of weights, which no rank has."""
STEPS = ((UNEVEN, 1), (UNEVEN, 2), (np.array([0, 1, 5, 3, 5, 1]), 1), (np.array([3, 0]), 1))
"""Rows of a step, and how many passes it has; the last ones are fewer than ranks."""
EVERY = [
    (kind, name)
    for name in registry.names("methods")
    for kind in KINDS
    if name not in REFUSED and kind in registry.load("methods", name).kinds
]
EXPLAINED = [(kind, name) for kind, name in EVERY if name in ("step_by_step", "minillm_sbs")]
SOME = [
    ("classification", "kd"), ("classification", "minilmv2"), ("masked_lm", "ckd"),
    ("causal_lm", "gkd"), ("seq2seq", "kd"), ("causal_lm", "minillm"),
]  # fmt: skip
PROMPTS = ([7, 8, 9], [11], [5, 6, 30, 31, 32], [12, 13], [*range(5, 5 + LONGEST - 2)], [9, 10])
"""The long one has room for two tokens more; whoever writes another one meanwhile continues."""
LORA = (LoraPlan(targets=("all-linear",), base=""), LoraSizes(rank=2, alpha=4.0, dropout=0.0))


def steps(kind: str, name: str, world: DistributedContext) -> dict[str, Any]:
    """Some steps with a method: the terms, the weights after them, what the optimizer remembers."""
    world = in_lockstep(world) if world.size > 1 else world
    pair, settings = pair_of(kind), {**NEEDED.get(name, {})}
    if kind == "seq2seq" and name.startswith("minillm"):
        settings["teacher_mixed_alpha"] = 0.0
    if name == "gkd":
        settings["lmbda"] = 1.0
    method = pair.method(name, **settings)
    if (extra := method.modules()) is not None:
        extra.double()
    model = copy.deepcopy(pair.student)
    if world.lockstep:
        shard(model, world.device)
    step = pair.step(method, world, model, copy.deepcopy(pair.teacher))
    train = TrainSettings(
        optimizer="sgd", lr=0.1, warmup_ratio=0.0, weight_decay=0.1, max_grad_norm=0.1
    )
    optimizer = Optimizer(step.plan.moved, train, 10, step.plan.norm)
    method.at_epoch(0, 1)
    tracker = LossTracker(world)
    logged = []
    for number, (rows, passes) in enumerate(STEPS):
        at_once = bool(type(method).batch_wide)
        parts = pair.parts(method, rows, world, 1 if at_once else passes)
        actual = step.run(parts, rows)
        tracker.add(actual.terms, actual.totals, actual.values, number + 1)
        logged.append(tracker.means(number + 1))
        optimizer.step(number)
    by_number = step.plan.moments(optimizer.moments(), optimizer.trained)
    moments = {f"{n}.{k}": t for n, own in by_number.items() for k, t in own.items()}
    after = step.plan.weights()
    kept = sum(t.untyped_storage().nbytes() for t in (*after.values(), *moments.values()))
    return {
        "logged": logged, "weights": after, "moments": moments, "kept": world.gather(kept),
    }  # fmt: skip


def outside(world: DistributedContext) -> dict[str, Any]:
    """Adapters of a layer outside of the blocks, merged into a model in parts."""
    config = ElectraConfig(
        vocab_size=40, embedding_size=8, hidden_size=16, num_hidden_layers=2, num_labels=2,
        num_attention_heads=2, intermediate_size=24, max_position_embeddings=24,
    )  # fmt: skip
    torch.manual_seed(4)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    lora.attach(model, *LORA, seed=1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    ids = torch.arange(12).reshape(2, 6) + 5
    want = model(input_ids=ids).logits.detach()
    if world.size > 1:
        shard(model, world.device)
        model(input_ids=ids)  # what is outside the blocks stays gathered
    lora.merge(model)
    return {"want": want, "tensors": weights.capture(model).tensors}


class Nested(nn.Module):
    """A model whose blocks are in lists of a list, and in a list within a block."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.stages = nn.ModuleList(nn.ModuleList(_Block() for _ in range(2)) for _ in range(2))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                values = block(values)
        return values


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            values = values + part(values).tanh()
        return values


def nested(world: DistributedContext) -> dict[str, Any]:
    """What such a model says, and its gradient."""
    model = Nested()
    if world.size > 1:
        shard(model, world.device)
    message = model(torch.linspace(-1, 1, 16).reshape(2, 8))
    message.square().sum().backward()
    gradients = {n: whole(local_part(p.grad), p.grad) for n, p in model.named_parameters()}
    return {"said": message.detach(), "gradients": gradients, "blocks": len(blocks(model))}


class Interrupted(Exception):
    pass


def _raise_at_the_end(evaluation: Any) -> bool:
    if evaluation.epoch == 2:
        raise Interrupted
    return False


def training(
    world: DistributedContext, *, state: Path | None = None, interrupt: bool = False,
    adapted: bool = False, **changes: Any,
) -> dict[str, Any]:  # fmt: skip
    """A training with evaluations: its history, and the student that is saved."""
    pair = SmallPair.of("classification")
    method = pair.method("kd")
    model = copy.deepcopy(pair.student)
    if adapted:
        lora.attach(model, *LORA, seed=1)
    job = pair.job(
        method, model, world, validation=pair.rows, epochs=3, sharding="full", eval_batch_size=4,
        state_path=state, state_every_s=0.0, lr=1e-2, adam_epsilon=1e-4, **changes,
        on_evaluation=_raise_at_the_end if interrupt else lambda _: False,
    )  # fmt: skip
    if interrupt:
        with pytest.raises(Interrupted) if world.rank == 0 else contextlib.nullcontext():
            train_model(job)
        return {}
    result = train_model(job)
    if adapted:
        lora.merge(model)
    setup = InferenceSetup(job.settings, job.collator, job.world)
    message = predict(model, pair.task, pair.rows, setup)
    history = [(e.step, dict(e.metrics), dict(e.terms)) for e in result.history]
    return {
        "history": history, "said": message, "state": weights.capture(model),
        "held": sum(local_part(p).numel() for p in model.parameters()),
        "parts": [is_part(p) for p in model.parameters()],
    }  # fmt: skip


def trial(world: DistributedContext) -> TrialOutcome:
    """A trial that is scored and saved."""
    train = {"epochs": 2, "sharding": "full", "dropout": 0.0, "lr": 1e-3, "adam_epsilon": 1e-4}
    config = TrialConfig(
        trial_id="t", task=tiny.TASK, arm="kd", method="kd", number=0, stage="confirm",
        coefficients={}, train=train, seed=1, score_test=True, row_metric="accuracy",
        costs=("latency_ms",), save_path="there",
    )  # fmt: skip
    prepared, _ = tiny.ready()
    return run_trial(config, prepared, registry.load("tasks", tiny.TASK), world, lambda _: False)


def teacher(world: DistributedContext, precision: str) -> Any:
    """What is recorded of a checkpoint."""
    given = tiny.pretrained(tiny.given().teacher)
    inputs = tiny.inputs(teacher=given, finetune=None, sharded=True, frozen_precision=precision)
    return make(inputs, world, lambda *progress: None)


def beside(world: DistributedContext) -> torch.Tensor:
    """What a checkpoint says that runs next to the student, on every rank."""
    given = tiny.pretrained(tiny.given().teacher)
    inputs = tiny.inputs(teacher=given, finetune=None, mode="weights")
    made = prepare(inputs, ALONE, lambda *progress: None)
    assert made is not None
    opened = open_teacher(dataclasses.replace(made[0], sharded=True), world)
    assert is_sharded(opened._model) == (world.size > 1)
    collate = Collator(made[0].pad_id, max_length=tiny.LENGTH, context_padding=2)
    batch = collate(made[0].splits["train"], np.arange(6))
    return opened.outputs_fn(tiny.OUTPUT_SPEC)(batch).logits


def finetuned(world: DistributedContext) -> Any:
    """A teacher that is fine-tuned in parts, and recorded as a whole."""
    settings = dataclasses.replace(
        tiny.given().finetune, sharding="full", dropout=0.0, adam_epsilon=1e-4
    )
    return make(tiny.inputs(finetune=settings), world, lambda *progress: None)


def written(model: nn.Module, prompts: Any) -> torch.Tensor:
    """Text of different lengths after some prompts."""
    generation = GenerationSettings(max_new_tokens=6, end=END, pad=PAD)
    with inference(model):
        return generate(model, [np.array(p) for p in prompts], generation)


def texts(kind: str, world: DistributedContext) -> dict[str, Any]:
    """What a model writes: each rank something of its own, and then the first one alone."""
    model = copy.deepcopy(pair_of(kind).student)
    if world.size > 1:
        shard(model, world.device)
    # All ranks run the model equally often, also those that have a prompt less.
    turns = [PROMPTS[at : at + world.size] for at in range(0, len(PROMPTS), world.size)]
    own = [written(model, [turn[min(world.rank, len(turn) - 1)]]) for turn in turns]
    every = world.gather(own)
    together = [every[k % world.size][k // world.size] for k in range(len(PROMPTS))]
    first = led(world, lambda: written(model, PROMPTS), model)
    return {"together": together, "first": first}


def everything(world: DistributedContext, folder: Path) -> dict[str, Any]:
    actual: dict[str, Any] = {f"{k}-{n}": steps(k, n, world) for k, n in SOME}
    actual["training"] = training(world)
    actual["again"] = training(world, gradient_checkpointing=True, micro_batch=1)
    actual["adapted"] = training(world, adapted=True)
    actual["resumed"] = training(world, state=folder / "of_others.safetensors")
    actual["trial"] = trial(world)
    training(world, state=folder / "of_several.safetensors", interrupt=True)
    actual["teacher"] = {p: teacher(world, p) for p in ("fp32", "bf16")}
    actual["beside"] = beside(world)
    actual["outside"], actual["nested"] = outside(world), nested(world)
    actual["finetuned"] = finetuned(world)
    actual["texts"] = {kind: texts(kind, world) for kind in ("causal_lm", "seq2seq")}
    return actual


def a_little(world: DistributedContext, folder: Path) -> dict[str, Any]:
    """Of everything: a method, a saved student, a recorded teacher, and texts."""
    return {
        "steps": steps("classification", "kd", world),
        "training": training(world),
        "teacher": teacher(world, "fp32"),
        "texts": texts("causal_lm", world),
    }


def interrupted(world: DistributedContext, folder: Path) -> dict[str, Any]:
    """A training that others continue."""
    return training(world, state=folder / "of_others.safetensors", interrupt=True)


def all_methods(world: DistributedContext, folder: Path) -> dict[str, Any]:
    return {f"{kind}-{name}": steps(kind, name, world) for kind, name in EVERY}


def rationales(world: DistributedContext, folder: Path) -> dict[str, Any]:
    """Of four ranks, one has only rows without any."""
    return {f"{kind}-{name}": steps(kind, name, world) for kind, name in EXPLAINED}


def _rank(rank: int, size: int, folder: str, work: Work) -> None:
    torch.set_num_threads(1)
    student_runner.GenerationSettings = likeliest  # type: ignore[misc, assignment]
    meet = f"file://{folder}/meet{size}"
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=size)
    actual = work(DistributedContext(rank, size, CPU), Path(folder))
    if rank == 0:
        Path(folder, "found").write_bytes(pickle.dumps(actual))
    dist.destroy_process_group()


def of_several(size: int, folder: Path, work: Work) -> dict[str, Any]:
    """What the first of several processes found."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    on_processes(_rank, size, size, str(folder), work)
    actual: dict[str, Any] = pickle.loads(Path(folder, "found").read_bytes())
    return actual


def likeliest(**given: Any) -> GenerationSettings:
    """Draws differ from rank to rank; the likeliest text of a row is the same wherever it is."""
    return GenerationSettings(**{**given, "sample": False})
