from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from raykd.losses.divergences import divergence
from raykd.losses.targets import (
    Divergence,
    FullTeacherTarget,
    SampledTeacherTarget,
    TopKTeacherTarget,
)
from raykd.losses.vocabulary import (
    CHUNK_BYTES,
    LEAST_TOKENS,
    UNCHANGED,
    LazyLogits,
    LogitTransform,
    chunk_tokens,
    cross_entropy,
    per_token,
    summed,
)
from raykd.methods._tokens import weighted

M, V, D = 23, 41, 8


def leaves(seed: int, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    states = torch.randn(M, D, generator=random, dtype=dtype).requires_grad_()
    weight = torch.randn(V, D, generator=random, dtype=dtype).requires_grad_()
    return states, weight


LABELS = torch.arange(M) % V


TRANSFORMS = (UNCHANGED, LogitTransform(0.3), LogitTransform(2.0, softcap=1.5))


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("size", [5, M, None])
def test_numbers_of_tokens_are_those_of_the_whole_and_so_are_their_gradients(size, transform):
    states, weight = leaves(0)
    bias = torch.linspace(-1, 1, V, dtype=torch.float64).requires_grad_()
    factor = torch.linspace(0.5, 2, M, dtype=torch.float64).requires_grad_()

    def numbers(chunk, at):
        return factor[at] * chunk.logsumexp(-1) ** 2

    mine = per_token(LazyLogits(states, weight, bias, torch.float64, transform), numbers, size=size)
    whole = factor * transform(F.linear(states, weight, bias)).logsumexp(-1) ** 2
    assert torch.allclose(mine, whole)
    inputs, outside = (states, weight, bias, factor), torch.linspace(-1, 1, M, dtype=torch.float64)
    one, two = (torch.autograd.grad(of, inputs, outside) for of in (mine, whole))
    assert all(torch.allclose(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("size", [1, 5, M, None])
def test_pieces_give_the_value_and_gradient_of_the_whole(size, transform):
    states, weight = leaves(0)
    bias = torch.linspace(-1, 1, V, dtype=torch.float64).requires_grad_()
    teacher = torch.randn(M, V, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    of = divergence("forward_kl")

    def terms(chunk, at):
        hard = F.cross_entropy(chunk, LABELS[at], reduction="sum") / M
        return torch.stack([0.3 * hard, 0.7 * of(chunk, teacher[at]).sum() / M])

    scores = LazyLogits(states, weight, bias, torch.float64, transform)
    total, apart = summed(scores, terms, size=size)
    (2 * total).backward()
    mine = [leaf.grad.clone() for leaf in (states, weight, bias)]
    for leaf in (states, weight, bias):
        leaf.grad = None
    logits = F.linear(states, weight, bias) * transform.scale
    if transform.softcap is not None:
        logits = transform.softcap * torch.tanh(logits / transform.softcap)
    whole = terms(logits, slice(None))
    (2 * whole.sum()).backward()
    assert torch.allclose(apart, whole.detach())
    assert not apart.requires_grad
    for got, leaf in zip(mine, (states, weight, bias), strict=True):
        assert torch.allclose(got, leaf.grad)


def test_what_needs_no_gradient_gets_none():
    states, weight = leaves(0, torch.float32)
    loss = cross_entropy(LazyLogits(states.detach(), weight), LABELS)
    loss.backward()
    assert states.grad is None
    assert weight.grad is not None
    with torch.no_grad():
        assert torch.allclose(cross_entropy(LazyLogits(states, weight), LABELS), loss)


def test_half_precision_products_give_gradients_of_the_weights_own_type():
    states, weight = leaves(0, torch.float32)
    loss = cross_entropy(LazyLogits(states, weight, dtype=torch.bfloat16), LABELS)
    loss.backward()
    exact = F.cross_entropy(F.linear(states.detach(), weight.detach()), LABELS)
    assert weight.grad.dtype == torch.float32
    assert abs(loss.item() - exact.item()) < 0.05


def test_capped_logits_of_half_precision_products_are_float32():
    states, weight = (leaf.detach().float() for leaf in leaves(0))
    capped = LazyLogits(states, weight, None, torch.bfloat16, LogitTransform(softcap=2.0)).chunk()
    exact = 2.0 * torch.tanh(F.linear(states.bfloat16(), weight.bfloat16()).float() / 2.0)
    assert capped.dtype == torch.float32
    assert torch.equal(capped, exact)


class Casts(TorchDispatchMode):
    """Counts how often a tensor of a shape is cast."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default and args[0].shape == self.shape:
            self.count += 1
        return func(*args, **(kwargs or {}))


def test_the_matrices_of_student_and_teacher_are_cast_once(monkeypatch):
    monkeypatch.setitem(CHUNK_BYTES, "cpu", 0)
    monkeypatch.setitem(LEAST_TOKENS, "cpu", 4)
    states, weight = leaves(0, torch.float32)
    teacher = torch.randn(V, D + 1)
    target = FullTeacherTarget(LazyLogits(torch.randn(M, D + 1), teacher))
    scores = LazyLogits(states, weight, dtype=torch.bfloat16)
    for shape in (weight.shape, teacher.shape):
        with Casts(shape) as casts:
            weighted(scores, LABELS, target, 0.5, Divergence()).total()
        assert casts.count == 1


def test_a_teacher_is_no_more_precise_than_the_student():
    random = torch.Generator().manual_seed(0)
    scores = LazyLogits(torch.randn(M, D, generator=random), torch.randn(V, D, generator=random))
    target = FullTeacherTarget(scores)
    half = target.cast(torch.bfloat16).logits
    assert half.dtype == half.states.dtype == half.weight.dtype == half.chunk().dtype
    assert half.dtype == torch.bfloat16
    for same in (torch.float32, torch.float64):
        assert torch.equal(target.cast(same).logits.chunk(), scores.chunk())


def test_a_chunk_is_as_large_as_the_device_wants_it():
    assert chunk_tokens("cpu", 50_257, torch.float32) == (32 << 20) // (4 * 50_257)
    assert chunk_tokens("cpu", 50_257, torch.bfloat16) == (32 << 20) // (4 * 50_257)
    assert chunk_tokens("cpu", 10_000_000, torch.float32) == 16
    assert chunk_tokens("cuda", 128_256, torch.bfloat16) >= 512
    assert chunk_tokens("cuda", 1_000_000, torch.float64) == 512
    assert chunk_tokens("cuda", 32_000, torch.float32) == (256 << 20) // (4 * 32_000)


def test_no_token_at_all_is_a_loss_of_zero_that_moves_nothing():
    states, weight = leaves(0, torch.float32)
    loss = cross_entropy(LazyLogits(states[:0], weight), LABELS[:0])
    loss.backward()
    assert loss.item() == 0.0
    assert weight.grad.abs().max() == 0.0


def test_no_array_of_all_scores_is_made():
    # 64 MiB of scores in pieces of 1 MiB: the largest tensor that autograd sees stays a piece.
    seen: list[int] = []
    states = torch.randn(4096, 4).requires_grad_()
    weight = torch.randn(4096, 4).requires_grad_()

    def terms(chunk, at):
        seen.append(chunk.numel())
        return chunk.square().sum()[None]

    summed(LazyLogits(states, weight), terms, size=64)[0].backward()
    assert max(seen) == 64 * 4096
    assert sum(seen) == 4096 * 4096


def test_a_full_target_is_read_from_states_or_scores_alike():
    states, weight = leaves(2)
    scores = LazyLogits(states.detach(), weight.detach(), dtype=torch.float64)
    student = torch.randn(7, V, dtype=torch.float64)
    at = slice(3, 10)
    for kind in ("forward_kl", "reverse_kl", "jsd", "skew_forward_kl", "total_variation"):
        of = Divergence(kind=kind, temperature=2.0)
        assert torch.allclose(
            FullTeacherTarget(scores).distance(student, at, of),
            FullTeacherTarget(scores.chunk()).distance(student, at, of),
        )


def test_a_vocabulary_padded_to_another_size_is_compared_where_both_have_tokens():
    student, teacher = torch.randn(2, V), torch.randn(2, V + 5)
    of = Divergence()
    got = FullTeacherTarget(teacher).distance(student, slice(0, 2), of)
    assert torch.allclose(got, FullTeacherTarget(teacher[:, :V]).distance(student, slice(0, 2), of))


def test_draws_meet_the_gradient_of_the_forward_divergence_in_the_mean():
    random = torch.Generator().manual_seed(0)
    teacher = torch.randn(1, V, generator=random)
    student = torch.randn(1, V, generator=random).requires_grad_()
    ids = torch.multinomial(teacher.softmax(-1), 200_000, replacement=True, generator=random)
    SampledTeacherTarget(ids).distance(student, slice(0, 1), Divergence()).sum().backward()
    drawn, student.grad = student.grad, None
    FullTeacherTarget(teacher).distance(student, slice(0, 1), Divergence()).sum().backward()
    assert torch.allclose(drawn, student.grad, atol=4e-3)


@pytest.mark.parametrize("count", [1, 5, 20, V - 1])
def test_the_most_likely_tokens_bound_the_divergence_from_below(count):
    random = torch.Generator().manual_seed(count)
    teacher = torch.randn(30, V, generator=random, dtype=torch.float64)
    student = torch.randn(30, V, generator=random, dtype=torch.float64)
    actual = teacher.log_softmax(-1).topk(count)
    every = slice(0, 30)
    part = TopKTeacherTarget(actual.indices, actual.values).distance(student, every, Divergence())
    whole = FullTeacherTarget(teacher).distance(student, every, Divergence())
    assert (part <= whole + 1e-9).all()


@pytest.mark.parametrize(
    "target",
    [
        SampledTeacherTarget(torch.zeros(1, 2, dtype=torch.long)),
        TopKTeacherTarget(torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2)),
    ],
)
@pytest.mark.parametrize("of", [Divergence(kind="reverse_kl"), Divergence(temperature=2.0)])
def test_what_cannot_be_computed_without_bias_is_refused(target, of):
    with pytest.raises(NotImplementedError):
        target.distance(torch.zeros(1, V), slice(0, 1), of)
