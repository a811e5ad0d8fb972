"""SinKD where text is written: rows of the distance are answer choices, or tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd import registry
from raykd.data.answer_choices import CHOICE_POSITION, CHOICE_TOKENS
from raykd.data.base import NO_LABEL, TEXT_KINDS, Batch
from raykd.data.collate import Collator
from raykd.data.table import Table
from raykd.losses.logits import soft_cross_entropy
from raykd.losses.sinkhorn import sinkhorn_distance
from raykd.losses.vocabulary import LazyLogits
from raykd.methods._logit_views import at_choices, spread
from raykd.methods.base import LossTerms
from raykd.methods.sinkd import METHOD, Params
from raykd.models.base import Outputs, RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.forward import forward
from raykd.models.load import build_model
from raykd.models.signals.answer_choices import AnswerChoices
from tests.unit.methods import setups

GOLDEN = Path(__file__).parents[2] / "golden" / "sinkd_seq.npz"
WIDTH, VOCABULARY = 6, 20
# Rows of 2, 3 and 1 tokens; the choices of the second row differ in its second token.
LABELS = torch.tensor(
    [[NO_LABEL, 4, 1, NO_LABEL], [9, 7, 1, NO_LABEL], [NO_LABEL, NO_LABEL, NO_LABEL, 5]]
)
CHOICES = torch.tensor([[4, 5, 6], [7, 8, NO_LABEL], [4, 5, 6]])
CHOICE_AT = torch.tensor([0, 1, 0])
TOKENS = [0, 3, 5]
"""Where the tokens that tell choices apart are among the six that have a label."""


def batch(labels: Tensor = LABELS, *, choices: bool = True) -> Batch:
    return Batch(
        input_ids=labels.clamp_min(0), attention_mask=torch.ones_like(labels),
        token_type_ids=torch.zeros_like(labels), labels=labels, index=torch.arange(len(labels)),
        columns={CHOICE_TOKENS: CHOICES, CHOICE_POSITION: CHOICE_AT} if choices else {},
    )  # fmt: skip


class Side:
    """States and an output matrix, which collect gradients."""

    def __init__(self, seed: int, tokens: int = 6, vocabulary: int = VOCABULARY) -> None:
        random = torch.Generator().manual_seed(seed)
        self.states = torch.randn(tokens, WIDTH, generator=random, dtype=torch.float64)
        self.weight = torch.randn(vocabulary, WIDTH, generator=random, dtype=torch.float64)
        for leaf in self.leaves:
            leaf.requires_grad_()

    @property
    def leaves(self) -> tuple[Tensor, Tensor]:
        return self.states, self.weight

    @property
    def logits(self) -> Tensor:
        return F.linear(self.states, self.weight)

    def outputs(self) -> Outputs:
        return Outputs(lazy_logits=LazyLogits(self.states, self.weight, None, torch.float64))


def context(kind: str = "seq2seq"):
    return setups.context(kind)


def run(student: Side, teacher: Outputs, of: Batch | None = None, **values) -> LossTerms:
    method = METHOD(Params(**values), context())
    return method.loss(of or batch(), student.outputs(), teacher)


def by_hand(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of the choices, the missing one of the second row at minus infinity."""
    both = []
    for logits in (student, teacher):
        scores = torch.stack(
            [logits[at][ids.clamp_min(0)] for at, ids in zip(TOKENS, CHOICES, strict=True)]
        )
        both.append(scores.masked_fill(CHOICES == NO_LABEL, -torch.inf))
    return both[0], both[1]


@pytest.mark.parametrize("dense", [False, True])
def test_choices_are_read_where_they_differ_first(dense):
    side = Side(0)
    outputs = Outputs(logits=side.logits) if dense else side.outputs()
    actual = at_choices(outputs, batch())
    wanted, _ = by_hand(side.logits, side.logits)
    assert torch.allclose(actual.softmax(-1), wanted.softmax(-1))
    assert actual[1, 2].exp() == 0


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("view", ["choices", "tokens"])
def test_value_and_gradient_are_those_of_the_whole_scores(view, dense):
    student, teacher = Side(0), Side(1)
    teacher_outputs = Outputs(logits=teacher.logits.detach()) if dense else teacher.outputs()
    terms = run(
        student,
        teacher_outputs,
        view=view,
        alpha=0.3,
        temperature=1.5,
        beta=2.0,
        sinkhorn_scale=0.5,
    )
    terms.total().backward()
    mine = [leaf.grad.clone() for leaf in student.leaves]
    for leaf in student.leaves:
        leaf.grad = None
    labels = LABELS[LABELS != NO_LABEL]
    hard = 0.7 * F.cross_entropy(student.logits, labels)
    fixed = teacher.logits.detach()
    soft = 0.3 * soft_cross_entropy(student.logits, fixed, temperature=1.5).mean()
    pair = by_hand(student.logits, fixed) if view == "choices" else (student.logits, fixed)
    distance = sinkhorn_distance(*pair)
    (hard + soft + distance).backward()
    assert terms["loss"].item() == pytest.approx((hard + soft).item(), rel=1e-6)
    assert terms["sinkhorn"].item() == pytest.approx(distance.item(), rel=1e-6)
    assert terms.metrics["task"].item() == pytest.approx(hard.item(), rel=1e-6)
    assert terms.metrics["distil"].item() == pytest.approx(soft.item(), rel=1e-6)
    for got, leaf in zip(mine, student.leaves, strict=True):
        assert torch.allclose(got, leaf.grad, rtol=1e-4, atol=1e-6)
    assert all(leaf.grad is None for leaf in teacher.leaves)


@pytest.mark.parametrize("case", range(2))
def test_on_tokens_it_is_the_golden_value(case):
    golden = np.load(GOLDEN)
    arrays = {
        name: torch.from_numpy(golden[f"s{case}_{name}"])
        for name in ("student_logits", "teacher_logits", "labels")
    }
    labels = arrays["labels"]
    valid = labels != NO_LABEL
    logits = arrays["student_logits"][valid].clone().requires_grad_()
    # An output matrix that changes nothing: states are the scores.
    student = Outputs(lazy_logits=LazyLogits(logits, torch.eye(logits.shape[1])))
    teacher_outputs = Outputs(logits=arrays["teacher_logits"][valid])
    of = batch(labels, choices=False)
    method = METHOD(Params(view="tokens", alpha=1.0, beta=1.0, temperature=1.0), context())
    terms = method.loss(of, student, teacher_outputs)
    assert terms["sinkhorn"].item() == pytest.approx(
        float(golden[f"s{case}_value__tokens2d"]), rel=1e-5
    )
    assert terms["loss"].item() == pytest.approx(
        float(golden[f"s{case}_value__kl_valid"]), rel=1e-5
    )
    for name, term in (("tokens2d", "sinkhorn"), ("kl_valid", "loss")):
        (grad,) = torch.autograd.grad(terms[term], logits, retain_graph=True)
        wanted = torch.from_numpy(golden[f"s{case}_grad__{name}"])[valid]
        assert torch.allclose(grad, wanted, atol=1e-5 * wanted.abs().max().item(), rtol=1e-4)


def test_at_most_so_many_tokens_are_transported():
    assert spread(5, 5, torch.device("cpu")).tolist() == [0, 1, 2, 3, 4]
    assert spread(9, 3, torch.device("cpu")).tolist() == [0, 4, 8]
    assert spread(9, 1, torch.device("cpu")).tolist() == [0]
    many = spread(100_001, 256, torch.device("cpu"))
    assert len(set(many.tolist())) == 256
    assert many[-1] == 100_000
    student, teacher = Side(0), Side(1)
    terms = run(
        student, teacher.outputs(), view="tokens", max_tokens=2, beta=1.0, sinkhorn_scale=1.0
    )
    ends = [0, 5]
    wanted = sinkhorn_distance(student.logits[ends], teacher.logits[ends])
    assert terms["sinkhorn"].item() == pytest.approx(wanted.item(), rel=1e-6)


def test_a_padded_vocabulary_is_cut_to_the_shared_one():
    student, teacher = Side(0), Side(1, vocabulary=VOCABULARY + 4)
    short = Outputs(logits=teacher.logits.detach()[:, :VOCABULARY])
    for view in ("choices", "tokens"):
        long = run(student, teacher.outputs(), view=view)
        assert long.total().item() == pytest.approx(run(student, short, view=view).total().item())


def test_a_weight_of_zero_is_the_term_left_out_and_nothing_read_for_it():
    teacher = Side(1).outputs()
    assert set(run(Side(0), teacher, beta=0.0)) == {"loss"}
    assert set(run(Side(0), teacher, alpha=0.0).metrics) == {"task"}
    assert set(run(Side(0), teacher, alpha=1.0).metrics) == {"distil"}
    plain = run(Side(0), Outputs(), alpha=0.0, beta=0.0)
    labels = LABELS[LABELS != NO_LABEL]
    assert plain.total().item() == pytest.approx(F.cross_entropy(Side(0).logits, labels).item())


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_choices_are_requested_where_they_are_viewed(kind):
    def requested(of: str = kind, **values) -> bool:
        return AnswerChoices() in METHOD(Params(**values), context(of)).teacher_outputs()

    assert requested()
    assert not requested(view="tokens")
    assert not requested(beta=0.0)
    assert not requested("classification")
    assert METHOD(Params(), context(kind)).refusal() == ""
    other = setups.context(kind, same_tokens=False)
    assert "split text differently" in METHOD(Params(), other).refusal()


FAMILY = {"causal_lm": "gpt2", "seq2seq": "t5"}
COPA = {
    "premise": ["It rained.", "Ann was late.", "Bea ran."],
    "question": ["effect", "cause", "effect"],
    "choice1": ["She got wet.", "She overslept.", "She won."],
    "choice2": ["He sang.", "She oversaw a team.", "She was tired."],
    "label": [0, 1, 1],
}


class Real:
    """Small models of a kind, and rows whose choices differ first in their first token or later."""

    def __init__(self, kind: str) -> None:
        task = registry.load("tasks", "super_glue_prompts/copa").read_by(kind)
        self.kind = kind
        self.rows = task.read_table(Table(columns=COPA, origin="made up"))
        self.tokenizer = train_bpe(self.rows.texts[0], 300, ("<pad>", "</s>"))
        self.encoded = task.encode(self.rows, self.tokenizer, 256)
        self.batch = Collator(0, max_length=256)(self.encoded, np.arange(3))

    def model(self, seed: int):
        random_init = RandomInitConfig(
            family=FAMILY[self.kind], layers=2, hidden=16, heads=2, max_positions=256, dropout=0.0
        )
        vocabulary = len(self.tokenizer)
        made = build_model(
            random_init, vocabulary=vocabulary, kind=self.kind, num_labels=1, seed=seed
        )
        return made.eval()


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_the_scores_are_those_of_the_model_after_what_the_choices_share(kind):
    """A model that reads a prompt and the shared beginning, and nothing after it, says the same."""
    real = Real(kind)
    rows, tokenizer, encoded, batch = real.rows, real.tokenizer, real.encoded, real.batch
    assert encoded.columns[CHOICE_POSITION][0] == 0
    assert encoded.columns[CHOICE_POSITION][1] > 0
    model = real.model(seed=0)
    actual = at_choices(forward(model, batch), batch)
    for row, at in enumerate(encoded.columns[CHOICE_POSITION]):
        shared = torch.tensor(tokenizer(rows.texts[1][row])["input_ids"][:at], dtype=torch.long)
        prompt = torch.from_numpy(encoded.prompt(row).astype(np.int64))
        if kind == "causal_lm":
            read = {"input_ids": torch.cat([prompt, shared])[None]}
        else:
            start = torch.tensor([model.config.decoder_start_token_id])
            read = {
                "input_ids": prompt[None],
                "decoder_input_ids": torch.cat([start, shared])[None],
            }
        with torch.no_grad():
            scores = model(**read).logits[0, -1]
        message = [tokenizer(text)["input_ids"] for text in rows.fields["choices"][row]]
        assert torch.allclose(actual[row], scores[[ids[at] for ids in message]], atol=1e-5)


# Distributions over a vocabulary are approached more slowly than those over two choices.
@pytest.mark.parametrize(("view", "share"), [("choices", 0.5), ("tokens", 0.8)])
@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_the_distance_alone_leads_a_student_to_its_teacher(kind, view, share):
    real = Real(kind)
    student, teacher = real.model(seed=1), real.model(seed=2)
    with torch.no_grad():
        teacher_outputs = forward(teacher, real.batch)
    method = METHOD(Params(view=view, sinkhorn_scale=1.0, sinkhorn_temperature=1.0), context(kind))
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    distances = []
    for _ in range(40):
        optimizer.zero_grad()
        term = method.loss(real.batch, forward(student, real.batch), teacher_outputs)["sinkhorn"]
        term.backward()
        optimizer.step()
        distances.append(term.item())
    assert distances[-1] < share * distances[0]
