"""Pairs of language models that people bring: what must be right, or be refused before the start.

Every case is built here from a few rows and models of a few weights, read, prepared and trained as
`raykd trial` does it.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.data.base import NO_LABEL
from raykd.data.prompts import id_count
from raykd.errors import SpecError
from raykd.models import weights
from raykd.models.base import RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.load import build_model
from raykd.models.signals.generations import Generations
from raykd.models.tokenizers import save_tokenizer
from raykd.spec.schema import RationaleSpec
from raykd.sweep.in_process import run_in_process, trial_of
from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.prepare import prepare
from raykd.teachers.prepared_task import PreparedTask
from raykd.training.device import DistributedContext
from raykd.trial.run import TrialOutcome
from tests.unit.sweep.specs import spec

TASK, LENGTH = "dolly", 64
SHORT = {"max_new_tokens": 6}
# Every method that touches a vocabulary where text is written.
METHODS: dict[str, dict[str, Any]] = {
    "kd": {"kd_ratio": 0.5}, "skew_kl": {"kd_ratio": 0.5}, "jsd": {"kd_ratio": 0.5},
    "reverse_kl": {"kd_ratio": 0.5}, "sinkd": {"view": "tokens"}, "seqkd": {},
    "gkd": {**SHORT, "lmbda": 1.0}, "minillm": {**SHORT, "ppo_epochs": 2},
}  # fmt: skip
SEQ2SEQ = {**METHODS, "minillm": {**METHODS["minillm"], "teacher_mixed_alpha": 0.0}}


def sentences(count: int) -> list[str]:
    words = ["red", "green", "small", "large", "old", "new", "quiet", "bright"]
    return [f"The {words[k % 8]} apple {k} is {words[(k // 3) % 8]}." for k in range(count)]


@dataclass(frozen=True)
class Place:
    """Data and models in a folder."""

    root: Path

    def model(
        self, name: str, family: str = "qwen2", *, more_rows: int = 0, positions: int = 72,
        pieces: int = 320, texts: int = 40, hidden: int = 16,
    ) -> str:  # fmt: skip
        """Save a model with random weights, whose matrix may have more rows than tokens."""
        folder = self.root / name
        kind = "seq2seq" if family == "t5" else "causal_lm"
        specials = ("<pad>", "</s>") if family == "t5" else ("<|endoftext|>",)
        tokenizer = train_bpe(sentences(texts), pieces, specials)
        random_init = RandomInitConfig(
            family=family, layers=1, hidden=hidden, heads=2, max_positions=positions, dropout=0.0
        )
        made = build_model(
            random_init, vocabulary=id_count(tokenizer) + more_rows, kind=kind, num_labels=1, seed=0
        )
        weights.save(weights.capture(made), folder)
        save_tokenizer(tokenizer, folder)
        return str(folder)

    def spec(
        self, teacher: Any, student: Any, methods: dict[str, dict[str, Any]], **more: Any
    ) -> Any:
        arms = {m: {"name": m, "method": m, "fixed": fixed} for m, fixed in methods.items()}
        return spec(
            tasks=[TASK],
            data={
                "root": str(self.root), "max_length": more.pop("max_length", LENGTH),
                "select_on": {"split": "validation"}, "report_on": {"split": "test"},
                "rationales": RationaleSpec(**more.pop("rationales", {})).model_dump(),
            },
            teacher={"model": teacher, "finetune": {"epochs": 1, "batch_size": 4, "lr": 1e-3},
                     **more.pop("of_teacher", {})},
            student={"model": student},
            train={"fixed": {"epochs": 1, "batch_size": 4, "lr": 1e-3}},
            methods=arms, report={"baseline": next(iter(arms))}, **more,
        )  # fmt: skip

    def run(
        self,
        teacher: Any,
        student: Any,
        methods: dict[str, dict[str, Any]],
        tokens: int = 256,
        **more: Any,
    ) -> tuple[PreparedTask, str, dict[str, TrialOutcome]]:
        """Prepare the teacher once and train a student with each method.

        Students are scored on text of a few tokens, teachers on `tokens`: random weights do not
        end it.
        """
        of = self.spec(teacher, student, methods, **more)
        setup = set_up_task(of, TASK)
        plan = plan_teacher(of, setup, 1 << 30)
        requested = replace(plan.inputs, task=replace(setup.task, max_new_tokens=tokens))
        made = prepare(requested, DistributedContext(), lambda *progress: None)
        assert made is not None
        scored = replace(setup.task, max_new_tokens=12)
        actual = {}
        for arm in methods:
            config = trial_of(of, self.root / "run", TASK, arm, {})
            actual[arm] = run_in_process(config, made[0], scored, lambda evaluation: None)
        return made[0], plan.serving, actual

    def refused(self, teacher: Any, student: Any, methods: dict[str, dict[str, Any]], **more: Any):
        with pytest.raises(SpecError) as caught:
            set_up_task(self.spec(teacher, student, methods, **more), TASK)
        return caught.value.problems()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    root = tmp_path_factory.mktemp("text")
    (root / TASK).mkdir()
    output = sentences(20)
    for split, rows in {
        "train": range(8),
        "validation": range(8, 11),
        "test": range(11, 14),
    }.items():
        table = {
            "instruction": [f"Say {output[k]}" for k in rows],
            "context": ["" if k % 2 else output[k] * 4 for k in rows],
            "response": [output[k + 1] for k in rows],
        }
        pq.write_table(pa.table(table), root / TASK / f"{split}.parquet")
    return Place(root)


@pytest.mark.parametrize(
    ("family", "teacher_rows", "student_rows"),
    [("qwen2", 90, 20), ("qwen2", 0, 90), ("t5", 20, 90)],
)
def test_vocabularies_padded_to_other_sizes(family, teacher_rows, student_rows, place):
    teacher = place.model(f"{family}-{teacher_rows}", family, more_rows=teacher_rows)
    student = place.model(f"{family}-{student_rows}", family, more_rows=student_rows, hidden=8)
    methods = METHODS if family == "qwen2" else SEQ2SEQ
    prepared, serving, actual = place.run(teacher, student, methods, tokens=24)
    tokens = prepared.splits["validation"].references.tokens
    assert prepared.context().shared_vocabulary == tokens.vocabulary
    assert f"the first {tokens.vocabulary:,} entries are compared" in serving
    labels = prepared.splits[Generations.texts].labels
    assert labels.max() < tokens.vocabulary
    assert len(np.unique(labels)) > 20  # the teacher draws all over its vocabulary
    for arm, outcome in actual.items():
        assert np.isfinite(outcome.metrics["test/log_likelihood"]), arm
        assert outcome.metrics["test/teacher_kl"] > 0


GPT2 = {"family": "gpt2", "layers": 1, "heads": 2, "vocabulary": 320, "dropout": 0.0}
LONG: dict[str, dict[str, Any]] = {
    "seqkd": {}, "gkd": {"lmbda": 1.0, "max_new_tokens": 200},
    "minillm": {"max_new_tokens": 200, "ppo_epochs": 1},
}  # fmt: skip


@pytest.mark.parametrize(("teacher", "student"), [(128, 48), (48, 128), (48, 48)])
def test_text_ends_where_the_positions_of_either_model_do(teacher, student, place):
    prepared, serving, actual = place.run(
        {**GPT2, "hidden": 16, "max_positions": teacher},
        {**GPT2, "hidden": 8, "max_positions": student},
        LONG,
        max_length=48,
    )
    written = prepared.splits[Generations.texts]
    # The last token is a label only.
    assert written.lengths().max() == 47
    assert np.isfinite([o.metrics["test/log_likelihood"] for o in actual.values()]).all()
    assert "ends with the 48 positions of the smaller model: 8 of 8 prompts" in serving
    ends = np.asarray([written.labels[k - 1] for k in written.offsets[1:]])
    assert written.truncated == int((ends != prepared.end_id).sum()) > 0


def test_prompts_that_leave_enough_positions_are_not_mentioned(place):
    shape = {"family": "gpt2", "layers": 1, "heads": 2, "vocabulary": 320, "hidden": 8}
    of = place.spec({**shape, "max_positions": 400}, {**shape, "max_positions": 400}, {"seqkd": {}})
    assert "positions" not in plan_teacher(of, set_up_task(of, TASK), 1 << 30).serving


@pytest.mark.parametrize("family", ["qwen2", pytest.param("t5", marks=pytest.mark.slow)])
def test_the_teachers_text_is_learnt_by_a_student_with_another_tokenizer(family, place):
    """Also by one with fewer positions: its rows are cut as all others are."""
    teacher = place.model(f"{family}-long", family, positions=110)
    student = place.model(f"{family}-other", family, pieces=290, texts=3, more_rows=7, hidden=8)
    same, _, _ = place.run(teacher, teacher, {"seqkd": {}})
    prepared, _, actual = place.run(teacher, student, {"seqkd": {}, "sft": {}})
    assert not prepared.same_tokens
    reported = [
        of.splits["validation"].references.tokens.decode(
            [row[row != NO_LABEL].tolist() for row in _labels(of.splits[Generations.texts])]
        )
        for of in (same, prepared)
    ]
    # The same draws, as text; what does not end is cut in other places.
    ends = [row[-1] == prepared.end_id for row in _labels(prepared.splits[Generations.texts])]
    assert any(reported[0])
    for one, two, whole in zip(*reported, ends, strict=True):
        assert one == two if whole else one.startswith(two[:-4])
    for row in range(8):
        plain, written = prepared.splits["train"], prepared.splits[Generations.texts]
        assert np.array_equal(plain.prompt(row), written.prompt(row))
    assert prepared.splits[Generations.texts].lengths().max() <= LENGTH * (
        2 if family == "t5" else 1
    )
    assert all(np.isfinite(o.metrics["test/log_likelihood"]) for o in actual.values())
    assert "test/teacher_kl" not in actual["seqkd"].metrics


@pytest.mark.parametrize("family", ["qwen2", "t5"])
def test_the_teachers_rationales_are_read_by_a_student_with_another_tokenizer(family, place):
    teacher = place.model(f"{family}-teacher", family)
    student = place.model(f"{family}-other", family, pieces=290, texts=3, more_rows=7, hidden=8)
    requested = {"rationales": {"source": "teacher", "max_new_tokens": 7}}
    texts = []
    for result in (teacher, student):
        prepared, _, actual = place.run(
            teacher, result, {"step_by_step": {}}, tokens=24, **requested
        )
        tokens = prepared.splits["validation"].references.tokens
        explain = prepared.splits["train"].views["predict"].views["explain"]
        rows = [row[row != NO_LABEL].tolist() for row in _labels(explain)]
        texts.append(tokens.decode(rows))
        assert np.isfinite(actual["step_by_step"].metrics["test/log_likelihood"])
    assert texts[0] == texts[1]
    assert any(texts[0])


def _labels(rows: Any) -> list[Any]:
    borders = rows.offsets if rows.label_offsets is None else rows.label_offsets
    return [rows.labels[a:b] for a, b in itertools.pairwise(borders)]


def test_what_another_tokenizer_rules_out_is_reported_with_a_way_that_works(place):
    teacher = place.model("qwen2-teacher")
    student = place.model("qwen2-other", pieces=290, texts=3, hidden=8)
    named = {m: v for m, v in METHODS.items() if m != "seqkd"}
    problems = place.refused(teacher, student, named)
    assert [p.path for p in problems] == [f"methods.{m}" for m in named]
    ways: set[str] = set()
    for problem in problems:
        assert "split text differently" in problem.message
        (named_ways,) = re.findall(r"\(([\w, ]+)\)", problem.hint)
        ways |= set(named_ways.split(", "))
    assert ways == {"seqkd", "uld", "uld_aligned", "gold"}
    place.run(teacher, student, {way: {} for way in sorted(ways)}, tokens=24)


@pytest.mark.parametrize("method", ["pkd", "tinybert", "ckd"])
def test_methods_on_hidden_states_say_that_they_do_not_serve_text(method, place):
    model = place.model("qwen2-teacher")
    (problem,) = place.refused(model, model, {method: {}})
    assert "tasks, not causal_lm" in problem.message


def test_answer_choices_that_are_not_there_are_missed(place):
    model = place.model("qwen2-teacher")
    with pytest.raises(Exception, match="have no answer choices") as caught:
        set_up_task(place.spec(model, model, {"sinkd": {}}), TASK)
    assert "view: tokens" in caught.value.hint


def test_a_teacher_of_another_kind_than_its_student_is_refused(place):
    decoder, both = place.model("qwen2-teacher"), place.model("t5-teacher", "t5")
    (problem,) = place.refused(decoder, both, {"kd": {}})
    assert "serves seq2seq, not causal_lm" in problem.message


@pytest.mark.parametrize(
    ("serve", "output"), [("weights", "has no effect"), ("outputs", "is kept")]
)
def test_a_cache_is_said_to_have_no_effect_where_the_teacher_runs(serve, output, place):
    model = place.model("qwen2-teacher")
    of = place.spec(model, model, {"kd": {}}, of_teacher={"serve": serve, "cache": "sampled"})
    serving = plan_teacher(of, set_up_task(of, TASK), 1 << 30).serving
    assert output in serving
    assert ("is kept" in serving) == (serve == "outputs")
