"""Sweeps as they are written without raykd; the baselines of `naive_sweep`.

Both distil with soft targets, load the fine-tuned teacher with the library's own classes, run it in
every step, use PyTorch's default AdamW in float32, shuffle without regard to length, and train the
same students from the same beginnings with the same coefficients and seeds as raykd did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding

from raykd.data.base import TokenizedDataset
from raykd.models.tokenizers import load_tokenizer
from raykd.teachers.prepared_task import PreparedTask
from raykd.training.device import choose_device
from tests.benchmarks._prepared import handed_over

FIXED_LENGTH = 128

Teacher = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Gives logits for the inputs of a batch and the numbers of its rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What a baseline repeats.

    Attributes:
        teacher: Folder of the fine-tuned teacher.
        task: File of the prepared task, for the rows and the student's beginning.
        epochs: Passes.
        batch_size: Rows per step.
        trials: ``alpha``, ``temperature``, ``lr`` and ``seed`` of every trial.
        at_once: Nested trials at a time; on a GPU each has its part of it.
    """

    teacher: str
    task: str
    epochs: int
    batch_size: int
    trials: Sequence[Mapping[str, float]]
    at_once: int = 2

    def prepared(self) -> PreparedTask:
        """Rows and the student's beginning."""
        return handed_over(self.task)


def one_process(job: Job, report: Callable[[float, float], None]) -> None:
    """Baseline B: one process, all cores as threads, the teacher loaded once, dynamic padding.

    `report` gets the seconds and the accuracy of every trial.
    """
    prepared = job.prepared()
    teacher = online(job)
    for trial in job.trials:
        began = time.monotonic()
        accuracy = train_one(job, prepared, teacher, trial, fixed_length=None)
        report(time.monotonic() - began, accuracy)


def nested_trainers(job: Job, folder: Path, report: Callable[[float, float], None]) -> None:
    """Baseline A: a nested `TorchTrainer` in each Ray Tune trial, some at a time, fixed padding."""
    from ray import train, tune
    from ray.train.torch import TorchTrainer

    on_gpu = torch.cuda.is_available()

    def loop(settings: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        accuracy = train_one(
            job, job.prepared(), online(job), settings["trial"], fixed_length=FIXED_LENGTH
        )
        (folder / f"{settings['trial']['seed']}.txt").write_text(str(accuracy))
        train.report({"accuracy": accuracy})

    def trial(config: dict[str, Any]) -> None:
        began = time.monotonic()
        TorchTrainer(
            loop,
            train_loop_config=config,
            scaling_config=train.ScalingConfig(
                num_workers=1,
                use_gpu=on_gpu,
                resources_per_worker={"CPU": 1, **({"GPU": 1 / job.at_once} if on_gpu else {})},
            ),
            run_config=train.RunConfig(storage_path=str(folder / "train")),
        ).fit()
        actual = float((folder / f"{config['trial']['seed']}.txt").read_text())
        tune.report({"accuracy": actual, "seconds": time.monotonic() - began})

    folder.mkdir(parents=True, exist_ok=True)
    results = tune.Tuner(
        # Next to nothing, and no CPU: the workers need them.
        tune.with_resources(trial, tune.PlacementGroupFactory([{"node:__internal_head__": 0.001}])),
        param_space={"trial": tune.grid_search([dict(t) for t in job.trials])},
        tune_config=tune.TuneConfig(max_concurrent_trials=job.at_once),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
    ).fit()
    for result in results:
        assert result.metrics is not None
        # Several run at a time: a trial costs its seconds divided by how many.
        report(result.metrics["seconds"] / job.at_once, result.metrics["accuracy"])


def online(job: Job) -> Teacher:
    """The teacher, loaded and run for every batch."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(job.teacher).eval()
    model.to(choose_device())

    def logits(batch: Mapping[str, Tensor], index: Tensor) -> Tensor:
        with torch.no_grad():
            return cast(Tensor, model(**batch).logits)

    return logits


def served(prepared: PreparedTask) -> Teacher:
    """The teacher's recorded logits, looked up by row."""
    assert prepared.cached_outputs is not None
    every = torch.from_numpy(prepared.cached_outputs.all_logits())
    return lambda batch, index: every[index.cpu()].to(index.device)


def train_one(
    job: Job,
    prepared: PreparedTask,
    teacher: Teacher,
    trial: Mapping[str, float],
    *,
    fixed_length: int | None,
) -> float:
    """Train one student; its accuracy on the validation split."""
    seed = int(trial["seed"])
    torch.manual_seed(seed)
    model: Any = prepared.student.build(seed).train().to(choose_device())
    adamw = torch.optim.AdamW(model.parameters(), trial["lr"])
    train = _rows(prepared.splits["train"])
    pad = _padding(job, fixed_length)
    loader: Any = DataLoader(
        train,
        batch_size=job.batch_size,
        shuffle=True,
        collate_fn=pad,  # type: ignore[arg-type]
    )
    total = job.epochs * len(loader)
    warmup = max(1, int(0.1 * total))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        adamw, lambda step: min((step + 1) / warmup, (total - step) / max(1, total - warmup))
    )
    heat, alpha = trial["temperature"], trial["alpha"]
    for _ in range(job.epochs):
        for batch in loader:
            batch.to(model.device)
            labels, index = batch.pop("labels"), batch.pop("index")
            target = teacher(batch, index)
            logits = model(**batch).logits
            soft = F.cross_entropy(logits / heat, (target / heat).softmax(-1))
            loss = alpha * soft + (1 - alpha) * F.cross_entropy(logits, labels)
            adamw.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adamw.step()
            schedule.step()
        accuracy = _accuracy(model, _rows(prepared.splits["validation"]), pad)
    return accuracy


def _accuracy(model: Any, rows: list[dict[str, Any]], pad: Any) -> float:
    model.eval()
    hits = []
    loader: Any = DataLoader(rows, batch_size=128, collate_fn=pad)  # type: ignore[arg-type]
    with torch.no_grad():
        for batch in loader:
            batch.to(model.device)
            labels, _ = batch.pop("labels"), batch.pop("index")
            hits.append((model(**batch).logits.argmax(-1) == labels).cpu().numpy())
    model.train()
    return float(np.concatenate(hits).mean())


def _padding(job: Job, fixed_length: int | None) -> Any:
    tokenizer = load_tokenizer(job.teacher)
    if fixed_length is None:
        return DataCollatorWithPadding(tokenizer)
    return DataCollatorWithPadding(tokenizer, padding="max_length", max_length=fixed_length)


def _rows(encoded: TokenizedDataset) -> list[dict[str, Any]]:
    actual = []
    for i in range(len(encoded)):
        span = slice(encoded.offsets[i], encoded.offsets[i + 1])
        actual.append(
            {
                "input_ids": encoded.input_ids[span].tolist(),
                "token_type_ids": encoded.token_type_ids[span].tolist(),
                "label": int(encoded.labels[i]),
                "index": i,
            }
        )
    return actual
