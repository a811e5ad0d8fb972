"""Divergences over a vocabulary with gradients written out, in few passes over memory.

What a loss over a vocabulary costs is how often arrays of the size of its logits are read and
written. Each divergence is one step of autograd here: it is formed in place from two arrays of
log-probabilities, and keeps two arrays for its gradient. The likelihood of labels adds no pass.

A token that the student cannot give (a logit of minus infinity) counts nothing and gets no
gradient. Gradients have none of their own.

Axes: V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from raykd.losses.precision import softened, working_dtype
from raykd.losses.shapes import check_labels

SURE = 40.0
"""Log odds above which adding 1 to the odds changes nothing, in float64, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A divergence and its derivative by the student's log-probabilities, ``factor * slope``.

    Attributes:
        nats: The divergence of every row, ``[...]``.
        slope: ``[..., V]``.
        slope_sums: Those of its rows, ``[...]``.
        factor: What the slope is multiplied by.
        q: The student's probabilities, ``[..., V]``.
    """

    nats: Tensor
    slope: Tensor
    slope_sums: Tensor
    factor: float
    q: Tensor


Measure = Callable[[Tensor, Tensor], Form]
"""From log-probabilities of student and teacher, ``[..., V]`` each, which it overwrites."""


def forward_kl(log_q: Tensor, log_p: Tensor) -> Form:
    """The sum of ``p * log(p / q)``, whose slope is ``-p``."""
    impossible = log_q.isneginf()
    log_ratio = (_finite(log_p) - log_q).masked_fill_(impossible, 0.0)
    p, q = log_p.exp_().masked_fill_(impossible, 0.0), log_q.exp_()
    nats = log_ratio.mul_(p).sum(dim=-1)
    return Form(nats=nats, slope=p, slope_sums=p.sum(dim=-1), factor=-1.0, q=q)


def reverse_kl(log_q: Tensor, log_p: Tensor) -> Form:
    """The sum of ``q * log(q / p)``, whose slope is the same but for a multiple of q."""
    impossible = log_q.isneginf()
    log_ratio = torch.sub(log_q, log_p, out=log_p).masked_fill_(impossible, 0.0)
    q = log_q.exp_()
    slope = log_ratio.mul_(q)
    nats = slope.sum(dim=-1)
    return Form(nats=nats, slope=slope, slope_sums=nats, factor=1.0, q=q)


def jensen_shannon(beta: float) -> Measure:
    """``beta * KL(p, m) + (1 - beta) * KL(q, m)``, where m has the share beta of the teacher.

    The slope of both together is ``(1 - beta) * q * log(q / m)`` but for a multiple of q. Shares of
    0 and 1 are `forward_kl` and `reverse_kl`.
    """
    if beta in (0, 1):
        return reverse_kl if beta else forward_kl

    def measure(log_q: Tensor, log_p: Tensor) -> Form:
        log_odds = _log_odds(log_q, log_p, beta)
        log_pm = F.logsigmoid(log_odds).sub_(math.log(beta))
        of_teacher = log_pm.mul_(log_p.exp_()).sum(dim=-1)
        del log_pm  # before the next array of this size
        log_mq = F.softplus(log_odds, threshold=SURE).add_(math.log1p(-beta))
        q = log_q.exp_()
        slope = log_mq.mul_(q)
        sums = slope.sum(dim=-1)
        nats = beta * of_teacher - (1 - beta) * sums
        return Form(nats=nats, slope=slope, slope_sums=sums, factor=beta - 1, q=q)

    return measure


def skew_forward_kl(lam: float) -> Measure:
    """``KL(p, m)``, where m has the share lam of the teacher; its slope: ``(lam - 1) * p * q / m``.

    A share of 0 is `forward_kl`.
    """
    if lam == 0:
        return forward_kl

    def measure(log_q: Tensor, log_p: Tensor) -> Form:
        log_odds = _log_odds(log_q, log_p, lam)
        log_pm = F.logsigmoid(log_odds).sub_(math.log(lam))
        nats = log_pm.mul_(log_p.exp_()).sum(dim=-1)
        q = log_q.exp_()
        slope = log_odds.sigmoid_().mul_(q)
        sums = slope.sum(dim=-1)
        return Form(nats=nats, slope=slope, slope_sums=sums, factor=(lam - 1) / lam, q=q)

    return measure


def skew_reverse_kl(lam: float) -> Measure:
    """``KL(q, m)``, where m has the share lam of the student.

    Its slope is ``q * (log(q / m) + (1 - lam) * p / m)``. A share of 0 is `reverse_kl`.
    """
    if lam == 0:
        return reverse_kl

    def measure(log_q: Tensor, log_p: Tensor) -> Form:
        log_odds = _log_odds(log_q, log_p, 1 - lam)
        log_mq = F.softplus(log_odds, threshold=SURE).add_(math.log(lam))
        q = log_q.exp_()
        nats = -log_mq.mul_(q).sum(dim=-1)
        slope = log_mq.sub_(log_odds.sigmoid_().mul_(q))
        sums = slope.sum(dim=-1)
        return Form(nats=nats, slope=slope, slope_sums=sums, factor=-1.0, q=q)

    return measure


def total_variation(log_q: Tensor, log_p: Tensor) -> Form:
    """Half the sum of ``abs(p - q)``, whose slope is half of ``sign(q - p) * q``."""
    impossible = log_q.isneginf()
    q = log_q.exp_()
    difference = log_p.exp_().sub_(q).masked_fill_(impossible, 0.0)
    slope = difference.sign().mul_(q)
    nats = 0.5 * difference.abs_().sum(dim=-1)
    return Form(nats=nats, slope=slope, slope_sums=slope.sum(dim=-1), factor=-0.5, q=q)


def _log_odds(log_q: Tensor, log_p: Tensor, share: float) -> Tensor:
    """How likely it is that a token of a mixture with a share of the teacher was the teacher's.

    Its sigmoid is ``share * p / m``, from which ``log(p / m)`` and ``log(m / q)`` are formed; both
    are 0 for tokens that the student cannot give.
    """
    log_odds = (_finite(log_p) - log_q).masked_fill_(log_q.isneginf(), 0.0)
    return log_odds if share == 0.5 else log_odds.add_(math.log(share) - math.log1p(-share))


def _finite(log_p: Tensor) -> Tensor:
    """The same array, where a token that the teacher cannot give has probability 0 all the same."""
    return log_p.clamp_(min=torch.finfo(log_p.dtype).min)


def nats(student: Tensor, teacher: Tensor, measure: Measure, temperature: float) -> Tensor:
    """A divergence of every row, ``[...]``, from logits ``[..., V]``; the teacher gets no gradient.

    Args:
        student: Logits.
        teacher: Logits, same shape.
        measure: Which divergence.
        temperature: Softens both.
    """
    run: Any = _ClosedForm.apply
    rows: Tensor = run(student, teacher.detach(), None, measure, temperature)[0]
    return rows


def nats_and_nll(
    student: Tensor, teacher: Tensor, labels: Tensor, measure: Measure, temperature: float
) -> tuple[Tensor, Tensor]:
    """The same, and the negative log-likelihood of labels int64 ``[...]``, softened as well.

    Raises:
        ShapeError: Rows and labels do not belong together.
    """
    check_labels(student, labels)
    run: Any = _ClosedForm.apply
    rows, of_labels = run(student, teacher.detach(), labels, measure, temperature)
    return rows, of_labels


def nll(logits: Tensor, labels: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Negative log-likelihood of labels, ``[...]``, in float32 at least.

    Args:
        logits: ``[..., V]``.
        labels: Each one of the V, int64 ``[...]``; none is left out.
        temperature: Softens the distribution.

    Raises:
        ShapeError: Rows and labels do not belong together.
    """
    check_labels(logits, labels)
    run: Any = _Likelihood.apply
    of_labels: Tensor = run(logits, labels, temperature)
    return of_labels


class _ClosedForm(torch.autograd.Function):
    """Keeps the slope of a divergence and the student's probabilities for the gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        teacher: Tensor,
        labels: Tensor | None,
        measure: Measure,
        temperature: float,
    ) -> tuple[Tensor, Tensor | None]:
        log_q, log_p = (F.log_softmax(softened(x, temperature), dim=-1) for x in (student, teacher))
        of_labels = None if labels is None else _nll(log_q, labels)
        wider = torch.promote_types(log_q.dtype, log_p.dtype)
        form = measure(log_q.to(wider), log_p.to(wider))
        ctx.save_for_backward(form.slope, form.slope_sums, form.q, labels)
        ctx.factor, ctx.temperature, ctx.dtype = form.factor, temperature, student.dtype
        return form.nats, of_labels

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_nats: Tensor, d_nll: Tensor | None) -> tuple[Tensor | None, ...]:
        slope, slope_sums, q, labels = ctx.saved_tensors
        of_slope = d_nats * (ctx.factor / ctx.temperature)
        of_q = -of_slope * slope_sums
        d_student = slope * of_slope[..., None]
        if labels is not None and d_nll is not None:
            d_nll = d_nll / ctx.temperature
            d_student.scatter_add_(-1, labels[..., None], -d_nll[..., None].to(d_student.dtype))
            of_q += d_nll
        # The last pass writes what the student's logits are in.
        same = ctx.dtype == d_student.dtype
        out = d_student if same else torch.empty_like(d_student, dtype=ctx.dtype)
        torch.addcmul(d_student, q, of_q[..., None], out=out)
        return out, None, None, None, None


class _Likelihood(torch.autograd.Function):
    """Keeps the probabilities for the gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
        log_q = F.log_softmax(softened(logits, temperature), dim=-1)
        of_labels = _nll(log_q, labels)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(log_q.exp_(), labels)
            ctx.temperature, ctx.dtype = temperature, logits.dtype
        return of_labels.to(working_dtype(logits))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_nll: Tensor) -> tuple[Tensor, None, None]:
        q, labels = ctx.saved_tensors
        places, d_rows = labels[..., None], (d_nll / ctx.temperature)[..., None]
        out = torch.mul(q, d_rows, out=torch.empty_like(q, dtype=ctx.dtype))
        at_labels = (q.gather(-1, places) - 1.0) * d_rows
        return out.scatter_(-1, places, at_labels.to(ctx.dtype)), None, None


def _nll(log_q: Tensor, labels: Tensor) -> Tensor:
    return -log_q.gather(-1, labels[..., None]).squeeze(-1)
