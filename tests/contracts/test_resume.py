"""A training that was cut off and resumed equals an uninterrupted one bit for bit: every method."""

from __future__ import annotations

import copy
import dataclasses
import functools
import random
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.base import KINDS
from raykd.methods.base import Method
from raykd.params import Scalar
from raykd.training.checkpoint import load, save
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.small_pairs import SmallPair

METHODS = registry.names("methods")
ALONE = DistributedContext(0, 1, torch.device("cpu"))
# What makes a method keep more from one step to the next, or a step cheaper.
VALUES: Mapping[str, dict[str, Scalar]] = {
    "gkd": {"lmbda": 0.5, "kd_ratio": 0.5, "max_new_tokens": 4},
    "minillm": {"ppo_epochs": 4, "max_new_tokens": 4},
    "minillm_sbs": {"ppo_epochs": 3, "max_new_tokens": 4},
    "one_to_one": {"width_map": "assign"},
    "sinkd": {"anneal": True},
    "ckd_adaptive": {"width_epochs": 1, "min_width": 0.75, "min_depth": 0.75},
}
CUTS = {"minillm": (1, 3, 5), "minillm_sbs": (2,), "gkd": (2,), "sinkd": (3,)}
"""After which step a training is cut off; 2 for the others, which is within an epoch of 3."""


class CutOff(Exception):
    pass


@functools.cache
def pair_of(kind: str, width: int) -> SmallPair:
    return SmallPair.of(kind, dropout=0.1, width=width)


def pair_for(name: str) -> SmallPair:
    """On a kind that it serves; the teacher is wider where the method has modules of its own."""
    kinds = registry.load("methods", name).kinds
    first = next(kind for kind in KINDS if kind in kinds)
    kind = "causal_lm" if "causal_lm" in kinds and name != "kd" else first
    return pair_of(kind, 8 if name in ("tinybert", "one_to_one", "embedding_cosine") else 16)


def training(name: str, values: Mapping[str, Scalar], **changes):
    pair = pair_for(name)
    model = copy.deepcopy(pair.student)
    method = pair.method(name, **{**VALUES.get(name, {}), **values})
    job = pair.job(method, model, ALONE, evals_per_epoch=3, state_every_s=0.0, **changes)
    return job, method, model


@functools.cache
def uninterrupted(name: str):
    job, method, model = training(name, {})
    return train_model(job), method, model


def bits(method: Method, model: torch.nn.Module):
    extra = method.modules()
    actual = dict(model.state_dict())
    return actual | ({f"extra.{k}": v for k, v in extra.state_dict().items()} if extra else {})


@pytest.mark.parametrize(
    ("name", "cut"), [(name, cut) for name in METHODS for cut in CUTS.get(name, (2,))]
)
def test_a_training_that_continues_equals_one_that_was_not_cut_off(name, cut, tmp_path):
    whole, method, model = uninterrupted(name)
    assert whole.steps == 6
    path, seen = tmp_path / "state.safetensors", []

    def interrupt(evaluation):
        seen.append(evaluation.step)
        if evaluation.step == cut + 1:
            raise CutOff
        return False

    with pytest.raises(CutOff):
        train_model(training(name, {}, state_path=path, on_evaluation=interrupt)[0])
    assert seen == list(range(1, cut + 2))
    # Another process begins with other generators.
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    job, again, resumed = training(name, {}, state_path=path)
    result = train_model(job)
    assert [(e.step, dict(e.terms)) for e in result.history] == [
        (e.step, dict(e.terms)) for e in whole.history
    ]
    expected, actual = bits(method, model), bits(again, resumed)
    assert expected.keys() == actual.keys()
    assert all(torch.equal(actual[k], v) for k, v in expected.items())


@pytest.mark.parametrize(("name", "kind"), [("kd", "classification"), ("minillm", "causal_lm")])
def test_another_number_of_ranks_continues_from_a_saved_state(name, kind, tmp_path):
    """Without what each rank drew or remembers: nothing else differs from an uninterrupted one."""
    pair, path = SmallPair.of(kind), tmp_path / "state.safetensors"

    def trained(**changes):
        model = copy.deepcopy(pair.student)
        method = pair.method(name, **VALUES.get(name, {}))
        return train_model(pair.job(method, model, ALONE, evals_per_epoch=3, **changes)), model

    def interrupt(evaluation):
        if evaluation.step == 4:
            raise CutOff
        return False

    with pytest.raises(CutOff):
        trained(state_path=path, state_every_s=0.0, on_evaluation=interrupt)
    state = load(path)
    both = {"random": state.random * 2, "methods": state.methods * 2}
    save(dataclasses.replace(state, **both), path)
    (whole, model), (result, resumed) = trained(), trained(state_path=path)
    assert [e.step for e in result.history] == [e.step for e in whole.history] == list(range(1, 7))
    assert result.history[:3] == state.history
    same = [torch.equal(v, model.state_dict()[k]) for k, v in resumed.state_dict().items()]
    assert all(same) == (name == "kd")


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_remembers_comes_back_as_it_was(name):
    _, method, _ = uninterrupted(name)
    state = {key: value.clone() for key, value in method.state_dict().items()}
    other = pair_for(name).method(name, **VALUES.get(name, {}))
    other.load_state_dict(state)
    again = other.state_dict()
    assert again.keys() == state.keys()
    assert all(torch.equal(again[k], v) and again[k].dtype == v.dtype for k, v in state.items())
