"""Students that train adapters: what a file says of them, what is searched, trained and saved."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from raykd.data.collate import Collator
from raykd.errors import SpecError
from raykd.models import lora, weights
from raykd.models.forward import forward
from raykd.models.tokenizers import save_tokenizer, train_tokenizer
from raykd.spec.load import load_spec, to_yaml
from raykd.sweep.arm_studies import arm_studies, search_trial, study_space
from raykd.sweep.in_process import run_in_process, trial_of
from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.settings import lora_plan
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.prepare import prepare
from raykd.training import checkpoint
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.ranks import on_ranks
from tests.small_pairs import LENGTHS, SmallPair
from tests.unit.models.checkpoints import tiny
from tests.unit.spec.files import only
from tests.unit.sweep.specs import TASK

ALONE = DistributedContext(0, 1, torch.device("cpu"))
SPACE = """\
name: adapters
tasks: [toy/sentiment]
data: {limit: 60, max_length: 24}
teacher:
  model: {family: bert, layers: 2, hidden: 16, heads: 2, vocabulary: 200, max_positions: 32}
  finetune: {epochs: 1, lr: 1e-3}
student:
  MODEL
  lora: LORA
train: {epochs: 1, lr: 5e-2}
methods:
  none: {}
  METHODS
search: {trials: 4}
"""
SIZES = "model: {family: bert, layers: 1, hidden: 16, heads: 2, vocabulary: 200, max_positions: 32}"
SEARCHED = "{rank: {choice: [2, 8]}, alpha: {loguniform: [4, 32]}, dropout: 0.1}"


def text(adapter: str = SEARCHED, model: str = SIZES, methods: str = "kd: {}") -> str:
    actual = SPACE.replace("LORA", adapter).replace("MODEL", model)
    return actual.replace("METHODS", methods)


def spec_of(folder: Path, *args: str):
    (folder / "f.yaml").write_text(text(*args))
    return load_spec(folder / "f.yaml")


def test_what_is_searched_of_an_adapter_is_searched_by_every_arm_and_reaches_the_trial(tmp_path):
    spec = spec_of(tmp_path)
    for arm_study in arm_studies(spec):
        space = study_space(spec, arm_study)
        assert space.domains["lora_rank"].choices == (2, 8)
        assert space.domains["lora_alpha"].kind == "loguniform"
        assert space.fixed["lora_dropout"] == 0.1
        chosen = {"lora_rank": 8, "lora_alpha": 5.0}
        config = search_trial(spec, tmp_path, arm_study, 0, chosen)
        assert {k: v for k, v in config.train.items() if "lora" in k} == {
            "lora_dropout": 0.1, **chosen,
        }  # fmt: skip
        assert config.lora == lora.LoraPlan(targets=("all-linear",), base="")
    (tmp_path / "again.yaml").write_text(to_yaml(spec))
    assert load_spec(tmp_path / "again.yaml") == spec


def test_a_student_without_adapters_has_none(tmp_path):
    spec = spec_of(tmp_path, "null")
    assert spec.student.lora is None
    config = search_trial(spec, tmp_path, arm_studies(spec)[0], 0, {})
    assert config.lora is None
    assert not [name for name in config.train if "lora" in name]


@pytest.mark.parametrize(
    ("adapter", "path", "message"),
    [
        ("{rank: 0}", "student.lora.rank", "'rank' must be >= 1, got 0"),
        ("{rank: {choice: [0, 8]}}", "student.lora.rank.choice", "'rank' must be >= 1, got 0"),
        ("{rank: 2.5}", "student.lora.rank", "'rank' must be a whole number, got 2.5"),
        ("{rank: [2, 8]}", "student.lora.rank", "must be one value or a domain, got the list"),
        ("{alpha: 0}", "student.lora.alpha", "'alpha' must be > 0, got 0"),
        ("{dropout: 1}", "student.lora.dropout", "must lie in [0, 0.9], got 1"),
        ("{ranks: 2}", "student.lora.ranks", "unknown key 'ranks'"),
        ("{targets: []}", "student.lora.targets", "'targets' must"),
        ("{save: adapter}", "student.lora.save", "an adapter is saved for a model that can be"),
        ("{save: both}", "student.lora.save", "'save' must be"),
        ("8", "student.lora", "'lora' must be a mapping"),
        ("{rank: {choice: [2, 4], when: {alpha: 3}}}", "student.lora.rank.when",
         "'when' refers to 'alpha'"),
    ],
)  # fmt: skip
def test_bad_values_are_refused_at_their_place(tmp_path, adapter, path, message):
    problem = only(tmp_path, text(adapter))
    assert problem.path == path
    assert message in problem.message
    assert problem.line == 9


@pytest.mark.parametrize(
    ("adapter", "methods", "path", "message"),
    [
        ("{targets: [query, q_proj]}", "kd: {}", "student.lora.targets", "is called 'q_proj'"),
        ("{}", "ckd_adaptive: {ltrdist: 0, ltrangle: 0, min_depth: 1.0}", "methods.ckd_adaptive",
         "runs parts of the student's weights"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_the_student_is_refused_before_anything_runs(
    tmp_path, adapter, methods, path, message
):
    with pytest.raises(SpecError) as caught:
        set_up_task(spec_of(tmp_path, adapter, SIZES, methods), TASK)
    (problem,) = caught.value.problems()
    assert problem.path == path
    assert message in problem.message


def test_a_start_point_may_name_what_is_searched_of_the_adapter(tmp_path):
    methods = "kd: {alpha: {uniform: [0, 1]}, start: [{alpha: 0.5, lora_rank: 8}]}"
    spec = spec_of(tmp_path, SEARCHED, SIZES, methods)
    assert spec.methods["kd"].start == ({"alpha": 0.5, "lora_rank": 8},)


# Trials.


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A model that can be named, without a head that fits."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer(["a good film", "a bad plot", "the story is fine"] * 3, 200)
    model = tiny("classification", 5, vocabulary=200, max_positions=32, layers=1)
    weights.save(weights.capture(model), folder)
    save_tokenizer(tokenizer, folder)
    return folder


@pytest.mark.parametrize("save", ["adapter", "merged"])
def test_what_is_saved_of_a_trial_says_what_was_scored(tmp_path, base, save):
    adapter = f"{{rank: 4, save: {save}, targets: [query, value, dense]}}"
    spec = spec_of(tmp_path, adapter, f"model: {base}")
    setup = set_up_task(spec, TASK)
    plan = plan_teacher(spec, setup, 1 << 30)
    made = prepare(plan.inputs, DistributedContext(), lambda *progress: None)
    assert made is not None
    folder = tmp_path / "student"
    config = trial_of(spec, tmp_path / "run", TASK, "kd", {"lora_rank": 8})
    config = replace(config, score_test=True, save_path=str(folder))
    outcome = run_in_process(config, made[0], setup.task, lambda evaluation: None)
    weights.save(outcome.student, folder)
    size = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
    if save == "adapter":
        whole = AutoModelForSequenceClassification.from_pretrained(
            base, num_labels=3, ignore_mismatched_sizes=True
        )
        opened: Any = PeftModel.from_pretrained(whole, folder)
        assert opened.peft_config["default"].r == 8
        assert size < (base / "model.safetensors").stat().st_size / 2
    else:
        opened = AutoModelForSequenceClassification.from_pretrained(folder)
    rows = made[0].splits["test"]
    collate = Collator(made[0].pad_id, max_length=made[0].max_length)
    batch = collate(rows, np.arange(len(rows)))
    with torch.no_grad():
        output = opened.eval()(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask
        ).logits
    right = (output.argmax(dim=1) == batch.labels).float().mean().item()
    assert right == pytest.approx(outcome.metrics["test/accuracy"])
    if save == "adapter":  # it can be the teacher of the next sweep
        (tmp_path / "next.yaml").write_text(of_checkpoint(folder))
        next_setup = set_up_task(load_spec(tmp_path / "next.yaml"), TASK)
        with torch.no_grad():
            again = forward(next_setup.teacher.frozen(), batch).logits
        assert torch.allclose(again, output, atol=1e-5)


def test_adapters_of_an_adapter_are_merged_as_no_model_of_theirs_has_a_name(tmp_path, base):
    plan = lora.LoraPlan(targets=("query",), base=str(base))
    model = weights.restore(weights.load(base))
    sizes = lora.LoraSizes(rank=2, alpha=2.0, dropout=0.0)
    lora.attach(model, plan, sizes, seed=0)
    weights.save(lora.capture(model, plan, sizes), tmp_path / "adapter")
    student = f"model: {tmp_path / 'adapter'}"
    actual = lora_plan(spec_of(tmp_path, "{rank: 4}", student))
    assert actual == lora.LoraPlan(targets=("all-linear",), base="")
    with pytest.raises(SpecError, match="is an adapter itself") as caught:
        set_up_task(spec_of(tmp_path, "{rank: 4, save: adapter}", student), TASK)
    assert caught.value.problems()[0].path == "student.lora.save"


@pytest.mark.parametrize("kept", ["1", "{choice: [1, 2]}"])
def test_adapters_of_a_cut_model_are_merged_as_their_blocks_are_others(tmp_path, base, kept):
    student = f"model: {base}\n  keep_layers: {kept}"
    actual = lora_plan(spec_of(tmp_path, "{rank: 4}", student))
    assert actual == lora.LoraPlan(targets=("all-linear",), base="")
    with pytest.raises(SpecError, match=r"student\.keep_layers cuts it") as caught:
        set_up_task(spec_of(tmp_path, "{rank: 4, save: adapter}", student), TASK)
    assert caught.value.problems()[0].path == "student.lora.save"


def of_checkpoint(folder: Path) -> str:
    begin, _, rest = text("null").partition("teacher:\n")
    return (
        f"{begin}teacher: {{checkpoint: {folder}}}\nstudent:\n{rest.partition('student:')[2][1:]}"
    )


# Training.


def adapted(pair: SmallPair, rank: int = 2) -> torch.nn.Module:
    model = copy.deepcopy(pair.student)
    sizes = lora.LoraSizes(rank=rank, alpha=8.0, dropout=0.0)
    lora.attach(model, lora.LoraPlan(targets=("all-linear",), base=""), sizes, seed=4)
    return model


@pytest.mark.parametrize(("name", "kind"), [("kd", "causal_lm"), ("pkd", "classification"),
                                            ("tinybert", "classification")])  # fmt: skip
def test_a_training_moves_the_adapter_alone_and_continues_from_a_small_state(tmp_path, name, kind):
    pair, path = SmallPair.of(kind), tmp_path / "state.safetensors"
    before = {n: p.clone() for n, p in adapted(pair).named_parameters()}

    def trained(**changes: Any) -> torch.nn.Module:
        model = adapted(pair)
        train_model(pair.job(pair.method(name), model, ALONE, evals_per_epoch=3, **changes))
        return model

    def interrupt(evaluation: Any) -> bool:
        if evaluation.step == 4:
            raise InterruptedError
        return False

    with pytest.raises(InterruptedError):
        trained(state_path=path, state_every_s=0.0, on_evaluation=interrupt)
    kept = {n.removeprefix("model.") for n in checkpoint.load(path).weights}
    whole, resumed = trained(), trained(state_path=path)
    for n, p in whole.named_parameters():
        assert torch.equal(p, dict(resumed.named_parameters())[n]), n
        assert torch.equal(p, before[n]) != p.requires_grad, n
        assert (n in kept) == p.requires_grad, n


@pytest.mark.parametrize(("name", "kind"), [("kd", "causal_lm"), ("ckd", "classification")])
def test_the_gradient_of_adapters_does_not_depend_on_the_number_of_ranks(name, kind):
    pair = SmallPair.of(kind)
    models = [adapted(pair).double() for _ in range(2)]
    teacher = copy.deepcopy(pair.teacher).double()

    def run(world: DistributedContext) -> torch.Tensor:
        method, model = pair.method(name), models[world.rank]
        model.zero_grad()
        rows = torch.arange(len(LENGTHS)).numpy()
        step = pair.step(method, world, model, copy.deepcopy(teacher))
        step.run(pair.parts(method, rows, world, 1), rows)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        return torch.cat([g.flatten() for g, p in zip(grads, model.parameters(), strict=True)
                          if p.requires_grad])  # fmt: skip

    (alone,) = on_ranks(1, run)
    spread, other = on_ranks(2, run)
    assert torch.equal(spread, other)
    assert alone.abs().max() > 0
    assert (spread - alone).abs().max() <= 1e-5 * alone.abs().max()
