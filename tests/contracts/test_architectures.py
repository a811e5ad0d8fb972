"""What raykd promises of any architecture of Transformers, on about sixty tiny random models.

Each works, works without something for a reason, or is refused with the reason; the table of the
package says which, and `raykd ls families` and docs/reference/models.md show it. A dozen run with
every change, the others are slow.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from raykd import registry
from raykd.data.base import Batch
from raykd.errors import SpecError
from raykd.models import weights
from raykd.models.architectures import tried
from raykd.models.architectures.checks import near
from raykd.models.architectures.probe import capabilities
from raykd.models.base import RandomInitConfig
from raykd.models.dropout import with_cheap_dropout
from raykd.models.forward import forward
from raykd.models.layer_selection import LAYERS, select_layers
from raykd.models.load import build_model, model_dims
from raykd.models.model_factory import factory_from_random_init
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.checkpoint_models import load_model
from tests.contracts.test_teacher_outputs import SERVED, case, compare
from tests.small_pairs import PAD, VOCABULARY, SmallPair, rows_of, task_of

FAST = {
    ("modernbert", "classification"), ("albert", "classification"), ("qwen3", "classification"),
    ("electra", "token_classification"), ("qwen3", "causal_lm"), ("gemma2", "causal_lm"),
    ("bart", "seq2seq"),
}  # fmt: skip
"""One of every sort: alternating attention, shared blocks, a decoder with a head for classes,
labels of tokens, a plain decoder, capped logits, an encoder-decoder."""
CASES = [
    pytest.param(name, kind, marks=() if (name, kind) in FAST else pytest.mark.slow)
    for name, kind in tried.CASES
]
AUTO = {
    "classification": transformers.AutoModelForSequenceClassification,
    "span": transformers.AutoModelForQuestionAnswering,
    "token_classification": transformers.AutoModelForTokenClassification,
    "masked_lm": transformers.AutoModelForMaskedLM,
    "causal_lm": transformers.AutoModelForCausalLM,
    "seq2seq": transformers.AutoModelForSeq2SeqLM,
    "embedding": transformers.AutoModel,
}
LAYERS_OF_TEACHER = 4


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_it_is_as_the_table_says(name, kind, tmp_path):
    """Also the contents of a family's promise, where it works."""
    random_init = tried.sizes(name)
    actual = capabilities(tried.config(name, kind))
    assert tried.entry(actual) == registry.tried()[name][kind]
    if actual.refused:
        with pytest.raises(SpecError, match="cannot be used for"):
            factory_from_random_init(random_init, vocabulary=60, kind=kind, num_labels=3)
        return
    model = build(random_init, kind).eval()
    batch = rows(model, kind)
    lacks = dict(actual.lacks)
    opens(model, batch, kind, tmp_path)
    pads(model, batch)
    if LAYERS not in lacks:
        cuts(model, batch, kind, tmp_path)
    learns(random_init, kind)
    # The positions of a pair for embeddings are those of two texts that were read apart.
    says_what_it_said(name, kind, "hidden_states" in lacks or kind == "embedding")


def build(random_init: RandomInitConfig, kind: str, seed: int = 0, **changes: Any) -> Any:
    return build_model(
        replace(random_init, **changes), vocabulary=VOCABULARY, kind=kind,
        num_labels=task_of(kind).num_labels, seed=seed,
    )  # fmt: skip


def rows(model: Any, kind: str) -> Batch:
    """Two rows of a batch, the second one padded with the token that really pads."""
    pair = SmallPair(kind=kind, task=task_of(kind), teacher=model, student=model,
                     rows=rows_of(kind, task_of(kind).num_labels))  # fmt: skip
    return pair.collator(pair.method("none"))(pair.rows, np.asarray([3, 2]))


def opens(model: Any, batch: Batch, kind: str, folder: Any) -> None:
    """Both ways: the library opens what raykd saves, raykd what the library saves; equal bits."""
    wanted = forward(model, batch).logits
    weights.save(weights.capture(model), folder / "ours")
    model.save_pretrained(folder / "theirs")
    opened = AUTO[kind].from_pretrained(folder / "ours").eval()
    assert torch.equal(forward(opened, batch).logits, wanted)
    count = task_of(kind).num_labels
    for saved in ("ours", "theirs"):
        again = load_model(str(folder / saved), kind=kind, num_labels=count).eval()
        assert torch.equal(forward(again, batch).logits, wanted)
    with_cheap_dropout(opened)
    assert torch.equal(forward(opened, batch).logits, wanted)


def pads(model: Any, batch: Batch) -> None:
    """Padding says nothing."""
    length = int(batch.attention_mask[1].sum())
    assert (batch.input_ids[1, length:] == PAD).all()
    labels = batch.labels[1:]
    if labels.dim() > 1 and labels.shape[1] == batch.input_ids.shape[1]:
        labels = labels[:, :length]
    alone = replace(
        batch, input_ids=batch.input_ids[1:, :length], labels=labels, index=batch.index[1:],
        attention_mask=batch.attention_mask[1:, :length],
        token_type_ids=batch.token_type_ids[1:, :length],
    )  # fmt: skip
    want = forward(model, alone).logits
    padded = forward(model, batch).logits[-len(want) :]
    # Begins and ends of spans have a place for every position.
    assert near(padded[..., :length] if padded.dim() == 3 else padded, want)


def cuts(model: Any, batch: Batch, kind: str, folder: Any) -> None:
    """A student of some blocks is one model for both, to the bit."""
    state = select_layers(weights.capture(model), (0, 2), keep_head=True)
    student = weights.restore(state).eval()
    assert model_dims(student).layers == 2
    weights.save(state, folder / "cut")
    opened = AUTO[kind].from_pretrained(folder / "cut").eval()
    wanted = forward(student, batch).logits
    assert torch.equal(forward(opened, batch).logits, wanted)
    assert not torch.equal(forward(model, batch).logits, wanted)


def learns(random_init: RandomInitConfig, kind: str) -> None:
    """Three steps of distillation move the student, twice the same way."""
    task = task_of(kind)
    teacher = build(random_init, kind, seed=1).eval().requires_grad_(False)
    trained = []
    for _ in range(2):
        student = build(random_init, kind, layers=2)
        pair = SmallPair(kind=kind, task=task, teacher=teacher, student=student,
                         rows=rows_of(kind, task.num_labels))  # fmt: skip
        begin = {name: value.clone() for name, value in student.state_dict().items()}
        method = pair.method("kd")
        job = pair.job(method, student, DistributedContext(device=torch.device("cpu")), epochs=1)
        train_model(job)
        trained.append(student.state_dict())
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())
    assert all(value.isfinite().all() for value in trained[0].values())
    moved = [name for name, value in trained[0].items() if not torch.equal(value, begin[name])]
    assert len(moved) > len(begin) / 2


def says_what_it_said(name: str, kind: str, only_logits: bool) -> None:
    """What is recorded of a teacher is what it says while it runs."""
    of = case(name, kind)
    count = of.inputs.teacher.dims.layers
    more = () if only_logits else hidden_states((0, count))
    output_spec = OutputSpec(Logits(), *more)
    for mode in SERVED:
        prepared, teacher = of.served(mode, output_spec=output_spec)
        read = teacher.outputs_fn(output_spec)
        for batch in of.batches(prepared):
            want = [of.plain(row) for row in batch.index.tolist()]
            compare(read(batch), want, of, batch, OutputSpec(Logits()))
