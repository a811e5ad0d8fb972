"""Caches of a vocabulary, written and read through the preparation of a small teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.base import NO_LABEL, DataSettings
from raykd.data.collate import Collator
from raykd.data.prompts import without_labels
from raykd.data.tasks.toy_text import TASK
from raykd.errors import TeacherError
from raykd.losses.divergences import forward_kl
from raykd.losses.targets import Divergence
from raykd.methods.base import OutputSpec
from raykd.models.base import ModelDims, RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.forward import forward
from raykd.models.load import build_model, model_dims
from raykd.models.signals.base import Signal
from raykd.models.signals.generations import Generations
from raykd.models.signals.logits import Logits
from raykd.models.signals.unrecorded import TextPrompts, UnrecordedSignal
from raykd.teachers.cached_outputs import joined
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.prepare import prepare
from raykd.teachers.recording import record
from raykd.teachers.vocab_cache.choose import DENSE, choose, vocab_cache_of
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.training.device import DistributedContext
from raykd.training.settings import TrainSettings
from tests.unit.teachers.gathering import logits_of, tokens_of
from tests.unit.teachers.tiny import factory, given, through

ROWS, LENGTH = 24, 64


@pytest.fixture(scope="module")
def inputs() -> TaskInputs:
    task = TASK["replies"]
    rows = task.load("train", DataSettings())
    parts = {
        role: rows.take(np.arange(begin, begin + ROWS))
        for role, begin in (("train", 0), ("validation", ROWS), ("test", 2 * ROWS))
    }
    tokenizer = train_bpe(list(parts["train"].texts[0]), 320, ("<|endoftext|>",))
    splits = {role: task.encode(part, tokenizer, LENGTH) for role, part in parts.items()}
    random_init = RandomInitConfig(
        family="gpt2", layers=1, hidden=16, heads=2, max_positions=LENGTH
    )
    teacher = replace(
        factory(len(tokenizer), layers=1, hidden=16),
        kind="causal_lm", num_labels=1, random_init=random_init,
        dims=model_dims(registry.load("families", "gpt2").config(
            random_init, len(tokenizer), "causal_lm", 1
        )),
    )  # fmt: skip
    return replace(
        given(), task=task, teacher_splits=splits | {"finetune": splits["train"]},
        student_splits=splits, teacher=teacher, student=teacher,
        finetune=TrainSettings(epochs=1, batch_size=8, lr=1e-3, precision="fp32"),
        max_length=LENGTH, vocabulary=len(tokenizer), output_spec=OutputSpec(Logits()),
        teacher_pad=0, student_pad=0,
    )  # fmt: skip


def prepared(inputs: TaskInputs, vocab_cache: str = "", more: Signal | None = None):
    kept = VocabularyScores(vocab_cache) if vocab_cache else None
    made = prepare(
        replace(inputs, output_spec=OutputSpec(Logits(), kept, more)),
        DistributedContext(),
        lambda *progress: None,
    )
    assert made is not None
    return made


def batch(inputs: TaskInputs):
    return Collator(0, max_length=LENGTH)(inputs.student_splits["train"], np.asarray([5, 0, 17]))


@pytest.mark.parametrize("name", ["hidden", "sampled:8", "top_k:8"])
def test_what_is_kept_serves_a_student_from_memory_and_from_disk(inputs, name, tmp_path):
    inputs = replace(inputs, output_spec=OutputSpec(Logits(), VocabularyScores(name)))
    actual, later = (through(tmp_path, inputs) for _ in range(2))
    assert later.made is None
    actual, again = actual.prepared, later.prepared
    student = torch.randn(400, inputs.vocabulary)
    rows = batch(inputs)
    count = int((rows.labels != NO_LABEL).sum())
    values = []
    for kept in (actual, again):
        target = (
            open_teacher(kept, DistributedContext()).outputs_fn(OutputSpec(Logits()))(rows).target
        )
        values.append(target.distance(student[:count], slice(0, count), Divergence()))
    assert values[0].shape == (count,)
    assert torch.equal(values[0], values[1])
    assert torch.isfinite(values[0]).all()


def test_hidden_states_give_the_scores_of_the_teacher(inputs):
    actual, state = prepared(inputs, vocab_cache="hidden")
    dense, _ = prepared(inputs)
    rows = batch(inputs)
    read = OutputSpec(Logits())
    one, two = (
        open_teacher(kept, DistributedContext()).outputs_fn(read)(rows).logits.float()
        for kept in (actual, dense)
    )
    assert forward_kl(one, two).max() < 1e-5
    assert actual.cached_outputs is not None
    assert actual.cached_outputs.error()["tokens"] < 1e-3
    assert sum(p.nbytes() for p in actual.cached_outputs.parts.values()) < sum(
        p.nbytes() for p in dense.cached_outputs.parts.values()
    )
    del state


def test_draws_follow_the_distribution_and_do_not_depend_on_how_blocks_are_shared(inputs):
    teacher = build_model(
        RandomInitConfig(family="gpt2", layers=1, hidden=16, heads=2, max_positions=LENGTH),
        vocabulary=inputs.vocabulary, kind="causal_lm", num_labels=1, seed=4,
    ).eval()  # fmt: skip
    recording = inputs.recording("train", OutputSpec(Logits(), VocabularyScores("sampled:4000")))
    recording = replace(recording, row_bytes=np.full(ROWS, 1 << 24), batch_size=4)  # several blocks
    blocks = recording.blocks()
    assert len(blocks) > 1
    device = torch.device("cpu")
    whole = record(teacher, recording, device)
    apart = joined([recording.run(teacher, rows, device) for rows in reversed(blocks)][::-1])
    every = np.arange(ROWS)
    one, two = (tokens_of(r, every)["ids"] for r in (whole, apart))
    assert torch.equal(one, two)
    rows = Collator(0, max_length=LENGTH)(recording.encoded, np.asarray([0]))
    p = forward(teacher, rows).logits.softmax(-1)
    drawn = tokens_of(whole, np.asarray([0]))["ids"]
    counted = torch.stack([torch.bincount(r, minlength=p.shape[1]) for r in drawn]) / 4000
    assert (counted - p).abs().max() < 0.05


def test_the_mass_that_top_k_holds_is_measured(inputs):
    few, _ = prepared(inputs, vocab_cache="top_k:1")
    every, _ = prepared(inputs, vocab_cache=f"top_k:{inputs.vocabulary}")
    mass, count = few.cached_outputs.coverage
    whole, same = every.cached_outputs.coverage
    assert count == same
    assert 0 < mass < whole
    assert whole / count == pytest.approx(1.0, abs=1e-5)


def test_the_teacher_writes_a_response_to_every_row_once(inputs):
    actual, _ = prepared(inputs, more=Generations())
    again, _ = prepared(inputs, more=Generations())
    written, given_rows = actual.splits[Generations.texts], actual.splits["train"]
    assert len(written) == len(given_rows)
    assert np.array_equal(written.input_ids, again.splits[Generations.texts].input_ids)
    for row in range(ROWS):
        assert np.array_equal(written.prompt(row), given_rows.prompt(row))
    assert not np.array_equal(written.labels, given_rows.labels)


@dataclass(frozen=True, slots=True)
class Openings(UnrecordedSignal):
    """A text signal of a test: how responses begin."""

    title = "openings"
    texts = "openings"
    stream = "openings"

    @property
    def name(self) -> str:
        return "openings"

    def prompts(self, train: TextPrompts, own: TextPrompts | None) -> TextPrompts:
        return replace(train, max_new_tokens=3)


def test_a_further_text_is_a_signal_and_nothing_else(inputs, tmp_path):
    """It is generated, cached under a name of its own, and found again."""
    inputs = replace(inputs, output_spec=OutputSpec(Logits(), Generations(), Openings()))
    made, later = (through(tmp_path, inputs) for _ in range(2))
    assert later.made is None
    for prepared_task in (made.prepared, later.prepared):
        short = prepared_task.splits["openings"]
        assert 1 <= short.label_counts().min() <= short.label_counts().max() <= 3
        assert np.array_equal(short.prompt(3), prepared_task.splits["train"].prompt(3))
        assert prepared_task.splits[Generations.texts].label_counts().max() > 3
    less = replace(inputs, output_spec=OutputSpec(Logits(), Generations()))
    assert through(tmp_path, less).made is None


SMALL = ModelDims(layers=1, hidden=256, heads=2, vocabulary=50_257)
LARGE = replace(SMALL, hidden=1600)
FORWARD, REVERSE = Divergence(), Divergence(kind="reverse_kl")


@pytest.mark.parametrize(
    ("teacher", "needed", "reads", "name"),
    [
        (SMALL, [FORWARD, REVERSE], True, "hidden"),
        (LARGE, [FORWARD], False, "sampled:64"),
        (LARGE, [FORWARD, REVERSE], False, "hidden"),
        (LARGE, [replace(FORWARD, temperature=2.0)], False, "hidden"),
        (LARGE, [FORWARD], True, "hidden"),
        (replace(LARGE, vocabulary=500), [FORWARD], False, DENSE),
    ],
)
def test_the_choice_follows_bytes_and_needs(teacher, needed, reads, name):
    chosen, why = choose(teacher, needed, reads_scores=reads)
    assert chosen == name
    assert "bytes a token" in why


def test_biased_pairs_are_refused_with_the_reason():
    assert "probabilities" in vocab_cache_of("sampled:4").refusal(REVERSE)
    assert "temperature 2" in vocab_cache_of("top_k:4").refusal(Divergence(temperature=2.0))
    assert vocab_cache_of("top_k:4").refusal(FORWARD) == ""
    assert vocab_cache_of("hidden").refusal(REVERSE) == ""


@pytest.mark.parametrize("name", ["", "hidden", "sampled:8", "top_k:8"])
@pytest.mark.parametrize("silent", [(5,), (0, 5, 17), tuple(range(ROWS))])
def test_rows_without_a_label_have_nothing_that_is_kept(inputs, name, silent):
    train = inputs.teacher_splits["train"]
    blank = without_labels(train, np.isin(np.arange(ROWS), silent))
    splits = {**inputs.teacher_splits, "train": blank}
    requested = OutputSpec(Logits(), VocabularyScores(name) if name else None)
    recording = replace(inputs, teacher_splits=splits).recording("train", requested)
    kept = record(inputs.teacher.build(0), recording, torch.device("cpu"))
    rows = np.asarray([5, 0, 17, 3])
    count = sum(int(blank.label_counts()[row]) for row in rows)
    arrays = tokens_of(kept, rows) if name else {"logits": logits_of(kept, rows, LENGTH)}
    actual = list(arrays.values())
    assert [len(values) for values in actual] == [count] * len(actual)
    assert kept.coverage[1] == (blank.label_counts().sum() if name else 0)


@pytest.mark.parametrize(("dtype", "fits"), [("fp16", False), ("bf16", True), ("fp32", True)])
def test_states_too_large_for_fp16_fit_as_the_message_says(inputs, dtype, fits):
    model = inputs.teacher.build(0)
    with torch.no_grad():
        model.transformer.ln_f.weight.mul_(1e6)
    requested = OutputSpec(Logits(), VocabularyScores("hidden"))
    recording = replace(inputs, dtype=dtype).recording("train", requested)
    if not fits:
        with pytest.raises(TeacherError, match="larger than fp16") as caught:
            record(model, recording, torch.device("cpu"))
        assert caught.value.hint == "set teacher.dtype: bf16 or fp32"
        return
    states = tokens_of(record(model, recording, torch.device("cpu")), np.arange(3))["states"]
    assert states.float().abs().max() > 1e5
