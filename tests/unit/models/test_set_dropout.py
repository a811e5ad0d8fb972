"""`train.dropout` acts on every family and kind of task, on all of the dropout of a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raykd import registry
from raykd.data.base import NO_LABEL, TEXT_KINDS, Batch
from raykd.data.task_kinds import APART_KINDS
from raykd.errors import SpecError
from raykd.models.base import RandomInitConfig
from raykd.models.dropout import set_dropout, with_cheap_dropout
from raykd.models.forward import forward
from raykd.models.load import build_model
from raykd.models.signals.embeddings import Embeddings

CASES = [
    (family, kind)
    for family in registry.names("families")
    for kind in registry.load("families", family).kinds
]
FIRST = [(family, kind) == next(c for c in CASES if c[0] == family) for family, kind in CASES]


def model_of(family: str, kind: str, own: float) -> nn.Module:
    random_init = RandomInitConfig(
        family=family, layers=2, hidden=32, heads=2, max_positions=32, dropout=own
    )
    return build_model(random_init, vocabulary=100, kind=kind, num_labels=2, seed=0).train()


def batch_of(kind: str) -> Batch:
    random = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 100, (3, 9), generator=random)
    mask = (torch.arange(9) < torch.tensor([9, 6, 4])[:, None]).long()
    labels = torch.zeros(3, dtype=torch.long)
    if kind == "masked_lm" or kind in TEXT_KINDS:
        labels = ids.masked_fill(mask == 0, NO_LABEL)
    second = mask if kind in APART_KINDS else 0 * mask
    return Batch(
        input_ids=ids, attention_mask=mask, token_type_ids=(torch.arange(9) > 1) * second,
        labels=labels, index=torch.arange(3),
    )  # fmt: skip


def passes(model: nn.Module, kind: str) -> list[torch.Tensor]:
    """Logits of four passes; vectors of texts, where logits are their cosines."""
    torch.manual_seed(0)
    with torch.no_grad():
        if kind in APART_KINDS:
            spec = (Embeddings(),)
            runs = [forward(model, batch_of(kind), output_spec=spec) for _ in range(4)]
            return [run.read(Embeddings()).clone() for run in runs]
        return [forward(model, batch_of(kind)).logits.clone() for _ in range(4)]


def spread(actual: list[torch.Tensor]) -> float:
    """How much passes differ."""
    every = torch.stack(actual)
    real = every[0].abs() < 1e3  # positions that do not exist have one fixed score
    return float(every.std(dim=0)[real].mean())


@pytest.mark.parametrize(
    ("family", "kind", "cheap"),
    [
        # The kind of task is the head's matter, which has the model's dropout either way.
        pytest.param(*case, cheap, marks=() if is_first or not cheap else pytest.mark.slow)
        for case, is_first in zip(CASES, FIRST, strict=True)
        for cheap in (False, True)
    ],
)
def test_it_changes_training_passes_as_much_as_it_says(family, kind, cheap):
    actual = {}
    for probability in (0.0, 0.1, 0.6):
        # Whatever the model's own is, none included.
        for own in (0.0, 0.3):
            model = model_of(family, kind, own)
            set_dropout(model, probability)
            if cheap:
                with_cheap_dropout(model)
            actual[probability, own] = spread(passes(model, kind))
    assert actual[0.0, 0.0] == actual[0.0, 0.3] == 0.0
    assert actual[0.1, 0.0] == actual[0.1, 0.3] > 0.0
    assert actual[0.6, 0.0] == actual[0.6, 0.3] > actual[0.1, 0.0]


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_it_is_left_as_it_is_where_it_is_not_set_and_never_acts_in_evaluation(family, kind):
    model = model_of(family, kind, 0.3)
    assert spread(passes(model, kind)) > 0.0
    before = passes(model.eval(), kind)
    set_dropout(model, 0.9)
    assert all(torch.equal(a, before[0]) for a in [*before, *passes(model, kind)])


def test_a_model_without_dropout_is_refused():
    with pytest.raises(SpecError, match="a Linear has no dropout"):
        set_dropout(nn.Linear(2, 2), 0.1)
