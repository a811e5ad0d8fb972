"""Relations among the items of a group, compared between two models: the terms of CKD.

Each is a function of `raykd.losses.gram.Gram`, so the same three serve words and layers:

====================  =========================  ==========================
term                  function                   inner products
====================  =========================  ==========================
wrdist                `pair_relation`            `word_gram`
wrangle               `triple_relation`          `word_gram`
wrangle, windowed     `window_relation`          `word_gram` with context padding
ltrdist               `pair_relation`            `layer_gram`
ltrangle              `triple_relation`          `layer_gram`
====================  =========================  ==========================

All are sums divided by the number of cells of the valid items, degenerate ones included, as in the
authors' code. The divisors (`cells`, `window_cells`) weight the values of several ranks.

References:
    Park et al., "Distilling Linguistic Context for Language Model Compression", EMNLP 2021.
    https://arxiv.org/abs/2109.08359
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.errors import ShapeError, SpecError
from raykd.losses.angles import AllItems, Geometry, NeighbourWindow, angle_sum
from raykd.losses.elementwise import DIFFERENCE_LOSSES, check_difference_loss, of_difference
from raykd.losses.gram import Gram
from raykd.losses.shapes import check_same_shape

DISTANCES = ("cos", "l2")
"""Cosine similarity, to be compared by `kldiv`; squared distance, for all others."""

PAIR_LOSSES = ("kldiv", *DIFFERENCE_LOSSES)
"""Ways to compare pairwise relations."""

# Far below every cosine, so that its softmax is exactly 0, yet finite: no inf - inf anywhere.
_NO_CANDIDATE = -1e4


def pair_refusal(distance: str, lossfunc: str, distnorm: bool) -> str:
    """Why these options make no sense together, in the user's words, or empty."""
    if (distance == "cos") != (lossfunc == "kldiv"):
        fitting = "kldiv" if distance == "cos" else "l1loss, l2loss or smoothl1"
        return (
            f"distance '{distance}' cannot be compared by '{lossfunc}': "
            f"{distance} needs lossfunc_d to be {fitting}"
        )
    if distnorm and distance != "l2":
        return f"distnorm scales distances and acts with distance 'l2' only, not with '{distance}'"
    return ""


def pair_relation(
    student: Gram,
    teacher: Gram,
    *,
    distance: str = "cos",
    lossfunc: str = "kldiv",
    distnorm: bool = False,
) -> Tensor:
    r"""Difference of pairwise relations (wrdist, ltrdist).

    With ``cos`` every item's similarities to the others become a distribution, and

    .. math::
        \frac{1}{\sum_r n_r^2} \sum_r \sum_{i \ne j}
        p^T_{ij} (\log p^T_{ij} - \log p^S_{ij}), \quad
        p_{ij} = \mathrm{softmax}_{j \ne i} \cos(x_i, x_j)

    With ``l2`` squared distances are compared cell by cell. n is the number of valid items of a
    group; the divisor counts the diagonal, too.

    Args:
        student: Inner products of the student.
        teacher: Of the teacher; no gradient flows into it.
        distance: One of `DISTANCES`.
        lossfunc: ``kldiv`` with ``cos``, one of `DIFFERENCE_LOSSES` with ``l2``.
        distnorm: Divide squared distances by the group's mean over positive ones.

    Returns:
        A scalar.

    Raises:
        SpecError: If an option is unknown or the options make no sense together.
        ShapeError: If the groups or items of the two sides do not correspond.
    """
    if distance not in DISTANCES:
        raise SpecError(f"unknown distance '{distance}'", hint=f"one of: {', '.join(DISTANCES)}")
    if lossfunc != "kldiv":
        check_difference_loss(lossfunc)
    if wrong := pair_refusal(distance, lossfunc, distnorm):
        raise SpecError(wrong)
    _check_same_groups(student, teacher)
    valid = student.valid
    both = valid[:, :, None] & valid[:, None, :]
    if distance == "cos":
        other = both & ~torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
        total = _row_divergence(student, teacher, other)
    else:
        student_distances = _squared_distances(student.inner, both, distnorm)
        teacher_distances = _squared_distances(teacher.inner.detach(), both, distnorm)
        total = of_difference(student_distances - teacher_distances, lossfunc).sum()
    return total / cells(valid, 2).to(total.dtype)


def triple_relation(student: Gram, teacher: Gram, *, lossfunc: str = "l2loss") -> Tensor:
    r"""Difference of the angles among all triples (wrangle without a window, ltrangle).

    .. math::
        \frac{1}{\sum_r n_r^3} \sum_r \sum_{ijk} \ell(a^S_{ijk} - a^T_{ijk}), \quad
        a_{ijk} = \cos \angle (x_j - x_i, \; x_k - x_i)

    An item that coincides with the vertex gives 0, and no gradient.

    Args:
        student: Inner products of the student.
        teacher: Of the teacher; no gradient flows into it.
        lossfunc: One of `DIFFERENCE_LOSSES`.

    Returns:
        A scalar.

    Raises:
        SpecError: If the loss function is unknown.
        ShapeError: If the groups or items of the two sides do not correspond.
    """
    total = _angle_relation(student, teacher, AllItems(), lossfunc)
    return total / cells(student.valid, 3).to(total.dtype)


def window_relation(
    student: Gram,
    teacher: Gram,
    *,
    window: int = 21,
    lossfunc: str = "l2loss",
    mask_neighbours: bool = False,
) -> Tensor:
    r"""Difference of the angles at every token among the positions around it (windowed wrangle).

    .. math::
        \frac{1}{W^2 \sum_r n_r} \sum_r \sum_{i} \sum_{o, p = -h}^{h}
        \ell(a^S_{i,i+o,i+p} - a^T_{i,i+o,i+p}), \quad W = 2 h + 1

    As in the authors' code only the vertex i must be a token: padding positions are neighbours,
    too, and positions beyond the padded length stand for the last one (before the first, for the
    first). The value therefore depends on padding up to h positions after the longest sentence,
    not beyond. `mask_neighbours` leaves out every offset that leads to no token, and divides by
    the cells that remain; then padding has no influence.

    Args:
        student: Inner products of tokens, made with context padding of at least h.
        teacher: Of the teacher; no gradient flows into it.
        window: W, odd.
        lossfunc: One of `DIFFERENCE_LOSSES`.
        mask_neighbours: Count tokens only.

    Returns:
        A scalar.

    Raises:
        SpecError: If the loss function is unknown or the window is even.
        ShapeError: If the groups or items of the two sides do not correspond, or the context
            padding is less than h.
    """
    if window < 1 or window % 2 == 0:
        raise SpecError(f"the window must be odd and positive, got {window}")
    half = window // 2
    context_padding = min(student.context_padding, teacher.context_padding)
    if context_padding < half and not mask_neighbours:
        raise ShapeError(
            f"a window of {window} reads {half} positions after the last token, "
            f"but the inner products were made with context padding of {context_padding}"
        )
    total = _angle_relation(student, teacher, NeighbourWindow(half, mask_neighbours), lossfunc)
    compared = window_cells(student.valid, window=window, mask_neighbours=mask_neighbours)
    return total / compared.to(total.dtype)


def cells(valid: Tensor, power: int) -> Tensor:
    """What the sums of this file are divided by: cells of the valid items, at least 1.

    Args:
        valid: Which items of each group exist, ``[R, I]``.
        power: 2 for pairs, 3 for triples.

    Returns:
        A float64 scalar.
    """
    return valid.sum(dim=1).double().pow(power).sum().clamp(min=1.0)


def window_cells(valid: Tensor, *, window: int, mask_neighbours: bool = False) -> Tensor:
    """What `window_relation` divides by, at least 1; a float64 scalar.

    Args:
        valid: Which positions hold tokens, ``[R, I]``.
        window: W, odd.
        mask_neighbours: Count tokens only.
    """
    if not mask_neighbours:
        return cells(valid, 1) * window**2
    half = window // 2
    kept = F.avg_pool1d(valid[:, None].double(), window, 1, half, count_include_pad=True)[:, 0]
    return (kept * window).round().square().mul(valid).sum().clamp(min=1.0)


def _angle_relation(student: Gram, teacher: Gram, geometry: Geometry, lossfunc: str) -> Tensor:
    check_difference_loss(lossfunc)
    _check_same_groups(student, teacher)
    return angle_sum(
        student.inner,
        teacher.inner,
        student.valid,
        geometry=geometry,
        lossfunc=lossfunc,
        ends=student.ends,
    )


def _check_same_groups(student: Gram, teacher: Gram) -> None:
    check_same_shape(student=student.inner, teacher=teacher.inner)


def _row_divergence(student: Gram, teacher: Gram, candidates: Tensor) -> Tensor:
    log_q = _log_similarities(student, candidates)
    with torch.no_grad():
        log_p = _log_similarities(teacher, candidates)
        p = log_p.exp()
    return torch.where(candidates, p * (log_p - log_q), 0.0).sum()


def _log_similarities(gram: Gram, candidates: Tensor) -> Tensor:
    """Log of the softmax over the candidates of each item's cosines, ``[R, I, I]``."""
    product = gram.unshifted()
    square = product.diagonal(dim1=1, dim2=2)
    # A zero vector has similarity 0 to all; what the shift leaves of it is rounding error.
    rounding = 8.0 * torch.finfo(square.dtype).eps
    floor = (rounding * (gram.inner.diagonal(dim1=1, dim2=2) + gram.centre[:, None])).detach()
    inverse = torch.where(square > floor, square.clamp(min=1e-24), torch.inf).rsqrt()
    cosine = product * inverse[:, :, None] * inverse[:, None, :]
    return F.log_softmax(cosine.masked_fill(~candidates, _NO_CANDIDATE), dim=-1)


def _squared_distances(inner: Tensor, both: Tensor, distnorm: bool) -> Tensor:
    """Squared distances, 0 on the diagonal and outside the valid items, ``[R, I, I]``."""
    square = inner.diagonal(dim1=1, dim2=2)
    squared = (square[:, :, None] + square[:, None, :] - 2.0 * inner).clamp(min=1e-12)
    other = both & ~torch.eye(inner.shape[1], dtype=torch.bool, device=inner.device)
    squared = torch.where(other, squared, 0.0)
    if not distnorm:
        return squared
    positive = other.sum(dim=(1, 2)).clamp(min=1)
    mean = squared.sum(dim=(1, 2)) / positive
    mean = torch.where(mean > 0, mean, 1.0)
    return squared / mean[:, None, None]
