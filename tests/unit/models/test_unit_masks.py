from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from raykd.data.base import Batch
from raykd.errors import SpecError, TeacherError
from raykd.models.families import base as families
from raykd.models.forward import forward
from raykd.models.structured_pruning import keep_units
from raykd.models.unit_masks import count_units, head_size, masked, sensitivity
from tests.unit.models.checkpoints import tiny


def model(**changes):
    return tiny(hidden=32, heads=4, layers=2, intermediate=16, **changes).eval()


def batch(rows: int = 3) -> Batch:
    ids = torch.randint(5, 60, (rows, 9), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(9) < torch.tensor([9, 4, 6, 9, 2, 1])[:rows, None]).long()
    return Batch(
        input_ids=ids * mask, attention_mask=mask, token_type_ids=torch.zeros_like(ids),
        labels=torch.arange(rows) % 3, index=torch.arange(rows),
    )  # fmt: skip


def cross_entropy(of, b: Batch) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(forward(of, b).logits, b.labels)


def test_a_model_knows_its_units():
    assert count_units(model()) == ((4, 4), (16, 16))
    assert head_size(model()) == 8


def test_masks_of_ones_change_nothing():
    teacher = model()
    plain = forward(teacher, batch()).logits
    with masked(teacher, heads=torch.ones(2, 4), neurons=torch.ones(2, 16)):
        assert torch.equal(forward(teacher, batch()).logits, plain)


def test_masks_are_gone_afterwards_also_after_an_error():
    teacher = model()
    plain = forward(teacher, batch()).logits
    with masked(teacher, heads=torch.zeros(2, 4)):
        assert not torch.equal(forward(teacher, batch()).logits, plain)
    assert torch.equal(forward(teacher, batch()).logits, plain)
    with pytest.raises(IndexError), masked(teacher, heads=torch.zeros(1, 4)):
        pass
    assert torch.equal(forward(teacher, batch()).logits, plain)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_mask_of_zero_and_one_is_the_slimmer_model(attention):
    """Where every block keeps something, so that biases stay."""
    teacher = model()
    teacher.set_attn_implementation(attention)
    heads = torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]])
    neurons = torch.zeros(2, 16)
    neurons[0, 3], neurons[1, 2:9] = 1, 1
    with masked(teacher, heads=heads, neurons=neurons):
        expected = forward(teacher, batch()).logits
    kept = [[row.nonzero().flatten().tolist() for row in m] for m in (heads, neurons)]
    actual = forward(keep_units(teacher, *kept), batch()).logits
    assert torch.allclose(actual, expected, atol=1e-6)


def test_masks_may_differ_in_length_from_block_to_block():
    pruned = keep_units(model(), [[0, 1], [2]], [range(8), []])
    plain = forward(pruned, batch()).logits
    ones = [torch.ones(2), torch.ones(1)], [torch.ones(8), torch.ones(0)]
    with masked(pruned, heads=ones[0], neurons=ones[1]):
        assert torch.equal(forward(pruned, batch()).logits, plain)


def test_a_single_kind_of_mask_is_enough():
    teacher = model()
    both, one = torch.zeros(2, 4), torch.ones(2, 16)
    with masked(teacher, heads=both):
        actual = forward(teacher, batch()).logits
    with masked(teacher, heads=both, neurons=one):
        assert torch.equal(forward(teacher, batch()).logits, actual)


def test_scores_are_absolute_gradients_summed_over_batches():
    teacher = model()
    actual = sensitivity(
        teacher, [batch(3), batch(6)], lambda b: {"task": cross_entropy(teacher, b)}
    )
    step = 1e-3
    for block, unit in ((0, 2), (1, 0)):
        expected = 0.0
        for rows in (3, 6):
            ends = []
            for sign in (1, -1):
                heads = torch.ones(2, 4)
                heads[block, unit] += sign * step
                with torch.no_grad(), masked(teacher, heads=heads):
                    ends.append(cross_entropy(teacher, batch(rows)).double())
            expected += abs((ends[0] - ends[1]).item() / (2 * step))
        assert actual["task"].heads[block, unit] == pytest.approx(expected, rel=0.02)


def test_every_loss_has_scores_of_its_own():
    teacher = model()

    def losses(b: Batch) -> dict[str, torch.Tensor]:
        logits = forward(teacher, b).logits
        return {"sum": logits.sum(), "double": 2 * logits.sum(), "square": logits.square().sum()}

    actual = sensitivity(teacher, [batch()], losses)
    assert actual["double"].neurons == pytest.approx(2 * actual["sum"].neurons, rel=1e-5)
    assert actual["square"].neurons != pytest.approx(actual["sum"].neurons, rel=0.1)
    assert actual["sum"].heads.shape == (2, 4)
    assert actual["sum"].neurons.shape == (2, 16)


def test_the_model_is_left_as_it_was():
    teacher = model().train()
    frozen = teacher.classifier.weight.requires_grad_(False)
    sensitivity(teacher, [batch()], lambda b: {"task": cross_entropy(teacher, b)})
    assert teacher.training
    assert not frozen.requires_grad
    assert all(p.requires_grad for p in teacher.parameters() if p is not frozen)
    assert all(p.grad is None for p in teacher.parameters())


def test_scoring_collects_no_gradient_of_weights():
    teacher = model().train()

    def losses(b: Batch) -> dict[str, torch.Tensor]:
        assert not any(p.requires_grad for p in teacher.parameters())
        assert not teacher.training
        return {"task": cross_entropy(teacher, b)}

    sensitivity(teacher, [batch()], losses)


def test_uneven_models_cannot_be_scored():
    pruned = keep_units(model(), [[0], [1, 2]], [range(16)] * 2)
    with pytest.raises(SpecError, match=r"got \[1, 2\] heads"):
        sensitivity(pruned, [batch()], lambda b: {"task": cross_entropy(pruned, b)})


def test_no_rows_and_gradients_that_are_not_finite_are_errors():
    teacher = model()
    with pytest.raises(TeacherError, match="no row"):
        sensitivity(teacher, [], lambda b: {"task": cross_entropy(teacher, b)})
    with pytest.raises(TeacherError, match="NaN or infinite"):
        sensitivity(
            teacher, [batch()], lambda b: {"task": cross_entropy(teacher, b) * float("inf")}
        )


def test_families_that_do_not_declare_units_are_refused(monkeypatch):
    teacher = model()
    bare = replace(families.family_of("bert"), units=None)
    monkeypatch.setattr("raykd.models.unit_masks.family_of", lambda _: bare)
    with pytest.raises(SpecError, match="'bert' cannot be told apart"), masked(teacher):
        pass
