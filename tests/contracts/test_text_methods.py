"""What holds for every method on text: trained for a few steps on real small models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from raykd import registry
from raykd.data.base import TEXT_KINDS, DataSettings, Examples, TokenizedDataset
from raykd.data.collate import Collator
from raykd.data.tasks.toy_text import TASK
from raykd.methods.base import DistillationContext, Method, OnlineTeacherFn
from raykd.models.base import RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.forward import forward
from raykd.models.load import build_model, model_dims
from raykd.models.signals.logits import Logits
from raykd.params import Scalar, build
from raykd.training.device import DistributedContext
from raykd.training.loop import TrainJob, TrainResult, train_model
from raykd.training.settings import TrainSettings

FAMILIES = {"causal_lm": "gpt2", "seq2seq": "t5"}
METHODS = tuple(
    name
    for name in registry.names("methods")
    if set(TEXT_KINDS) & set(registry.load("methods", name).kinds)
)
ROWS, LENGTH, VOCABULARY = 16, 64, 400
# What a method cannot do with its defaults on one of the kinds, and does with this.
NEEDED: Mapping[tuple[str, str], dict[str, Scalar]] = {
    ("minillm", "seq2seq"): {"teacher_mixed_alpha": 0.0},
    ("minillm_sbs", "seq2seq"): {"teacher_mixed_alpha": 0.0},
}
# Responses of a few tokens, and what the rows of the generated task have something for.
SHORT: Mapping[str, dict[str, Scalar]] = {
    "minillm": {"max_new_tokens": 8, "ppo_epochs": 2},
    "minillm_sbs": {"max_new_tokens": 8, "ppo_epochs": 2},
    "gkd": {"max_new_tokens": 8, "kd_ratio": 0.5},
    "step_by_step": {"kappa_l": 0.5, "kappa_r": 0.5, "teacher_prompt": "same"},
    "sinkd": {"view": "tokens"},
}  # fmt: skip

each_method = pytest.mark.parametrize("name", METHODS)
each_kind = pytest.mark.parametrize("kind", TEXT_KINDS)


class Pair:
    """A teacher and a student with random weights, and rows of a generated task."""

    def __init__(self, kind: str) -> None:
        self.task = TASK["replies"].read_by(kind)
        rows = self.task.load("train", DataSettings())
        self.rows = _explained(rows.take(np.arange(ROWS)))
        texts = [text for column in self.rows.texts for text in column]
        family = registry.load("families", FAMILIES[kind])
        self.tokenizer = train_bpe(texts, VOCABULARY, family.specials)
        encoded = self.task.encode(self.rows, self.tokenizer, LENGTH)
        self.encoded = replace(encoded, views=self.task.views(self.rows, self.tokenizer, LENGTH))
        self.random_init = RandomInitConfig(
            family=FAMILIES[kind], layers=1, hidden=16, heads=2, max_positions=LENGTH, dropout=0.1
        )
        self.kind = kind
        self.teacher = self.model(seed=9).eval().requires_grad_(False)

    def model(self, seed: int = 0) -> nn.Module:
        return build_model(
            self.random_init,
            vocabulary=len(self.tokenizer),
            kind=self.kind,
            num_labels=1,
            seed=seed,
        )

    def method(self, name: str, **values: Scalar) -> Method[Any]:
        sizes = model_dims(self.teacher)
        context = DistillationContext(
            teacher=sizes,
            student=sizes,
            kind=self.kind,
            num_labels=1,
        )
        given = {**SHORT.get(name, {}), **NEEDED.get((name, self.kind), {}), **values}
        made: Method[Any] = registry.load("methods", name)(
            build(registry.params_of("methods", name), given), context
        )
        return made

    def read_by(self, method: Method[Any]) -> TokenizedDataset:
        return self.encoded.views[method.view] if method.view else self.encoded

    def fit(self, method: Method[Any], model: nn.Module, lr: float = 1e-3) -> TrainResult:
        return train_model(
            TrainJob(
                model=model,
                method=method,
                task=self.task,
                train=self.read_by(method),
                validation=self.read_by(method),
                teacher=OnlineTeacherFn(self.teacher, lambda batch: forward(self.teacher, batch)),
                settings=TrainSettings(epochs=2, batch_size=8, lr=lr),
                collator=Collator(
                    self.tokenizer.pad_token_id, max_length=LENGTH, views=method.views()
                ),
                seed=0,
                world=DistributedContext(device=torch.device("cpu")),
                on_evaluation=lambda evaluation: False,
                end_id=self.tokenizer.eos_token_id,
            )
        )


def _explained(rows: Examples) -> Examples:
    """The rows with a rationale for the first few: a batch may have none."""
    texts = tuple("because of the words" if row < 3 else "" for row in range(len(rows)))
    return replace(rows, fields={**rows.fields, "rationales": texts})


@pytest.fixture(scope="module")
def pairs() -> dict[str, Pair]:
    return {kind: Pair(kind) for kind in TEXT_KINDS}


@each_method
@each_kind
def test_it_trains_the_student_and_not_the_teacher(name, kind, pairs):
    pair = pairs[kind]
    method = pair.method(name)
    assert method.refusal() == ""
    before = {k: v.clone() for k, v in pair.teacher.state_dict().items()}
    student = pair.model()
    first = {k: v.clone() for k, v in student.state_dict().items()}
    result = pair.fit(method, student)
    assert result.steps == 4
    assert all(np.isfinite(v) for e in result.history for v in e.terms.values())
    assert all(torch.equal(v, before[k]) for k, v in pair.teacher.state_dict().items())
    assert any(not torch.equal(v, first[k]) for k, v in student.state_dict().items())
    assert set(result.history[-1].metrics) >= {"log_likelihood", "token_accuracy"}


@each_method
@each_kind
def test_the_same_seed_gives_the_same_student(name, kind, pairs):
    pair = pairs[kind]
    students = [pair.model(), pair.model()]
    for student in students:
        torch.rand(3)  # what the process did before does not matter
        pair.fit(pair.method(name), student)
    one, two = (student.state_dict() for student in students)
    assert all(torch.equal(one[k], two[k]) for k in one)


@each_method
def test_it_declares_what_a_cache_must_serve(name, pairs):
    method = pairs["causal_lm"].method(name)
    output_spec = method.teacher_outputs()
    assert output_spec.within(method.requires)
    if method.divergences():
        assert Logits() in output_spec
