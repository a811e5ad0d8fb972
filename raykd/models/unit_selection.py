"""Selects the heads and neurons to keep: scores, a ranking over all blocks, hardware sizes.

Pure arithmetic on arrays, after the authors' code of StarK (https://arxiv.org/abs/2210.03923).

Axes: Y block, U unit of a block (head or neuron), A head, I neuron.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from raykd.data.base import Array
from raykd.models.base import ModelDims

STEP = 8
"""Widths are rounded to a multiple of this, which suits the matrix units of GPUs."""

_EPSILON = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitScores:
    """A score for every head and neuron; the higher, the more it is worth.

    Attributes:
        heads: ``[Y, A]``.
        neurons: ``[Y, I]``.
    """

    heads: Array
    neurons: Array

    def normalised(self) -> UnitScores:
        """Every block's scores divided by their Euclidean norm (plus 1e-7), per kind of unit."""
        return UnitScores(heads=_unit_length(self.heads), neurons=_unit_length(self.neurons))

    def mixed(self, other: UnitScores, share: float) -> UnitScores:
        """``share * self + (1 - share) * other``."""
        return UnitScores(
            heads=share * self.heads + (1 - share) * other.heads,
            neurons=share * self.neurons + (1 - share) * other.neurons,
        )


def _unit_length(scores_YU: Array) -> Array:
    norms = np.linalg.norm(scores_YU, axis=1, keepdims=True)
    scaled: Array = scores_YU / (norms + _EPSILON)
    return scaled


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptUnits:
    """Which heads and neurons a model keeps.

    Attributes:
        heads: bool ``[Y, A]``.
        neurons: bool ``[Y, I]``.
    """

    heads: Array
    neurons: Array

    def key(self) -> str:
        """A short name; equal for equal choices."""
        digest = hashlib.sha256(repr((self.heads.shape, self.neurons.shape)).encode())
        for kept in (self.heads, self.neurons):
            digest.update(np.packbits(kept).tobytes())
        return digest.hexdigest()[:16]

    def about(self) -> str:
        """How many of them, in words."""
        return (
            f"{int(self.heads.sum()):,} of {self.heads.size:,} heads and "
            f"{int(self.neurons.sum()):,} of {self.neurons.size:,} neurons"
        )

    def indices(self) -> tuple[list[list[int]], list[list[int]]]:
        """Numbers of the kept heads and neurons of each block, ascending."""
        heads = [np.flatnonzero(row).tolist() for row in self.heads]
        return heads, [np.flatnonzero(row).tolist() for row in self.neurons]


def order(scores_YU: Array) -> Array:
    """Units of each block by falling score, ``[Y, U]``; of equal ones the lower number first."""
    ranked: Array = np.argsort(-scores_YU, axis=1, kind="stable")
    return ranked


def removals(scores_YU: Array, sparsity: float) -> Array:
    """How many units each block loses when the lowest scores of the whole model go.

    Args:
        scores_YU: Scores, ``[Y, U]``.
        sparsity: Percent of all units that go; half a unit is rounded to the even number.

    Returns:
        int64 ``[Y]``. Of equal scores those of earlier blocks go first.
    """
    count = round(sparsity / 100 * scores_YU.size)
    lowest = np.argsort(scores_YU, axis=None, kind="stable")[:count]
    return np.bincount(lowest // scores_YU.shape[1], minlength=len(scores_YU))


def rounded(removed_Y: Array, width: int) -> Array:
    """The removals that make widths multiples of `STEP`: to the nearest one, halves to even.

    Args:
        removed_Y: Units that each block loses.
        width: Width of one unit: the size of a head, 1 for neurons.
    """
    steps = np.rint(removed_Y * width / STEP).astype(np.int64)
    return steps * STEP // width


def choose(scores: UnitScores, sparsity: float, head_size: int) -> KeptUnits:
    """Keep the best heads and neurons; both kinds lose the same share, each in its own ranking.

    The ranking over the whole model decides how many units a block loses; then the lowest ones of
    the block go, as many as the rounding to hardware sizes says.

    Args:
        scores: What they are worth.
        sparsity: Percent of all units that go.
        head_size: Width of one head.
    """
    return KeptUnits(
        heads=_best(scores.heads, sparsity, head_size), neurons=_best(scores.neurons, sparsity, 1)
    )


def _best(scores_YU: Array, sparsity: float, width: int) -> Array:
    units = scores_YU.shape[1]
    left_Y = units - rounded(removals(scores_YU, sparsity), width)
    kept = np.zeros(scores_YU.shape, bool)
    place = np.arange(units) < left_Y[:, None]
    np.put_along_axis(kept, order(scores_YU), place, axis=1)
    return kept


def refusal(sizes: ModelDims) -> str:
    """Why heads and neurons of a model cannot be removed, or empty; fits behind the model's name.

    A second line, if there is one, says what to do.
    """
    if sizes.intermediate is None:
        return (
            "is of a family whose heads and neurons cannot be told apart\n"
            "choose a bert, roberta or distilbert model"
        )
    if sizes.uneven:
        return "has lost heads or neurons before\nchoose a model that was not pruned"
    width = sizes.hidden // sizes.heads
    if width % STEP:
        return (
            f"has heads of width {width}, which is not a multiple of {STEP}: widths are rounded "
            "to it"
        )
    if sizes.intermediate % STEP:
        return (
            f"has {sizes.intermediate} feed-forward neurons per block, which is not a multiple of "
            f"{STEP}: widths are rounded to it"
        )
    return ""
