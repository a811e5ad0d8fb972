"""What a method reads of a teacher is what the teacher says of its own encoding of the rows.

For every family, kind of task, signal and way of serving: offline and online outputs are compared
with a plain pass of the teacher over each row alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raykd import registry
from raykd.data.base import (
    NO_LABEL,
    PREDICT,
    TEXT_KINDS,
    TOKEN_KINDS,
    DataSettings,
    Examples,
    TokenizedDataset,
)
from raykd.data.classification import TextClassification
from raykd.data.collate import Collator
from raykd.data.prompts import id_count
from raykd.data.table import Table
from raykd.losses.divergences import forward_kl
from raykd.losses.targets import Divergence
from raykd.methods.ckd import WordGram
from raykd.models.base import ModelDims, Outputs, RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.families.base import family_named
from raykd.models.forward import forward
from raykd.models.model_factory import ModelFactory, factory_from_random_init
from raykd.models.signals.attention_maps import AttentionMap, attention_maps
from raykd.models.signals.attention_projections import MODULES, AttentionProjection
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.features import Transformed
from raykd.models.signals.generations import Generations
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.models.signals.unrecorded import needs_running_model
from raykd.models.tokenizers import train_tokenizer
from raykd.params import build
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.prepare import prepare
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.teacher import Teacher
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.training.device import DistributedContext, Precision
from raykd.training.loop import TrainJob, train_model
from raykd.training.settings import TrainSettings
from raykd.training.student_runner import StudentRunner
from tests.small_pairs import task_of

LENGTH, CONTEXT_PADDING, LAYERS = 24, 2, 2
TOLERANCE = 2e-5
WORLD = DistributedContext(device=torch.device("cpu"))
SERVED = ("outputs", "weights")
ALL = OutputSpec(
    Logits(), *hidden_states("all"), *attention_maps("all"), context_padding=CONTEXT_PADDING
).resolved(ModelDims(layers=LAYERS, hidden=1, heads=1, vocabulary=1))
LOGITS = OutputSpec(Logits())


def signals_of(family: str) -> OutputSpec:
    """Every signal that a model of a family gives."""
    of = OutputSpec(*(AttentionProjection(0, which) for which in ("query", "key", "value")))
    return ALL.union(of) if family in MODULES else ALL


# Batches of rows in any order, one of them twice, and a short last one.
BATCHES = (np.asarray([3, 9, 0, 7]), np.asarray([5, 5, 2]), np.asarray([8]))
ROWS = 10
PAD_T, PAD_S = 9, 4  # rows of the matrices beyond the tokens of the tokenizer


def texts() -> Examples:
    """Sentences of uneven lengths, some of them longer than a row may be."""
    rows = registry.load("tasks", "toy/sentiment").load("train", DataSettings(limit=ROWS))
    (given,) = rows.texts
    longer = tuple(t if k % 4 else " ".join([t] * 4) for k, t in enumerate(given))
    return replace(rows, texts=(longer,))


def of_kind(kind: str) -> tuple[Any, Examples]:
    """A task of a kind, and rows of it."""
    rows = texts()
    if kind == "classification":
        return registry.load("tasks", "toy/sentiment"), rows
    if kind == "regression":
        task = TextClassification(
            name="own", about="", hub=("", ""), kind="regression", labels=(), metric="pearson",
            metrics=("pearson",), texts=("text",),
        )  # fmt: skip
        return task, replace(rows, labels=rows.labels.astype(np.float32))
    if kind == "choices":
        task = registry.load("tasks", "super_glue/copa")
        columns: dict[str, list[Any]] = {
            "premise": list(rows.texts[0]), "choice1": ["good"] * ROWS,
            "choice2": ["not bad"] * ROWS, "question": ["why"] * ROWS,
            "label": [k % 2 for k in range(ROWS)],
        }  # fmt: skip
        return task, task.read_table(Table(columns=columns, origin="made"))
    if kind == "span":
        task = replace(registry.load("tasks", "squad"), overlap=4, query_length=6)
        columns = {
            "question": ["what"] * ROWS, "context": list(rows.texts[0]),
            "answers": [{"text": [t.split()[1]], "answer_start": [t.find(t.split()[1])]}
                        for t in rows.texts[0]],
        }  # fmt: skip
        return task, task.read_table(Table(columns=columns, origin="made"))
    if kind == "embedding":
        (given,) = rows.texts
        scores = np.linspace(0, 1, len(given), dtype=np.float32)
        return task_of(kind), replace(rows, texts=(given, given[::-1]), labels=scores)
    if kind == "masked_lm":
        return registry.load("tasks", "text"), rows
    if kind == "token_classification":
        task = task_of(kind)
        words = [t.split() for t in rows.texts[0]]
        tags = [[task.labels[k % len(task.labels)] for k in range(len(row))] for row in words]
        return task, task.read_table(Table(columns={"words": words, "tags": tags}, origin="made"))
    task = replace(registry.load("tasks", "toy_text/replies"), max_new_tokens=5)
    rows = task.load("train", DataSettings(limit=ROWS))
    message = tuple(t if k % 3 else t[:3] for k, t in enumerate(rows.texts[1]))
    return task.read_by(kind), replace(rows, texts=(rows.texts[0], message))


@functools.cache
def tokenizer(family: str, other: bool) -> Any:
    """Two tokenizers for a family, which split text differently."""
    every = list(texts().texts[0])
    if other:
        every = [t[: len(t) // 3] for t in every]
    size = (330, 300)[other]
    if specials := family_named(family).specials:
        return train_bpe(every, size, specials)
    return train_tokenizer(every, (180, 90)[other])


def factory(family: str, kind: str, task: Any, vocabulary: int, hidden: int) -> ModelFactory:
    random_init = RandomInitConfig(
        family=family, layers=LAYERS, hidden=hidden, heads=2, max_positions=LENGTH + CONTEXT_PADDING
    )
    return factory_from_random_init(
        random_init, vocabulary=vocabulary, kind=kind, num_labels=task.num_labels
    )


@dataclass(frozen=True, eq=False)
class Case:
    """A teacher, and rows as it and as its student read them."""

    inputs: TaskInputs
    model: nn.Module

    def prepared(self, **changes: Any) -> PreparedTask:
        made = prepare(replace(self.inputs, **changes), WORLD, lambda *progress: None)
        assert made is not None
        return made[0]

    def served(self, mode: str, **changes: Any) -> tuple[PreparedTask, Teacher]:
        prepared = self.prepared(mode=mode, **changes)
        assert (prepared.cached_outputs is None) == (mode == "weights")
        return prepared, open_teacher(prepared, WORLD)

    def plain(
        self, row: int, context_padding: int = 0, rows: TokenizedDataset | None = None
    ) -> Outputs:
        """What the teacher says of one of its own rows, alone."""
        collate = Collator(
            self.inputs.teacher_pad, max_length=LENGTH, context_padding=context_padding
        )
        read = self.inputs.teacher_splits["train"] if rows is None else rows
        batch = collate(read, np.asarray([row]))
        every = signals_of(self.inputs.teacher.dims.family)
        with torch.no_grad():
            return forward(self.model, batch, output_spec=every if context_padding else ())

    def batches(
        self, prepared: PreparedTask, context_padding: int = 0, role: str = "train"
    ) -> Iterator[Any]:
        collate = Collator(prepared.pad_id, max_length=LENGTH, context_padding=context_padding)
        split = prepared.splits[role]
        return (collate(split, rows % len(split)) for rows in BATCHES)


@functools.cache
def case(family: str, of: str, other: bool = False, explain: bool = False) -> Case:
    """PreparedTask once for all tests of this module."""
    kind = "classification" if of == "choices" else of
    task, rows = of_kind(of)
    tokens = tokenizer(family, False), tokenizer(family, other)
    expected, computed = (task.encode(rows, t, LENGTH) for t in tokens)
    if explain:
        expected = task.views(rows, tokens[0], LENGTH)[PREDICT]
    assert other == (not np.array_equal(expected.input_ids, computed.input_ids)) or explain
    more = (PAD_T, PAD_S) if kind in TOKEN_KINDS else (0, 0)
    sizes = [id_count(t) + n for t, n in zip(tokens, more, strict=True)]
    teacher, student = (
        factory(family, kind, task, n, hidden) for n, hidden in zip(sizes, (16, 8), strict=True)
    )
    few = [task.encode(rows.take(np.arange(2)), t, LENGTH) for t in tokens]
    splits = [
        {"train": replace(train, references=None), "validation": scored, "test": scored}
        for train, scored in zip((expected, computed), few, strict=True)
    ]
    inputs = TaskInputs(
        task=task, teacher_splits=splits[0], student_splits=splits[1], teacher=teacher,
        teacher_pad=tokens[0].pad_token_id, finetune=None, finetune_seed=0,
        explain=0.5 if explain else 0.0, student=student, student_pad=tokens[1].pad_token_id,
        same_tokens=not other, max_length=LENGTH, vocabulary=id_count(tokens[0]),
        output_spec=LOGITS,
        teacher_analyses=(), mode="outputs", dtype="fp32", fingerprint="f00d",
    )  # fmt: skip
    return Case(inputs, teacher.build(0).eval().requires_grad_(False))


def families(kind: str) -> list[str]:
    return [
        name for name in registry.variants("families")
        if kind in registry.load("families", name).kinds
    ]  # fmt: skip


PAIRS = [
    (family, kind)
    for kind in ("classification", "span", "masked_lm", *TEXT_KINDS)
    for family in families(kind)
]


def compare(
    actual: Outputs, want: list[Outputs], of: Case, batch: Any, output_spec: OutputSpec
) -> None:
    """Outputs of a batch with those of its rows alone."""
    shared = of.inputs.context().compared_vocabulary
    lengths = of.inputs.teacher_splits["train"].lengths()[batch.index.numpy()]
    if Logits() in output_spec:
        if actual.logits.dim() == 3:
            assert actual.logits.shape[2] == batch.input_ids.shape[1]
            for mine, alone, n in zip(actual.logits, want, lengths, strict=True):
                assert torch.allclose(mine[:, :n], alone.logits[0, :, :n], atol=TOLERANCE)
        else:
            alone = torch.cat([out.logits[..., :shared] for out in want])
            assert actual.logits.shape == alone.shape
            assert torch.allclose(actual.logits, alone, atol=TOLERANCE)
    for signal in (s for s in output_spec.by_position if not isinstance(s, AttentionMap)):
        for row, (alone, n) in enumerate(zip(want, lengths, strict=True)):
            upto = (
                min(n + output_spec.context_padding, LENGTH) if signal.uses_context_padding else n
            )
            mine, expected = actual.read(signal)[row, :upto], alone.read(signal)[0, :upto]
            assert torch.allclose(mine, expected, atol=TOLERANCE)
    for block in (s.block for s in output_spec if isinstance(s, AttentionMap)):
        for row, (alone, n) in enumerate(zip(want, lengths, strict=True)):
            mine = actual.attention(block)[row, :, :n, :n]
            assert torch.allclose(mine, alone.attention(block)[0, :, :n, :n], atol=TOLERANCE)


@pytest.mark.parametrize("mode", SERVED)
@pytest.mark.parametrize(("family", "kind"), PAIRS)
def test_every_signal_is_that_of_the_row_alone(family, kind, mode):
    of = case(family, kind)
    output_spec = LOGITS if kind == "seq2seq" else signals_of(family)
    prepared, teacher = of.served(mode, output_spec=output_spec)
    read = teacher.outputs_fn(output_spec)
    for batch in of.batches(prepared, output_spec.context_padding):
        want = [of.plain(row, output_spec.context_padding) for row in batch.index.tolist()]
        compare(read(batch), want, of, batch, output_spec)


@pytest.mark.parametrize("family", sorted({family for family, _ in PAIRS} - {"t5"}))
def test_what_padding_holds_depends_on_its_row_alone(family):
    of = case(family, "classification" if family in families("classification") else "causal_lm")
    short = int(of.inputs.teacher_splits["train"].lengths().argmin())
    one, two = (
        of.plain(short, context_padding).hidden(LAYERS)
        for context_padding in (CONTEXT_PADDING, 2 * CONTEXT_PADDING)
    )
    assert torch.allclose(one, two[:, : one.shape[1]], atol=TOLERANCE)


@pytest.mark.parametrize("mode", SERVED)
@pytest.mark.parametrize("kind", ["classification", "regression", "choices"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_teacher_with_other_tokens_reads_its_own(family, kind, mode):
    """Also rows that are cut for one of the two only, and longer or shorter ones."""
    of = case(family, kind, other=True)
    expected, computed = (
        s["train"].lengths() for s in (of.inputs.teacher_splits, of.inputs.student_splits)
    )
    assert (expected < computed).any()
    assert len(expected) == len(computed)
    prepared, teacher = of.served(mode)
    for batch in of.batches(prepared):
        want = [of.plain(row) for row in batch.index.tolist()]
        compare(teacher.outputs_fn(LOGITS)(batch), want, of, batch, LOGITS)


@pytest.mark.parametrize("mode", SERVED)
@pytest.mark.parametrize(("family", "kind"), [("gpt2", "causal_lm"), ("t5", "seq2seq")])
def test_rows_whose_teacher_text_is_longer_than_the_students(family, kind, mode):
    """A teacher that learnt to explain reads the name of the task before every prompt."""
    of = case(family, kind, explain=True)
    expected, computed = (
        s["train"].lengths() for s in (of.inputs.teacher_splits, of.inputs.student_splits)
    )
    assert (expected >= computed).all()
    assert (expected > computed).any()
    counts = of.inputs.teacher_splits["train"].label_counts()
    kept = counts == of.inputs.student_splits["train"].label_counts()
    prepared, teacher = of.served(mode)
    for batch in of.batches(prepared):
        if kept[batch.index.numpy()].all():
            want = [of.plain(row) for row in batch.index.tolist()]
            compare(teacher.outputs_fn(LOGITS)(batch), want, of, batch, LOGITS)


@pytest.mark.parametrize("mode", SERVED)
def test_feature_transforms_are_those_of_the_hidden_states(mode):
    of = case("bert", "classification")
    words = WordGram((0, LAYERS), CONTEXT_PADDING)
    requested = OutputSpec(Logits(), *hidden_states((0, LAYERS)), context_padding=CONTEXT_PADDING)
    recorded = OutputSpec(
        Logits(), *(Transformed(of) for of in (words,)), context_padding=CONTEXT_PADDING
    )
    prepared, teacher = of.served(mode, output_spec=recorded)
    for batch in of.batches(prepared, CONTEXT_PADDING):
        mask = batch.attention_mask
        actual = teacher.outputs_fn(requested, (words,))(batch).transformed(words, mask).inner
        for row, number in enumerate(batch.index.tolist()):
            n = int(mask[row].sum())
            alone = of.plain(number, CONTEXT_PADDING)
            length = alone.hidden(0).shape[1]
            want = alone.transformed(words, (torch.arange(length) < n).long()[None]).inner
            places = slice(row, None, len(mask))
            assert torch.allclose(actual[places, :n, :n], want[:, :n, :n], atol=1e-4)


@pytest.mark.parametrize("cache", ["hidden", "top_k:64", "top_k:1000", "sampled:3000"])
@pytest.mark.parametrize(("family", "kind"), [(f, k) for f, k in PAIRS if k in TEXT_KINDS])
def test_caches_of_a_vocabulary_say_what_the_scores_do(family, kind, cache):
    """In padded vocabularies too: the rest of both matrices is nothing."""
    of = case(family, kind)
    output_spec = OutputSpec(Logits(), VocabularyScores(cache))
    if kind == "causal_lm":
        output_spec = ALL.union(output_spec)
    prepared, teacher = of.served("outputs", output_spec=output_spec)
    shared = prepared.context().shared_vocabulary
    assert shared == of.inputs.vocabulary < prepared.student.dims.vocabulary
    read = teacher.outputs_fn(output_spec.without(VocabularyScores))
    for batch in of.batches(prepared, output_spec.context_padding):
        want = [of.plain(row, output_spec.context_padding) for row in batch.index.tolist()]
        actual = read(batch)
        compare(actual, want, of, batch, output_spec.without(Logits))
        expected = torch.cat([out.logits[:, :shared] for out in want])
        torch.manual_seed(0)
        mine = torch.randn(len(expected), prepared.student.dims.vocabulary)
        got = actual.target.distance(mine, slice(0, len(mine)), Divergence())
        full = forward_kl(mine[:, :shared], expected)
        if cache.startswith("sampled"):
            entropy = -(expected.softmax(-1) * expected.log_softmax(-1)).sum(-1)
            assert torch.allclose(got, full + entropy, atol=0.15)
        elif cache == "top_k:64":
            assert (got <= full + 1e-3).all()
        else:
            assert torch.allclose(got, full, atol=TOLERANCE if cache == "hidden" else 3e-3)


@pytest.mark.parametrize("mode", SERVED)
@pytest.mark.parametrize(("family", "kind"), [("gpt2", "causal_lm"), ("t5", "seq2seq")])
def test_text_that_the_teacher_wrote_is_the_same_however_it_is_served(family, kind, mode):
    of = case(family, kind)
    prepared, _ = of.served(mode, output_spec=OutputSpec(Generations()))
    written, given = prepared.splits[Generations.texts], prepared.splits["train"]
    assert [written.prompt(k).tolist() for k in range(ROWS)] == [
        given.prompt(k).tolist() for k in range(ROWS)
    ]
    again, _ = of.served(SERVED[mode == "outputs"], output_spec=OutputSpec(Generations()))
    assert np.array_equal(written.labels, again.splits[Generations.texts].labels)
    own = written.labels[written.labels != NO_LABEL]
    assert own.max() < of.inputs.context().shared_vocabulary


def test_scores_of_text_that_the_teacher_wrote_are_of_that_text():
    """A method that trains on it needs the online teacher: the cache is of other responses."""
    of = case("gpt2", "causal_lm")
    requested = OutputSpec(Generations(), Logits())
    assert needs_running_model(requested)
    prepared, teacher = of.served("weights", output_spec=requested)
    for batch in of.batches(prepared, role=Generations.texts):
        rows = prepared.splits[Generations.texts]
        want = [of.plain(row, rows=rows) for row in batch.index.tolist()]
        compare(teacher.outputs_fn(requested)(batch), want, of, batch, requested)
    _, recorded = of.served("outputs", output_spec=requested)
    with pytest.raises(LookupError, match="text that is not recorded"):
        recorded.outputs_fn(requested)


class Biased(ModelFactory):
    """A decoder whose output layer adds something."""

    def build(self, seed: int) -> nn.Module:
        model: Any = super().build(seed)
        head = nn.Linear(16, self.dims.vocabulary)
        head.weight = model.lm_head.weight
        nn.init.normal_(head.bias, std=3.0, generator=torch.Generator().manual_seed(1))
        model.lm_head = head
        return model.train()


def test_the_bias_of_an_output_layer_is_kept_next_to_hidden_states():
    of = case("gpt2", "causal_lm")
    given = of.inputs.teacher
    biased = Biased(kind=given.kind, num_labels=1, dims=given.dims, random_init=given.random_init)
    of = Case(replace(of.inputs, teacher=biased), biased.build(0).eval())
    prepared, teacher = of.served(
        "outputs", output_spec=OutputSpec(Logits(), VocabularyScores("hidden"))
    )
    for batch in of.batches(prepared):
        want = [of.plain(row) for row in batch.index.tolist()]
        compare(teacher.outputs_fn(LOGITS)(batch), want, of, batch, LOGITS)


@pytest.mark.parametrize(("dtype", "error"), [("fp16", 2**-11), ("bf16", 2**-8), ("fp32", 1e-7)])
def test_token_states_are_kept_as_hidden_states_are(dtype, error):
    of = case("gpt2", "causal_lm")
    output_spec = OutputSpec(Logits(), VocabularyScores("hidden"), *hidden_states((1,)))
    prepared, _ = of.served("outputs", output_spec=output_spec, dtype=dtype)
    cached_outputs = prepared.cached_outputs
    assert cached_outputs is not None
    stored: Mapping[str, int] = cached_outputs.stored()
    tokens = int(prepared.splits["train"].label_counts().sum())
    assert stored["tokens"] == tokens * 16 * (4 if dtype == "fp32" else 2)
    assert sum(stored.values()) == int(
        replace(of.inputs, dtype=dtype).recording("train", output_spec).row_bytes.sum()
    )
    assert cached_outputs.error()["tokens"] <= error
    assert dtype == "fp32" or cached_outputs.error()["tokens"] > error / 8


def test_a_student_whose_matrix_is_larger_or_smaller_is_compared_over_what_both_have():
    """Cut on both sides with the mass that is left made 1, for every divergence."""
    of = case("gpt2", "causal_lm")
    for computed, expected in ((PAD_S, PAD_T), (PAD_T, PAD_S), (0, PAD_T), (PAD_T, 0)):
        given = of.inputs
        sizes = [given.vocabulary + n for n in (computed, expected)]
        student, teacher = (
            factory("gpt2", "causal_lm", given.task, n, hidden)
            for n, hidden in zip(sizes, (8, 16), strict=True)
        )
        pair = Case(replace(given, student=student, teacher=teacher), teacher.build(0).eval())
        for mode in SERVED:
            prepared, opened = pair.served(mode)
            batch = next(pair.batches(prepared))
            target = opened.outputs_fn(LOGITS)(batch).target
            message = torch.cat([pair.plain(row).logits for row in batch.index.tolist()])
            mine = torch.randn(len(message), sizes[0], generator=torch.Generator().manual_seed(0))
            got = target.distance(mine, slice(0, len(mine)), Divergence(kind="reverse_kl"))
            q, p = (F.log_softmax(x[:, : given.vocabulary], -1) for x in (mine, message))
            assert torch.allclose(got, (q.exp() * (q - p)).sum(-1), atol=1e-5)


MASKED = tuple(
    name
    for name in registry.names("methods")
    if "masked_lm" in registry.load("methods", name).kinds
    and registry.load("methods", name).requires.cacheable
)


@pytest.mark.parametrize("mode", SERVED)
@pytest.mark.parametrize("name", MASKED)
def test_methods_on_masked_words_take_vocabularies_of_other_sizes(name, mode):
    of = case("bert", "masked_lm")
    size = id_count(tokenizer("bert", False)) + PAD_S
    student = factory("bert", "masked_lm", of.inputs.task, size, hidden=16)
    of = Case(replace(of.inputs, student=student), of.model)
    declared = registry.params_of("methods", name)
    # What such small models can do of it.
    wanted: dict[str, Any] = {"stark": {"sparsity": 0}, "ckd_adaptive": {"min_depth": 1.0}}
    made = registry.load("methods", name)(
        build(declared, wanted.get(name, {})), of.inputs.context()
    )
    assert made.refusal() == ""
    output_spec = made.teacher_outputs()
    kinds = {signal.kind for signal in output_spec}
    listed = output_spec.union(OutputSpec(*(s for s in ALL if s.kind in kinds)))
    prepared, teacher = of.served(mode, output_spec=listed)
    result = train_model(
        TrainJob(
            model=prepared.student.build(0), method=made, task=of.inputs.task,
            train=prepared.splits["train"], validation=None,
            teacher=teacher.outputs_fn(output_spec, made.feature_transforms()),
            settings=TrainSettings(epochs=1, batch_size=4),
            collator=Collator(
                prepared.pad_id, max_length=LENGTH, context_padding=output_spec.context_padding
            ),
            seed=0,
            world=WORLD, on_evaluation=lambda evaluation: False,
        )
    )  # fmt: skip
    assert all(np.isfinite(list(result.history[-1].terms.values())))


@pytest.mark.parametrize("mode", SERVED)
def test_masked_words_are_compared_over_the_words_that_both_know(mode):
    of = case("bert", "masked_lm")
    prepared, teacher = of.served(mode)
    shared = prepared.context().shared_vocabulary
    batch = next(of.batches(prepared))
    model = prepared.student.build(0).eval()
    method = registry.load("methods", "kd")(
        build(registry.params_of("methods", "kd"), {"alpha": 0.4, "temperature": 3.0}),
        prepared.context(),
    )
    student = StudentRunner(
        model, of.inputs.task, Precision("fp32", "cpu"), context=prepared.context(),
        output_spec=OutputSpec(),
    )  # fmt: skip
    terms = method.step(batch, student, teacher.outputs_fn(LOGITS))
    logits = forward(model, batch).logits
    labels = batch.labels[batch.labels != NO_LABEL]
    expected = torch.cat([of.plain(row).logits for row in batch.index.tolist()])
    q, p = ((x[:, :shared] / 3.0).log_softmax(-1) for x in (logits, expected))
    # Labels are compared with all that the student has.
    want = 0.6 * F.cross_entropy(logits, labels) + 0.4 * 9 * (p.exp() * (p - q)).sum(-1).mean()
    assert torch.allclose(terms.total(), want, atol=1e-4)


@pytest.mark.parametrize("family", families("classification"))
def test_tokens_are_what_the_library_makes_of_them(family):
    """Whatever padding is shown."""
    of = case(family, "classification")
    rows = of.inputs.teacher_splits["train"]
    batch = Collator(of.inputs.teacher_pad, max_length=LENGTH, context_padding=CONTEXT_PADDING)(
        rows, BATCHES[0]
    )
    marks = {}
    if family_named(family).takes_token_types(of.model.config):
        marks = {"token_type_ids": batch.token_type_ids}
    with torch.no_grad():
        plain = of.model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask,
            output_hidden_states=True, **marks,
        )  # fmt: skip
        actual = forward(of.model, batch, output_spec=hidden_states(range(LAYERS + 1)))
    assert torch.equal(actual.logits, plain.logits)
    is_token = batch.attention_mask.bool()
    for layer in range(LAYERS + 1):
        assert torch.equal(actual.hidden(layer)[is_token], plain.hidden_states[layer][is_token])
