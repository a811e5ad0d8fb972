"""Divergences whose gradients are written out, against autograd through their definitions."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from raykd.errors import ShapeError
from raykd.losses.closed_forms import nll
from raykd.losses.divergences import divergence, divergence_and_nll
from raykd.losses.targets import Divergence, FullTeacherTarget

KINDS = [
    ("forward_kl", {}), ("reverse_kl", {}), ("total_variation", {}),
    *[("jsd", {"beta": beta}) for beta in (0.0, 0.02, 0.5, 0.9, 1.0)],
    *[("skew_forward_kl", {"lam": lam}) for lam in (0.0, 0.1, 0.7)],
    *[("skew_reverse_kl", {"lam": lam}) for lam in (0.0, 0.1, 0.7)],
]  # fmt: skip
M, V = 4, 11
LABELS = torch.tensor([3, 0, 10, 3])
OUT = -torch.inf


def pair(scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    both = scale * torch.randn(2, M, V, generator=random, dtype=torch.float64)
    return both[0].requires_grad_(), both[1]


def expected(kind: str, student, teacher, *, beta=0.0, lam=0.0, temperature=1.0):
    """The sum over the tokens that the student can give, as one writes it down."""
    log_q, log_p = ((x / temperature).log_softmax(-1) for x in (student, teacher))
    kept = ~log_q.isneginf()
    log_q, log_p = log_q.where(kept, 0.0), log_p.where(kept, 0.0)
    q, p = log_q.exp(), log_p.exp()
    if kind == "total_variation":
        return 0.5 * ((p - q).abs() * kept).sum(-1)
    share = {"jsd": beta, "skew_forward_kl": lam, "skew_reverse_kl": 1 - lam}.get(kind, 0.5)
    log_m = (share * p + (1 - share) * q).log()
    of = {
        "forward_kl": lambda: p * (log_p - log_q),
        "reverse_kl": lambda: q * (log_q - log_p),
        "skew_forward_kl": lambda: p * (log_p - log_m),
        "skew_reverse_kl": lambda: q * (log_q - log_m),
        "jsd": lambda: beta * p * (log_p - log_m) + (1 - beta) * q * (log_q - log_m),
    }
    if kind == "jsd" and beta in (0, 1):
        kind = "reverse_kl" if beta else "forward_kl"
    return (of[kind]() * kept).sum(-1)


@pytest.mark.parametrize(("kind", "shares"), KINDS)
@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_the_gradient_is_the_derivative(kind, shares, temperature):
    student, teacher = pair()
    of = divergence(kind, **shares, temperature=temperature)
    with_labels = divergence_and_nll(kind, **shares, temperature=temperature)
    assert torch.autograd.gradcheck(lambda s: of(s, teacher), [student])
    assert torch.autograd.gradcheck(lambda s: with_labels(s, teacher, LABELS), [student])
    assert torch.autograd.gradcheck(lambda s: nll(s, LABELS, temperature=temperature), [student])


@pytest.mark.parametrize(("kind", "shares"), KINDS)
@pytest.mark.parametrize("out", ["none", "student", "both"])
@pytest.mark.parametrize("scale", [0.1, 1.0, 8.0])
def test_values_and_gradients_are_those_of_the_definition(kind, shares, out, scale):
    student, teacher = pair(scale)
    with torch.no_grad():
        if out != "none":
            student[:, 4:6] = OUT
        if out == "both":
            teacher[:, 5] = OUT
    of = divergence_and_nll(kind, **shares, temperature=1.5)
    actual, likelihood = of(student, teacher, LABELS)
    wanted = expected(kind, student, teacher, **shares, temperature=1.5)
    assert torch.allclose(actual, wanted, rtol=1e-10, atol=1e-14)
    hard = F.cross_entropy(student / 1.5, LABELS, reduction="none")
    assert torch.allclose(likelihood, hard, rtol=1e-12)
    rows = torch.linspace(-1, 2, M, dtype=torch.float64)
    (slope,) = torch.autograd.grad((rows * actual + rows.flip(0) * likelihood).sum(), student)
    (other,) = torch.autograd.grad((rows * wanted + rows.flip(0) * hard).sum(), student)
    assert torch.allclose(slope, other, rtol=1e-10, atol=1e-14)
    if out != "none":
        assert slope[:, 4:6].abs().max() == 0.0


def test_a_token_that_only_the_teacher_cannot_give():
    student, teacher = pair()
    teacher[:, 2] = OUT
    # Infinitely bad for the reverse divergence, and bounded where the student is mixed in.
    assert divergence("reverse_kl")(student, teacher).isposinf().all()
    bounded = divergence("skew_reverse_kl", lam=0.1)(student, teacher)
    assert (bounded < math.log(10)).all()
    for kind in ("forward_kl", "jsd", "skew_forward_kl", "skew_reverse_kl", "total_variation"):
        rows = divergence(kind)(student, teacher)
        (slope,) = torch.autograd.grad(rows.sum(), student)
        assert torch.isfinite(rows).all(), kind
        assert torch.isfinite(slope).all(), kind
        # As if the teacher gave it next to nothing.
        nearly = divergence(kind)(student, teacher.clamp(min=-1e4))
        torch.testing.assert_close(rows, nearly)


@pytest.mark.parametrize(("kind", "shares"), KINDS)
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_float32_is_enough(kind, shares, scale):
    student, teacher = pair(scale)
    of = divergence(kind, **shares)
    half = student.detach().bfloat16().requires_grad_()
    actual, wanted = of(half, teacher.bfloat16()), of(half.double(), teacher.bfloat16().double())
    assert actual.dtype == torch.float32
    assert torch.allclose(actual.double(), wanted, rtol=1e-5, atol=1e-6)
    (slope,) = torch.autograd.grad(actual.sum(), half, retain_graph=True)
    (other,) = torch.autograd.grad(wanted.sum(), half)
    assert slope.dtype == torch.bfloat16
    assert torch.allclose(slope, other, rtol=1e-2, atol=1e-6)
    # Nothing that is kept for the gradient is spent by it.
    assert torch.equal(slope, torch.autograd.grad(actual.sum(), half)[0])


@pytest.mark.parametrize(("kind", "shares"), KINDS)
def test_a_student_and_a_teacher_of_two_precisions(kind, shares):
    student, teacher = pair()
    of = divergence_and_nll(kind, **shares, temperature=2.0)
    wanted = [*of(student, teacher, LABELS)]
    wanted += torch.autograd.grad(sum(rows.sum() for rows in wanted), student)
    for mine, given in ((student.float(), teacher), (student, teacher.float())):
        actual = [*of(mine, given, LABELS)]
        actual += torch.autograd.grad(sum(rows.sum() for rows in actual), mine)
        for one, two in zip(actual, wanted, strict=True):
            assert one.dtype == mine.dtype
            assert torch.allclose(one.double(), two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 50.0])
def test_the_likelihood_of_labels_is_that_of_torch(temperature):
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        logits = pair(3.0)[0].detach().to(dtype).requires_grad_()
        actual = nll(logits, LABELS, temperature=temperature)
        wanted = F.cross_entropy(logits.double() / temperature, LABELS, reduction="none")
        assert actual.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert torch.allclose(actual.double(), wanted, rtol=1e-6)
        slope, other = (torch.autograd.grad(x.sum(), logits)[0] for x in (actual, wanted))
        rtol = 1e-2 if dtype == torch.bfloat16 else 1e-5
        assert torch.allclose(slope, other, rtol=rtol, atol=1e-7)
        assert not nll(logits.detach(), LABELS).requires_grad


@pytest.mark.parametrize("of", [Divergence(kind="jsd"), Divergence(temperature=2.0)])
@pytest.mark.parametrize("more", [-2, 0, 3])
def test_labels_are_scored_over_all_that_the_student_has(of, more):
    """At temperature 1, whatever the divergence is compared over and softened by."""
    student = pair()[0]
    target = FullTeacherTarget(torch.randn(M, V + more, dtype=torch.float64))
    apart, hard = target.distance_and_nll(student, slice(None), of, LABELS)
    assert torch.allclose(apart, target.distance(student, slice(None), of))
    assert torch.allclose(hard, F.cross_entropy(student, LABELS, reduction="none"))


class Passes(TorchDispatchMode):
    """Counts the operations that read or write an array of a size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.count = size, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        arrays = [x for x in (*args, result) if isinstance(x, torch.Tensor)]
        if not func.is_view and any(x.numel() == self.size for x in arrays):
            self.count += "empty" not in func.__name__
        return result


@pytest.mark.parametrize(
    ("kind", "most"),
    [("jsd", 22), ("forward_kl", 18), ("reverse_kl", 14), ("skew_forward_kl", 23)],
)
def test_how_often_the_vocabulary_is_read(kind, most):
    """Of half precision, forward and backward, with the likelihood of labels."""
    student, teacher = (x.detach().bfloat16() for x in pair())
    student.requires_grad_()
    target = FullTeacherTarget(teacher)
    with Passes(M * V) as passes:
        both = target.distance_and_nll(student, slice(None), Divergence(kind=kind), LABELS)
        sum(rows.sum() for rows in both).backward()
    assert passes.count <= most


def test_sums_over_a_large_vocabulary_are_accurate():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 128_256) * 3
    for kind in ("total_variation", "jsd", "forward_kl", "reverse_kl"):
        rows = divergence(kind)(student, teacher)
        exact = divergence(kind)(student.double(), teacher.double())
        # Most of it is the softmax of torch.
        torch.testing.assert_close(rows.double(), exact, rtol=6e-6, atol=0)


@pytest.mark.parametrize("labels", [[1], [1, 2, 3], [[1], [2], [3], [4]]])
def test_every_row_has_one_label(labels):
    logits = torch.randn(4, 7)
    with pytest.raises(ShapeError, match=r"expected labels \(4,\) for logits \(4, 7\)"):
        nll(logits, torch.tensor(labels))
    with pytest.raises(ShapeError, match="expected labels"):
        divergence_and_nll("jsd")(logits, logits, torch.tensor(labels))
