"""Divergences between a teacher's and a student's distribution over a vocabulary.

All of them give nats per row; a batch takes the mean over its scored tokens, never a mean of means
of sequences. Mixtures are formed from logarithms. A token that the student cannot give (a logit of
minus infinity) is left out of the sums, as the authors of MiniLLM do.

Axes: M scored token, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from raykd.losses import closed_forms
from raykd.losses.precision import working_dtype
from raykd.losses.shapes import check_same_shape


def forward_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Divergence from the teacher to the student: :math:`\sum_v p_v (\log p_v - \log q_v)`.

    Its gradient is that of the soft cross-entropy that word-level distillation minimises; unlike
    it, it is 0 where both agree.

    Args:
        student: Logits, ``[..., V]``.
        teacher: Logits, same shape. No gradient flows into it.
        temperature: Softens both. There is no factor :math:`T^2`.

    Returns:
        Nats per row, ``[...]``.

    Raises:
        ShapeError: If the shapes differ.

    References:
        Gu et al., "MiniLLM", 2023. https://arxiv.org/abs/2306.08543
    """
    return _nats(student, teacher, closed_forms.forward_kl, temperature)


def reverse_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Divergence from the student to the teacher: :math:`\sum_v q_v (\log q_v - \log p_v)`.

    Arguments, result and errors are those of `forward_kl`.
    """
    return _nats(student, teacher, closed_forms.reverse_kl, temperature)


def jensen_shannon(
    student: Tensor, teacher: Tensor, *, beta: float, temperature: float = 1.0
) -> Tensor:
    r"""Generalised Jensen-Shannon divergence of GKD.

    .. math::
        \beta\, KL(p, m) + (1 - \beta)\, KL(q, m), \quad m = \beta p + (1 - \beta) q

    At the ends it is defined as `forward_kl` (0) and `reverse_kl` (1), to which it does not tend:
    near an end it goes to 0. Divided by :math:`\beta (1 - \beta)` it tends to both.

    Args:
        student: Logits, ``[..., V]``.
        teacher: Logits, same shape. No gradient flows into it.
        beta: Weight of the teacher in the mixture, in [0, 1].
        temperature: Softens both.

    Returns:
        Nats per row, ``[...]``.

    References:
        Agarwal et al., "On-Policy Distillation of Language Models", 2023.
        https://arxiv.org/abs/2306.13649
    """
    return _nats(student, teacher, closed_forms.jensen_shannon(beta), temperature)


def skew_forward_kl(
    student: Tensor, teacher: Tensor, *, lam: float, temperature: float = 1.0
) -> Tensor:
    r"""Skewed forward divergence of DistiLLM: :math:`KL(p, \lambda p + (1 - \lambda) q)`.

    Args:
        student: Logits, ``[..., V]``.
        teacher: Logits, same shape. No gradient flows into it.
        lam: Share of the teacher in the mixture, in [0, 1); 0 is `forward_kl`.
        temperature: Softens both.

    Returns:
        Nats per row, ``[...]``.

    References:
        Ko et al., "DistiLLM", 2024. https://arxiv.org/abs/2402.03898
    """
    return _nats(student, teacher, closed_forms.skew_forward_kl(lam), temperature)


def skew_reverse_kl(
    student: Tensor, teacher: Tensor, *, lam: float, temperature: float = 1.0
) -> Tensor:
    r"""Skewed reverse divergence of DistiLLM: :math:`KL(q, (1 - \lambda) p + \lambda q)`.

    Arguments, result and errors are those of `skew_forward_kl`; `lam` is the share of the student.
    """
    return _nats(student, teacher, closed_forms.skew_reverse_kl(lam), temperature)


def total_variation(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Half the sum of absolute differences of probabilities, in [0, 1].

    Arguments, result and errors are those of `forward_kl`.
    """
    return _nats(student, teacher, closed_forms.total_variation, temperature)


def divergence(
    kind: str, *, beta: float = 0.5, lam: float = 0.1, temperature: float = 1.0
) -> Callable[[Tensor, Tensor], Tensor]:
    """One of the divergences of this file, by the name that search spaces use.

    Args:
        kind: ``forward_kl``, ``reverse_kl``, ``jsd``, ``skew_forward_kl``, ``skew_reverse_kl`` or
            ``total_variation``.
        beta: For ``jsd``.
        lam: For the skewed ones.
        temperature: Softens both.

    Returns:
        A function of student and teacher logits, both ``[..., V]``.

    Raises:
        KeyError: There is no divergence of this name.
    """
    measure = _measure(kind, beta, lam)
    return lambda s, t: _nats(s, t, measure, temperature).to(working_dtype(s))


def divergence_and_nll(
    kind: str, *, beta: float = 0.5, lam: float = 0.1, temperature: float = 1.0
) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The same with the negative log-likelihood of labels, for the passes of the divergence alone.

    Args:
        kind: See `divergence`; so for `beta` and `lam`.
        beta: For ``jsd``.
        lam: For the skewed ones.
        temperature: Softens both, and the likelihood.

    Returns:
        A function of student and teacher logits, both ``[..., V]``, and labels, int64 ``[...]``. It
        gives the divergence and the negative log-likelihood of every row, ``[...]`` each.

    Raises:
        KeyError: There is no divergence of this name.
    """
    measure = _measure(kind, beta, lam)

    def measured(student: Tensor, teacher: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        check_same_shape(student=student, teacher=teacher)
        rows, of_labels = closed_forms.nats_and_nll(student, teacher, labels, measure, temperature)
        return rows.to(working_dtype(student)), of_labels.to(working_dtype(student))

    return measured


def _measure(kind: str, beta: float, lam: float) -> closed_forms.Measure:
    """The closed form of a divergence by its name."""
    made: dict[str, Callable[[], closed_forms.Measure]] = {
        "forward_kl": lambda: closed_forms.forward_kl,
        "reverse_kl": lambda: closed_forms.reverse_kl,
        "jsd": lambda: closed_forms.jensen_shannon(beta),
        "skew_forward_kl": lambda: closed_forms.skew_forward_kl(lam),
        "skew_reverse_kl": lambda: closed_forms.skew_reverse_kl(lam),
        "total_variation": lambda: closed_forms.total_variation,
    }
    return made[kind]()


def _nats(
    student: Tensor, teacher: Tensor, measure: closed_forms.Measure, temperature: float
) -> Tensor:
    """Nats per row, ``[...]``."""
    check_same_shape(student=student, teacher=teacher)
    return closed_forms.nats(student, teacher, measure, temperature)
