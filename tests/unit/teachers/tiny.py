"""A generated task of a few rows with models of a few weights, ready to be prepared."""

from __future__ import annotations

import functools
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raykd import registry
from raykd.data.base import DataSettings, Examples, Task
from raykd.methods.base import OutputSpec
from raykd.models import weights
from raykd.models.base import RandomInitConfig
from raykd.models.model_factory import ModelFactory, factory_from_random_init
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.models.tokenizers import save_tokenizer, train_tokenizer
from raykd.teachers.cache_keys import CacheKeys, cache_keys_of
from raykd.teachers.cache_lookup import CacheLookup
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.prepare import make, prepare
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.teacher_cache import finish_task, open_cache, with_known_parts, with_values
from raykd.training.device import DistributedContext
from raykd.training.settings import TrainSettings

TASK = "toy/sentiment"
WORLD = DistributedContext(device=torch.device("cpu"))


def output_spec(layers=(0, 2), context_padding=2):
    """What methods on some layers read."""
    return OutputSpec(Logits(), *hidden_states(layers), context_padding=context_padding)


OUTPUT_SPEC = output_spec()
ROWS = {"finetune": 48, "train": 32, "validation": 20, "test": 24}
LENGTH = 32


def factory(vocabulary: int, *, layers: int, hidden: int) -> ModelFactory:
    task: Task = registry.load("tasks", TASK)
    random_init = RandomInitConfig(
        family="bert", layers=layers, hidden=hidden, heads=2, max_positions=LENGTH
    )
    return factory_from_random_init(
        random_init, vocabulary=vocabulary, kind=task.kind, num_labels=task.num_labels
    )


def pretrained(model: ModelFactory, seed: int = 7) -> ModelFactory:
    """The same model, beginning with given weights."""
    return replace(model, state=weights.capture(model.build(seed)), random_init=None)


@functools.cache
def rows() -> dict[str, Examples]:
    task: Task = registry.load("tasks", TASK)
    settings = DataSettings(limit=max(ROWS.values()))
    where = {"finetune": "train", "train": "train", "validation": "validation", "test": "test"}
    return {
        role: task.load(split, settings).take(np.arange(ROWS[role]))
        for role, split in where.items()
    }


@functools.cache
def words(size: int = 300) -> Any:
    """The tokenizer of both models."""
    return train_tokenizer(list(rows()["finetune"].texts[0]), size)


@functools.cache
def given() -> TaskInputs:
    """What every test begins with: a teacher 2x16 that is fine-tuned, a student 1x8."""
    task: Task = registry.load("tasks", TASK)
    tokenizer = words()
    encoded = {role: task.encode(part, tokenizer, LENGTH) for role, part in rows().items()}
    return TaskInputs(
        task=registry.load("tasks", TASK),
        teacher_splits=encoded,
        student_splits={role: encoded[role] for role in ("train", "validation", "test")},
        teacher=factory(len(tokenizer), layers=2, hidden=16),
        teacher_pad=tokenizer.pad_token_id,
        finetune=TrainSettings(epochs=1, lr=1e-3, batch_size=16, precision="fp32"),
        finetune_seed=3,
        student=factory(len(tokenizer), layers=1, hidden=8),
        student_pad=tokenizer.pad_token_id,
        same_tokens=True,
        vocabulary=len(tokenizer),
        max_length=LENGTH,
        output_spec=OUTPUT_SPEC,
        teacher_analyses=(),
        mode="outputs",
        dtype="fp32",
        precision="fp32",
        fingerprint="f00d",
    )


def inputs(**changes: object) -> TaskInputs:
    return replace(given(), **changes)


def prepared(**changes: object) -> tuple[PreparedTask, weights.ModelState]:
    made = prepare(inputs(**changes), WORLD, lambda *progress: None)
    assert made is not None
    return made


@functools.cache
def ready() -> tuple[PreparedTask, weights.ModelState]:
    """The task prepared once; for tests that only read it."""
    return prepared()


@dataclass(frozen=True)
class Through:
    """What came of a preparation with a cache: what was there, what was made, what trials get."""

    lookup: CacheLookup
    made: PreparedParts | None
    prepared: PreparedTask
    keys: CacheKeys
    entry: Path


def through(folder: Path, of: TaskInputs, tokenizer: Any = None) -> Through:
    """Take from a cache what is there, make the rest and keep it."""
    tokenizer = tokenizer or words()
    cache, why = open_cache(folder)
    assert not why
    keys = cache_keys_of(of, tokenizer)
    lookup, made = cache.look_up(of, keys), None
    if lookup.missing:
        assert cache.claim(keys)
        made = make(with_known_parts(of, lookup), WORLD, lambda *progress: None)
        assert made is not None
        cache.store(of, keys, lookup, made, lambda where: save_tokenizer(tokenizer, where))
    bare, blocks = finish_task(of, lookup, made)
    whole = with_values(bare, made, blocks)
    cache.close()
    return Through(lookup, made, whole, keys, folder / keys.teacher)


@functools.cache
def _filled() -> tuple[tempfile.TemporaryDirectory[str], Through]:
    place = tempfile.TemporaryDirectory()
    return place, through(Path(place.name), given())


def kept(folder: Path) -> Through:
    """A cache that holds what is made of `given`, which is made once for all tests."""
    place, done = _filled()
    shutil.copytree(place.name, folder, dirs_exist_ok=True)
    return replace(done, entry=folder / done.keys.teacher)
