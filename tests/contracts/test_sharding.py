"""A model whose weights are spread over ranks does what it does on one: students and teachers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from raykd.models import weights
from raykd.models.forward import forward
from raykd.training import student_runner
from tests.contracts.sharded_work import (
    ALONE,
    EVERY,
    EXPLAINED,
    SOME,
    a_little,
    all_methods,
    everything,
    interrupted,
    likeliest,
    of_several,
    rationales,
    steps,
    training,
)
from tests.small_pairs import SmallPair


@pytest.fixture(
    scope="module", params=[pytest.param(size, marks=pytest.mark.slow) for size in (2, 4)]
)
def both(request, tmp_path_factory):
    """What one process found, and several, that continued from what the other ones had left."""
    folder = tmp_path_factory.mktemp("sharding")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student_runner, "GenerationSettings", likeliest)
        if request.param == 2:
            interrupted(ALONE, folder)
        else:
            of_several(2, folder, interrupted)
        several = of_several(request.param, folder, everything)
        shutil.copy(folder / "of_several.safetensors", folder / "to_continue.safetensors")
        one = everything(ALONE, folder)
        one["resumed"] = training(ALONE, state=folder / "to_continue.safetensors")
    return one, several


def check_steps(mine: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    for number, (one, several) in enumerate(zip(mine["logged"], expected["logged"], strict=True)):
        assert several == pytest.approx(one, rel=1e-5, abs=1e-6), (where, number)
    for what in ("weights", "moments"):
        check_tensors(mine[what], expected[what], 1e-6, where)


def check_tensors(mine: Any, expected: Any, most: float, where: str) -> None:
    assert mine.keys() == expected.keys(), where
    for name in mine:
        one, several = torch.as_tensor(mine[name]), torch.as_tensor(expected[name])
        assert one.shape == several.shape, (where, name)
        largest = max(1.0, one.abs().max().item())
        assert (several - one).abs().max().item() <= most * largest, (where, name)


def test_two_ranks_learn_save_and_record_what_one_does(tmp_path):
    """A little of all that the tests below look at."""
    several, one = of_several(2, tmp_path, a_little), a_little(ALONE, tmp_path)
    check_steps(one["steps"], several["steps"], "classification-kd")
    mine, expected = one["training"], several["training"]
    assert [e[0] for e in expected["history"]] == [e[0] for e in mine["history"]]
    check_tensors(mine["state"].tensors, expected["state"].tensors, 1e-4, "training")
    check_parts(mine, expected)
    check_recorded(one["teacher"], several["teacher"], "fp32")
    check_texts(one["texts"], several["texts"])


@pytest.mark.parametrize(("kind", "name"), SOME)
def test_a_sharded_student_learns_what_a_whole_one_does(both, kind, name):
    one, several = (actual[f"{kind}-{name}"] for actual in both)
    check_steps(one, several, f"{kind}-{name}")


@pytest.mark.parametrize(("kind", "name"), SOME)
def test_only_the_first_rank_keeps_what_a_state_is_made_of(both, kind, name):
    """The others keep what every rank has all of: numbers, and what a method trains along."""
    one, several = (actual[f"{kind}-{name}"] for actual in both)
    first, *others = several["kept"]
    assert first == pytest.approx(one["kept"][0], rel=0.01)
    assert max(others) < 0.1 * first


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_every_method_on_every_kind_of_task_does(size, tmp_path, monkeypatch):
    monkeypatch.setattr(student_runner, "GenerationSettings", likeliest)
    several = of_several(size, tmp_path, all_methods)
    for kind, name in EVERY:
        check_steps(steps(kind, name, ALONE), several[f"{kind}-{name}"], f"{kind}-{name}")


@pytest.mark.slow
def test_ranks_whose_rows_have_no_rationale_run_the_student_with_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(student_runner, "GenerationSettings", likeliest)
    several = of_several(4, tmp_path, rationales)
    for kind, name in EXPLAINED:
        check_steps(steps(kind, name, ALONE), several[f"{kind}-{name}"], f"{kind}-{name}")


@pytest.mark.parametrize("which", ["training", "again", "adapted", "resumed"])
def test_evaluations_and_the_saved_student_are_those_of_one_rank(both, which):
    """Also with blocks that are computed again, adapters, and a state of other ranks."""
    one, several = (actual[which] for actual in both)
    assert len(one["history"]) == 3
    for mine, expected in zip(one["history"], several["history"], strict=True):
        assert mine[0] == expected[0]
        assert expected[1] == pytest.approx(mine[1])
        assert expected[2] == pytest.approx(mine[2], rel=1e-3)
    assert np.allclose(several["said"], one["said"], atol=1e-4)
    assert several["state"].config == one["state"].config
    check_tensors(one["state"].tensors, several["state"].tensors, 1e-4, which)
    check_parts(one, several)


def check_parts(one: Mapping[str, Any], several: Mapping[str, Any]) -> None:
    """Ranks hold parts of every weight, and little else."""
    assert all(several["parts"])
    assert not any(one["parts"])
    assert several["held"] < 0.6 * one["held"]


def test_the_saved_student_opens_elsewhere_and_says_the_same(both, tmp_path):
    _, several = both
    trained = several["training"]
    weights.save(trained["state"], tmp_path / "student")
    opened = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student").eval()
    pair = SmallPair.of("classification")
    batch = pair.collator(pair.method("kd"))(pair.rows, np.arange(len(pair.rows)))
    assert np.allclose(forward(opened, batch).logits.detach(), trained["said"], atol=1e-5)


def test_a_trial_is_scored_and_saved_as_on_one_rank(both):
    one, several = (actual["trial"] for actual in both)
    measured = {name for name in one.metrics if "latency" not in name}
    for name in measured:
        assert several.metrics[name] == pytest.approx(one.metrics[name], abs=0.05), name
    assert several.metrics.keys() == one.metrics.keys()
    assert np.mean(several.row_outcomes != one.row_outcomes) < 0.1
    check_tensors(one.student.tensors, several.student.tensors, 1e-3, "trial")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_sharded_teacher_is_recorded_bit_for_bit(both, precision):
    check_recorded(*(actual["teacher"][precision] for actual in both), precision)


def check_recorded(one: Any, several: Any, precision: str) -> None:
    assert several.scores == one.scores
    assert several.parameters == one.parameters
    assert several.precision_error == one.precision_error
    assert bool(one.precision_error) == (precision == "bf16")
    mine, expected = one.cached_outputs, several.cached_outputs
    assert mine.signals == expected.signals
    for name, part in mine.parts.items():
        for a, b in zip(part.chunks, expected.parts[name].chunks, strict=True):
            assert np.array_equal(a, b), name


def test_adapters_outside_of_the_blocks_are_merged_into_a_model_in_parts(both):
    one, several = (actual["outside"] for actual in both)
    assert torch.equal(one["want"], several["want"])
    check_tensors(one["tensors"], several["tensors"], 1e-6, "outside")
    assert any("embeddings_project" in name for name in one["tensors"])


def test_blocks_in_lists_of_lists_are_gathered_one_by_one(both):
    one, several = (actual["nested"] for actual in both)
    assert one["blocks"] == several["blocks"] == 4
    assert torch.allclose(one["said"], several["said"], atol=1e-6)
    check_tensors(one["gradients"], several["gradients"], 1e-6, "nested")


def test_a_sharded_teacher_next_to_the_student_says_the_same(both):
    one, several = (actual["beside"] for actual in both)
    assert torch.equal(one, several)


def test_a_teacher_that_is_fine_tuned_in_parts_is_the_same(both):
    one, several = (actual["finetuned"] for actual in both)
    check_tensors(one.state.tensors, several.state.tensors, 1e-4, "fine-tuned")
    assert several.scores["test"] == pytest.approx(one.scores["test"], abs=0.05)


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_sharded_models_write_the_same(both, kind):
    check_texts(*(actual["texts"][kind] for actual in both))


def check_texts(one: Mapping[str, Any], several: Mapping[str, Any]) -> None:
    """Also where one rank has written up to its last position, and runs on with another one."""
    assert torch.equal(one["first"], several["first"])
    for mine, expected in zip(one["together"], several["together"], strict=True):
        assert torch.equal(mine, expected)
