"""Teacher targets: what is known of its token distributions, and a student's distance to them.

Axes: M scored token, V vocabulary, S sample, K kept token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.closed_forms import nll
from raykd.losses.divergences import divergence, divergence_and_nll
from raykd.losses.precision import working
from raykd.losses.top_k import top_k_divergence
from raykd.losses.vocabulary import LazyLogits


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """Which distance between two distributions is meant.

    Attributes:
        kind: A name that `raykd.losses.divergences.divergence` knows.
        beta: Weight of the teacher, for ``jsd``.
        lam: Share of the one mixed into the other, for skewed ones.
        temperature: Softens both.
        normalised: Divide ``jsd`` by ``beta * (1 - beta)``, except at the ends.
    """

    kind: str = "forward_kl"
    beta: float = 0.5
    lam: float = 0.1
    temperature: float = 1.0
    normalised: bool = False

    def of(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Nats per row from the scores of both, ``[..., V]``."""
        value = divergence(
            self.kind, beta=self.beta, lam=self.lam, temperature=self.temperature
        )(student, teacher)  # fmt: skip
        return value / self._divisor()

    def with_nll(self, student: Tensor, teacher: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the negative log-likelihood of labels int64 ``[...]``, softened as well."""
        value, of_labels = divergence_and_nll(
            self.kind, beta=self.beta, lam=self.lam, temperature=self.temperature
        )(student, teacher, labels)  # fmt: skip
        return value / self._divisor(), of_labels

    def _divisor(self) -> float:
        if self.kind == "jsd" and self.normalised and 0 < self.beta < 1:
            return self.beta * (1 - self.beta)
        return 1.0


class TeacherTarget(ABC):
    """A teacher's distributions for M tokens, as far as they are known."""

    @abstractmethod
    def distance(self, student: Tensor, at: slice, of: Divergence) -> Tensor:
        """Nats per token, ``[m]``.

        Args:
            student: Scores of the student for some tokens, ``[m, V]``.
            at: Their place among the M.
            of: The divergence; a target that does not know enough for it raises.

        Raises:
            NotImplementedError: The divergence needs more than is known.
        """

    def distance_and_nll(
        self, student: Tensor, at: slice, of: Divergence, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same, and the negative log-likelihood of labels at temperature 1, ``[m]`` each.

        Args:
            student: As in `distance`; so for `at` and `of`.
            at: Place.
            of: The divergence.
            labels: Of the same tokens, int64 ``[m]``.
        """
        return self.distance(student, at, of), nll(student, labels)

    def cast(self, at_most: torch.dtype) -> TeacherTarget:
        """The same for many chunks; see `LazyLogits.cast`."""
        del at_most
        return self


@dataclass(frozen=True, slots=True)
class FullTeacherTarget(TeacherTarget):
    """The full distribution: logits, or what they are computed from.

    Attributes:
        logits: The teacher's, over a vocabulary that may be padded to another size.
    """

    logits: Tensor | LazyLogits

    def cast(self, at_most: torch.dtype) -> TeacherTarget:
        """Products are formed as the student's are, and the matrix is cast once."""
        if isinstance(self.logits, Tensor):
            return self
        with torch.no_grad():
            return FullTeacherTarget(self.logits.cast(at_most))

    def distance(self, student: Tensor, at: slice, of: Divergence) -> Tensor:
        """Any divergence at any temperature."""
        return of.of(*_shared(student, self._chunk(at)))

    def distance_and_nll(
        self, student: Tensor, at: slice, of: Divergence, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From one softmax where both are of the same distribution."""
        shared, teacher = _shared(student, self._chunk(at))
        if of.temperature == 1 and shared.shape == student.shape:
            return of.with_nll(shared, teacher, labels)
        return of.of(shared, teacher), nll(student, labels)

    def _chunk(self, at: slice) -> Tensor:
        with torch.no_grad():
            return self.logits.chunk(at) if isinstance(self.logits, LazyLogits) else self.logits[at]


@dataclass(frozen=True, slots=True)
class SampledTeacherTarget(TeacherTarget):
    """Token ids drawn from the distribution: its gradient is met in the mean.

    The value is the student's mean negative log-likelihood of the samples, which is the forward
    divergence plus the teacher's entropy.

    Attributes:
        ids: int64 ``[M, S]``.
        vocabulary: Token ids that were drawn from; the student's distribution is over these, too.
            None: over all it has.
    """

    ids: Tensor
    vocabulary: int | None = None

    def distance(self, student: Tensor, at: slice, of: Divergence) -> Tensor:
        """The forward divergence at temperature 1, up to the teacher's entropy."""
        if of.kind != "forward_kl" or of.temperature != 1.0:
            raise NotImplementedError(f"samples cannot serve {of.kind} at {of.temperature:g}")
        log_q = F.log_softmax(working(student[..., : self.vocabulary]), dim=-1)
        return -log_q.gather(-1, self.ids[at]).mean(dim=-1)


@dataclass(frozen=True, slots=True)
class TopKTeacherTarget(TeacherTarget):
    """The most likely tokens; the rest of the mass is one more token.

    Attributes:
        ids: int64 ``[M, K]``.
        log_probabilities: Theirs among all V, ``[M, K]``.
        vocabulary: V; the student's distribution is over these token ids, too. None: over all it
            has.
    """

    ids: Tensor
    log_probabilities: Tensor
    vocabulary: int | None = None

    def distance(self, student: Tensor, at: slice, of: Divergence) -> Tensor:
        """The forward divergence at temperature 1, a lower bound of the full one."""
        if of.kind != "forward_kl" or of.temperature != 1.0:
            raise NotImplementedError(f"top-k cannot serve {of.kind} at {of.temperature:g}")
        cut = student[..., : self.vocabulary]
        return top_k_divergence(cut, self.ids[at], self.log_probabilities[at])


def _shared(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of the token ids that both have."""
    width = min(student.shape[-1], teacher.shape[-1])
    return student[..., :width], teacher[..., :width]
