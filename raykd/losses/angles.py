r"""Sums over differences of angles, from inner products, with a hand-written backward pass.

The cosine of the angle at vertex i between items j and k is

.. math::
    a_{ijk} = \frac{G_{jk} - e_{ij} - e_{ik}}{\sqrt{D_{ij} D_{ik}}}, \quad
    e_{ij} = G_{ij} - G_{ii} / 2, \quad D_{ij} = G_{ii} + G_{jj} - 2 G_{ij}

It is symmetric in j and k, so half of the cells suffice. They are visited one first neighbour at
a time; every visit is a handful of operations on a block small enough for the processor's cache,
which forms value and slope at once. All that is kept for backward is the slope of the value in
the inner products, ``[R, I, I]``.

Two geometries say which neighbours a vertex has: `AllItems` and `NeighbourWindow`.

Axes: R group, I item, V vertex, J neighbour of a vertex (item or offset).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from raykd.losses.elementwise import of_difference, sum_and_slope_
from raykd.losses.transfer import moved

# A squared distance below either bound is taken for zero. The second is relative to the vectors:
# about the rounding error of D when two items coincide.
_ZERO_DISTANCE = 1e-12
_ZERO_DISTANCE_EPS = 8.0

# Cells of one block: what a processor's cache holds (measured), and enough to fill an accelerator.
_CELLS = {"cpu": 1 << 18}
_CELLS_ACCELERATOR = 1 << 24


class Side(Protocol):
    """The inner products of one model in the layout of a geometry, for some groups.

    Attributes:
        edge: e of every neighbour and vertex, ``[J, ...]``.
        inverse: 1 / sqrt(D), and 0 where the neighbour does not count or coincides, ``[J, ...]``.
    """

    edge: Tensor
    inverse: Tensor

    def products(self, first: int) -> Tensor:
        """Inner products of a neighbour with the later ones, ``[J - first - 1, ...]``."""

    def add_slope(self, first: int, slope: Tensor) -> None:
        """Add to the slope in `products`."""

    def slope(self, d_edge: Tensor, d_distance: Tensor) -> Tensor:
        """The slope in all inner products of the groups, given the others, ``[R, I, I]``."""


class Geometry(Protocol):
    """Which neighbours every vertex has."""

    def cells(self, length: int) -> int:
        """Most cells of one group that are visited at a time, with `length` vertices."""

    def side(self, inner: Tensor, valid: Tensor) -> Side:
        """Lay out some groups: `inner` is ``[R, I, I]``, `valid` ``[R, V]``."""


def angle_sum(
    student: Tensor,
    teacher: Tensor,
    valid: Tensor,
    *,
    geometry: Geometry,
    lossfunc: str,
    ends: Sequence[int] | None = None,
) -> Tensor:
    """Sum over all groups, vertices and pairs of neighbours of the loss of the angles' difference.

    Args:
        student: Inner products, ``[R, I, I]``, symmetric.
        teacher: Same shape; no gradient flows into it.
        valid: Items that count, bool ``[R, I]``.
        geometry: Which neighbours every vertex has.
        lossfunc: One of `raykd.losses.elementwise.DIFFERENCE_LOSSES`.
        ends: Where the last item of each group that counts is, counted from 1; None reads it back
            from `valid`.

    Returns:
        A scalar.
    """
    if ends is None:
        positions = torch.arange(1, valid.shape[1] + 1, device=valid.device)
        ends = (valid * positions).amax(dim=1).tolist()
    total: Tensor = _AngleSum.apply(  # type: ignore[no-untyped-call]
        student, teacher.detach(), valid, geometry, lossfunc, ends
    )
    return total


class _AngleSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        teacher: Tensor,
        valid: Tensor,
        geometry: Geometry,
        lossfunc: str,
        ends: Sequence[int],
    ) -> Tensor:
        slope = torch.zeros_like(student) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float64, device=student.device)
        for rows, length in _portions(ends, geometry, valid.device):
            part = valid.index_select(0, rows)[:, :length]
            student_side = geometry.side(student.index_select(0, rows), part)
            teacher_side = geometry.side(teacher.index_select(0, rows), part)
            value, d_inner = _portion(student_side, teacher_side, lossfunc, slope is not None)
            total += value
            if slope is not None and d_inner is not None:
                slope[rows] = d_inner
        ctx.save_for_backward(slope)
        return total.to(student.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_total: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return (slope * d_total, None, None, None, None, None)


def _portions(
    ends: Sequence[int], geometry: Geometry, device: torch.device
) -> Iterator[tuple[Tensor, int]]:
    """Groups of similar length, as many at a time as fit: their numbers and the vertices needed."""
    lengths, groups = torch.tensor(ends).sort(descending=True, stable=True)
    order = moved(groups, device)
    budget = _CELLS.get(device.type, _CELLS_ACCELERATOR)
    longest_first: list[int] = lengths.tolist()
    start = 0
    while start < len(longest_first) and longest_first[start] > 0:
        length = longest_first[start]
        stop = start + max(1, budget // max(1, geometry.cells(length)))
        yield order[start:stop], length
        start = stop


def _portion(
    student_side: Side, teacher_side: Side, lossfunc: str, with_slope: bool
) -> tuple[Tensor, Tensor | None]:
    """Value and slope of some groups; both halves of the symmetric cells are counted."""
    count = len(student_side.edge)
    # On the diagonal j = k the cosine is 1, or 0 where the neighbour coincides with the vertex.
    presence = student_side.inverse.ne(0).to(student_side.edge.dtype) - teacher_side.inverse.ne(
        0
    ).to(student_side.edge.dtype)
    value = of_difference(presence, lossfunc).sum().double()
    d_edge = torch.zeros_like(student_side.edge)
    d_log_length = torch.zeros_like(student_side.edge)
    for first in range(count - 1):
        scale = student_side.inverse[first + 1 :] * student_side.inverse[first]
        angle = _angles(student_side, first).mul_(scale)
        target = _angles(teacher_side, first).mul_(teacher_side.inverse[first + 1 :])
        target.mul_(teacher_side.inverse[first])
        half, slope = sum_and_slope_(torch.sub(angle, target, out=target), lossfunc)
        value += 2.0 * half
        if not with_slope:
            continue
        angle.mul_(slope)
        slope.mul_(scale)
        student_side.add_slope(first, slope)
        d_edge[first] += slope.sum(dim=0)
        d_edge[first + 1 :] += slope
        d_log_length[first] += angle.sum(dim=0)
        d_log_length[first + 1 :] += angle
    if not with_slope:
        return value, None
    d_distance = d_log_length.mul_(student_side.inverse).mul_(student_side.inverse).mul_(-0.5)
    return value, student_side.slope(d_edge.neg_(), d_distance).mul_(2.0)


def _angles(side: Side, first: int) -> Tensor:
    """Numerators of the cosines between one neighbour and the later ones."""
    return (side.products(first) - side.edge[first]).sub_(side.edge[first + 1 :])


def _inverse_lengths(squared: Tensor, size: Tensor, counts: Tensor) -> Tensor:
    """1 / sqrt(D) where D is not zero and the neighbour counts, else 0."""
    floor = (size * (_ZERO_DISTANCE_EPS * torch.finfo(size.dtype).eps)).clamp_(min=_ZERO_DISTANCE)
    present = counts & (squared > floor)
    return torch.where(present, squared.clamp(min=_ZERO_DISTANCE).rsqrt(), 0.0)


@dataclass(frozen=True, slots=True)
class AllItems:
    """Every item is a neighbour of every other."""

    def cells(self, length: int) -> int:
        """Cells with one first neighbour: vertices times neighbours."""
        return length * length

    def side(self, inner: Tensor, valid: Tensor) -> Side:
        """Lay out as neighbour, vertex, group: groups innermost, so that few items are no loss."""
        return _AllItemsSide(inner, valid)


class _AllItemsSide:
    def __init__(self, inner: Tensor, valid: Tensor) -> None:
        self._shape = inner.shape
        length = valid.shape[1]
        self._inner = inner[:, :length, :length].permute(1, 2, 0).contiguous()
        square = self._inner.diagonal().mT  # [I, R]
        counts = valid.mT
        size = square[:, None] + square[None, :]
        distinct = ~torch.eye(length, dtype=torch.bool, device=inner.device)[:, :, None]
        self.edge = self._inner - 0.5 * square[None, :]
        self.inverse = _inverse_lengths(
            size - 2.0 * self._inner, size, counts[:, None] & counts[None, :] & distinct
        )
        self._slope = torch.zeros_like(self._inner)

    def products(self, first: int) -> Tensor:
        return self._inner[first, first + 1 :, None, :]

    def add_slope(self, first: int, slope: Tensor) -> None:
        self._slope[first, first + 1 :] += slope.sum(dim=1)

    def slope(self, d_edge: Tensor, d_distance: Tensor) -> Tensor:
        total = self._slope + d_edge - 2.0 * d_distance
        at_vertex = (d_distance - 0.5 * d_edge).sum(dim=0) + d_distance.sum(dim=1)
        total.diagonal().add_(at_vertex.mT)
        full = total.new_zeros(self._shape)
        length = len(total)
        full[:, :length, :length] = total.permute(2, 0, 1)
        return full


@dataclass(frozen=True, slots=True)
class NeighbourWindow:
    """The neighbours of a vertex are the positions at most `half` away.

    Offsets that leave the padded length repeat the position at its end, padding positions are
    neighbours like all others; with `masked`, both kinds do not count.

    Attributes:
        half: Positions on either side.
        masked: Leave out neighbours that are no tokens.
    """

    half: int
    masked: bool

    def cells(self, length: int) -> int:
        """Cells with one first neighbour: vertices times later offsets."""
        return length * 2 * self.half

    def side(self, inner: Tensor, valid: Tensor) -> Side:
        """Lay out as offset, group, vertex."""
        return _WindowSide(inner, valid, self)


class _WindowSide:
    """Keeps the diagonals of the inner products: cell (distance, group, position) is `band`."""

    def __init__(self, inner: Tensor, valid: Tensor, window: NeighbourWindow) -> None:
        self._shape = inner.shape
        self._width = 2 * window.half + 1
        self._vertices, end = valid.shape[1], inner.shape[1]
        flat = inner.flatten(1)
        offsets = torch.arange(self._width, device=inner.device)[:, None]
        spots = torch.arange(self._vertices + 2 * window.half, device=inner.device)
        near = (spots - window.half).clamp(0, end - 1)
        later = (spots + offsets - window.half).clamp(0, end - 1)
        self._band_at = near * end + later  # [J, V + 2 half]
        vertex = spots[: self._vertices]
        neighbour = later[:, : self._vertices]
        self._edge_at = vertex * end + neighbour  # [J, V]
        self._band = _pick(flat, self._band_at)
        to_vertex = _pick(flat, self._edge_at)
        square = inner.diagonal(dim1=1, dim2=2)  # [R, I]
        own = square[:, : self._vertices]
        size = _pick(square, neighbour) + own
        counts = (neighbour != vertex)[:, None] & valid
        if window.masked:
            counts &= _inside(valid, vertex + offsets - window.half)
        self._neighbour = neighbour
        self.edge = to_vertex - 0.5 * own
        self.inverse = _inverse_lengths(size - 2.0 * to_vertex, size, counts)
        self._slope = torch.zeros_like(self._band)

    def products(self, first: int) -> Tensor:
        return self._band[1 : self._width - first, :, first : first + self._vertices]

    def add_slope(self, first: int, slope: Tensor) -> None:
        self._slope[1 : self._width - first, :, first : first + self._vertices] += slope

    def slope(self, d_edge: Tensor, d_distance: Tensor) -> Tensor:
        full = d_edge.new_zeros(self._shape)
        flat = full.flatten(1)
        _drop(flat, self._band_at, self._slope)
        _drop(flat, self._edge_at, d_edge - 2.0 * d_distance)
        square = d_edge.new_zeros(self._shape[:2])
        _drop(square, self._neighbour, d_distance)
        square[:, : self._vertices] += (d_distance - 0.5 * d_edge).sum(dim=0)
        full.diagonal(dim1=1, dim2=2).add_(square)
        return full


def _pick(flat: Tensor, at: Tensor) -> Tensor:
    """Columns of ``[R, N]`` by a table ``[J, P]``, as ``[J, R, P]``."""
    return (
        flat.index_select(1, at.flatten()).view(len(flat), *at.shape).transpose(0, 1).contiguous()
    )


def _drop(flat: Tensor, at: Tensor, values: Tensor) -> None:
    """Add values ``[J, R, P]`` to the columns of ``[R, N]`` that `_pick` took them from."""
    columns = values.transpose(0, 1).flatten(1)
    flat.scatter_add_(1, at.flatten().expand_as(columns), columns)


def _inside(valid: Tensor, position: Tensor) -> Tensor:
    """Whether positions ``[J, V]`` are tokens of each group ``[R, V]``: bool ``[J, R, V]``."""
    end = valid.shape[1]
    exists = (position >= 0) & (position < end)
    return _pick(valid, position.clamp(0, end - 1)) & exists[:, None]
