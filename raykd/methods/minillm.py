"""MiniLLM: the reverse divergence of whole responses, by policy gradient on the student's own text.

Every `ppo_epochs` steps the student goes on with the prompts of a batch, mixed with the teacher;
these responses are learnt from in that many steps. The responses of the task are the text that
keeps the student a language model (`lm_coef`).

Axes: B response, S position of a response, M token, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.data.base import NO_LABEL, Batch
from raykd.data.task_kinds import TEXT_KINDS
from raykd.losses import policy
from raykd.losses.divergences import reverse_kl
from raykd.losses.precision import working
from raykd.losses.targets import Divergence
from raykd.losses.terms import Term
from raykd.losses.vocabulary import LazyLogits, summed
from raykd.methods._ranks import Ranks
from raykd.methods._tokens import weighted
from raykd.methods.base import (
    DistillationContext,
    LossTerms,
    Mean,
    Method,
    OnlineTeacherFn,
    OutputSpec,
    Sampling,
    StudentFn,
    TeacherOutputsFn,
)
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.models.signals.texts import RunningModel
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of MiniLLM; the defaults are those of its authors' scripts for one device."""

    teacher_mixed_alpha: float = param(
        0.2, low=0.0, high=0.99, symbol="alpha", help="Share of the teacher in what is sampled."
    )
    max_new_tokens: int = param(64, low=1, help="Most tokens of a sampled response.")
    temperature: float = param(1.0, low=0.0, open=True, symbol="T", help="Of sampling.")
    reward_scaling: float = param(0.5, low=0.0, open=True, help="Rewards are divided by it.")
    cliprange_reward: float = param(
        100.0, low=0.0, help="Largest size of a reward after that; 0 = any."
    )
    gamma: float = param(0.95, low=0.0, high=1.0, help="Discount of rewards to come; the paper: 1.")
    length_norm: bool = param(True, help="Divide rewards to come by the number of tokens to come.")
    whiten_over: str = param(
        "valid",
        choices=("valid", "all"),
        help="What advantages are centred over; 'all' counts padding, as the authors' code does.",
    )
    cliprange: float = param(
        0.2, low=0.0, open=True, help="How far a token's ratio may move before it stops to learn."
    )
    ppo_epochs: int = param(4, low=1, help="Steps that learn from the same responses.")
    single_step_reg: bool = param(
        True, help="Minimise what the next token decides exactly, not by samples."
    )
    lm_coef: float = param(1.0, low=0.0, help="Weight of the task's own responses.")
    kd_ratio: float = param(
        0.5, low=0.0, high=1.0, help="Share of the teacher in that; the labels get the rest."
    )


_OWN = ("mask", "ids", "old", "weight", "advantage", "reward")
_READ = ("input_ids", "attention_mask", "token_type_ids", "labels", "index")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """Responses that were sampled, and what is known of them.

    Attributes:
        batch: Prompts with the responses.
        mask: 1 = token of a response, ``[B, S]``.
        ids: Their tokens, ``[M]``.
        old: Log-probability to the student that sampled, ``[B, S]``.
        weight: Of importance, ``[B, S]``.
        advantage: Whitened, ``[B, S]``.
        reward: Mean reward of a token, before it is scaled; a scalar.
        counts: 1, or 0 for that of a rank which had no rows of the batch that was sampled for.
    """

    batch: Batch
    mask: Tensor
    ids: Tensor
    old: Tensor
    weight: Tensor
    advantage: Tensor
    reward: Tensor
    counts: float = 1.0

    def mean(self, value: Tensor) -> Mean:
        """A mean over its tokens, which belong to the batch that it was sampled for."""
        return Mean(value, self.counts * len(self.ids), of_batch=False)

    def logged(self) -> dict[str, Term]:
        """Its metrics."""
        lengths = Mean(
            self.mask.sum(dim=1).float().mean(), self.counts * len(self.mask), of_batch=False
        )
        return {"reward": self.mean(self.reward), "rollout_length": lengths}

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        own = {name: getattr(self, name) for name in _OWN}
        read = {f"batch.{name}": getattr(self.batch, name) for name in _READ}
        return {**own, **read, "counts": torch.tensor(self.counts)}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Rollout:
        """From what `tensors` gave."""
        ids, mask, kinds, labels, index = (tensors[f"batch.{name}"] for name in _READ)
        batch = Batch(
            input_ids=ids, attention_mask=mask, token_type_ids=kinds, labels=labels, index=index
        )
        own = {name: tensors[name] for name in _OWN}
        return cls(batch=batch, **own, counts=float(tensors["counts"]))

    def to(self, device: torch.device) -> Rollout:
        """The same on a device."""
        if self.ids.device == device:
            return self
        moved = {name: getattr(self, name).to(device) for name in _OWN}
        return replace(self, batch=self.batch.to(device), **moved)


class MiniLLM(Method[Params]):
    """Policy gradient on sampled responses, the exact single step, and the task's own responses.

    With several ranks each samples responses to its own rows; advantages are centred over those of
    all ranks, as the authors do, and every term is a mean over the tokens of all ranks.
    """

    title = "policy gradient on the student's own text, rewarded by the teacher"
    reference = "https://arxiv.org/abs/2306.08543"
    requires = OutputSpec(Logits(), RunningModel())
    kinds = TEXT_KINDS

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self._rollout: Rollout | None = None
        self._left = 0

    def refusal(self) -> str:
        """Sampling from both models needs decoders, and weights are exact at temperature 1 only."""
        if self.params.teacher_mixed_alpha > 0 and not self.context.task_kind.is_joined:
            return (
                "samples from student and teacher together, which is there for decoders only\n"
                "set teacher_mixed_alpha: 0"
            )
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """What belongs to text of weight 0, and a clip of what cannot move."""
        p = self.params
        found = {} if p.lm_coef else {"kd_ratio": "lm_coef is 0"}
        if p.ppo_epochs == 1:
            found["cliprange"] = "ppo_epochs is 1, so no token's ratio has moved"
        return found

    def new_tokens(self) -> int:
        """Those of the responses that it samples."""
        return self.params.max_new_tokens

    def divergences(self) -> tuple[Divergence, ...]:
        """It runs the teacher itself."""
        return (Divergence(kind="reverse_kl"),)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The part on the task's own responses."""
        labels = batch.labels[batch.labels != NO_LABEL]
        ratio = self.params.kd_ratio
        return weighted(
            student.lazy_logits, labels, teacher.target if ratio > 0 else None, ratio, Divergence()
        )

    def state_dict(self) -> Mapping[str, Tensor]:
        """The responses that are learnt from, and for how many steps more."""
        if self._rollout is None:
            return {}
        return {"left": torch.tensor(self._left), **self._rollout.tensors()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on with responses that were sampled before."""
        self._rollout, self._left = None, 0
        if "left" in state:
            self._left = int(state["left"])
            self._rollout = Rollout.of_tensors(state)

    def step(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> LossTerms:
        """Sample when there is nothing left to learn from; then one step on what was sampled."""
        p = self.params
        if self._rollout is None or self._left == 0:
            self._rollout = self._sample(batch, student, teacher)
            self._left = p.ppo_epochs
        # One that goes on from a saved state is still on the CPU.
        self._rollout = self._rollout.to(batch.labels.device)
        self._left -= 1
        terms, metrics = self._policy_terms(self._rollout, student, teacher)
        metrics |= self._rollout.logged()
        if p.lm_coef > 0:
            plain = self.loss(batch, student(batch, dropout=False), teacher(batch))
            terms["text"] = p.lm_coef * cast(Mean, plain.means["loss"])
        return LossTerms(metrics, **terms)

    def _sample(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> Rollout:
        p = self.params
        assert isinstance(teacher, OnlineTeacherFn)
        sampling = Sampling(
            max_new_tokens=p.max_new_tokens,
            temperature=p.temperature,
            teacher=teacher.model,
            share=p.teacher_mixed_alpha,
        )
        with torch.no_grad():
            written = student.generate(batch, sampling)
            # What was sampled is one of the tokens that both have; so are all probabilities.
            shared = self.context.shared_vocabulary
            student_logits = student(written, dropout=False).lazy_logits.first(shared)
            teacher_logits = teacher(written).lazy_logits.first(shared)
            return rollout_of(written, student_logits, teacher_logits, p, self.ranks)

    def _policy_terms(
        self, rollout: Rollout, student: StudentFn, teacher: TeacherOutputsFn
    ) -> tuple[dict[str, Term], dict[str, Term]]:
        shared = self.context.shared_vocabulary
        scores = student(rollout.batch, dropout=False).lazy_logits.first(shared)
        teacher_logits = None
        if self.params.single_step_reg:
            teacher_logits = teacher(rollout.batch).lazy_logits.first(shared)
        total, apart = policy_terms(rollout, scores, teacher_logits, self.params)
        names = ["policy", "single_step"][: len(apart)]
        metrics: dict[str, Term] = {n: rollout.mean(v) for n, v in zip(names, apart, strict=True)}
        return {"responses": rollout.mean(total)}, metrics


def rollout_of(
    written: Batch,
    student_logits: LazyLogits,
    teacher_logits: LazyLogits,
    params: Params,
    ranks: Ranks,
) -> Rollout:
    """What is learnt from of responses that were sampled.

    Args:
        written: Prompts with the responses.
        student_logits: Scores of the student that sampled, for the tokens of the responses.
        teacher_logits: Scores of the teacher.
        params: Coefficients.
        ranks: Advantages are centred over the responses of all of them.
    """
    p = params
    has_label = written.labels != NO_LABEL
    ids = written.labels[has_label]
    counts = has_label.sum(dim=1)
    places = torch.arange(p.max_new_tokens, device=counts.device)
    mask = (places < counts[:, None]).long()
    old = _spread(chosen(student_logits, ids, p.temperature), mask)
    likely = _spread(chosen(teacher_logits, ids, 1.0), mask)
    heated = _spread(chosen(teacher_logits, ids, p.temperature), mask)
    reward = policy.rewards(likely, old, scaling=p.reward_scaling, clip=p.cliprange_reward)
    raw = policy.advantages(reward, mask, gamma=p.gamma, length_norm=p.length_norm)

    def over_ranks(numbers: Tensor) -> Tensor:
        return ranks.all_reduce(numbers * float(ranks.takes_part))

    summing = over_ranks if ranks.size > 1 else None
    advantage = policy.whitened(raw, mask, over=p.whiten_over, ranks_sum=summing) * mask
    return Rollout(
        batch=written, mask=mask, ids=ids, old=old,
        weight=policy.importance(old, heated, alpha=p.teacher_mixed_alpha),
        advantage=advantage, reward=(likely - old).sum() / max(len(ids), 1),
        counts=float(ranks.takes_part),
    )  # fmt: skip


def policy_terms(
    rollout: Rollout, scores: LazyLogits, teacher_logits: LazyLogits | None, params: Params
) -> tuple[Tensor, Tensor]:
    """The policy gradient and the single step, in one pass over the vocabulary.

    Args:
        rollout: Responses.
        scores: The student's for their tokens, now.
        teacher_logits: The teacher's, None to leave the single step out.
        params: Coefficients.

    Returns:
        The sum of both, means over tokens, and the two apart; see `summed`.
    """
    p, taken, count = params, rollout.mask.bool(), max(len(rollout.ids), 1)
    teacher_logits = None if teacher_logits is None else teacher_logits.cast(scores.dtype)
    weight, advantage, old = (t[taken] for t in (rollout.weight, rollout.advantage, rollout.old))

    def terms(chunk: Tensor, at: slice) -> Tensor:
        heated = working(chunk) / p.temperature
        new = -F.cross_entropy(heated, rollout.ids[at], reduction="none")
        bound = policy.clipped_loss(new, old[at], advantage[at], weight[at], cliprange=p.cliprange)
        found = [bound.sum() / count]
        if teacher_logits is not None:
            with torch.no_grad():
                target = teacher_logits.chunk(at) / p.temperature
            found.append(reverse_kl(heated, target).sum() / count)
        return torch.stack(found)

    return summed(scores, terms)


def chosen(scores: LazyLogits, ids: Tensor, temperature: float) -> Tensor:
    """Log-probability of each token, ``[M]``.

    Args:
        scores: Of a model, for M tokens.
        ids: The tokens, int64 ``[M]``.
        temperature: Softens the distributions.
    """
    found = [
        -F.cross_entropy(working(chunk) / temperature, ids[at], reduction="none")
        for chunk, at in scores.by_chunk()
    ]
    return torch.cat(found) if found else scores.states.new_zeros(0)


def _spread(values: Tensor, mask: Tensor) -> Tensor:
    """Values of tokens in their places, ``[B, S]``, 0 elsewhere."""
    out = torch.zeros(mask.shape, dtype=values.dtype, device=values.device)
    return out.masked_scatter(mask.bool(), values)


METHOD = MiniLLM
