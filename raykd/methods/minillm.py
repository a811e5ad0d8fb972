"""MiniLLM: the reverse divergence of whole responses, by policy gradient on the student's own text.

Every `ppo_epochs` steps the student continues the prompts of a batch, mixed with the teacher;
these responses are learnt from in that many steps. The responses of the task are the text that
keeps the student a language model (`lm_coef`).

Axes: B response, S position of a response, M token, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from raykd.data.base import NO_LABEL, Batch
from raykd.data.task_kinds import TEXT_KINDS
from raykd.losses import policy
from raykd.losses.closed_forms import nll
from raykd.losses.divergences import divergence_and_nll
from raykd.losses.targets import Divergence
from raykd.losses.terms import Count, Term
from raykd.losses.token_mask import TokenMask
from raykd.losses.vocabulary import LazyLogits, summed
from raykd.methods._ranks import Ranks
from raykd.methods._rollout import Rollout, Sampled
from raykd.methods._tokens import weighted
from raykd.methods.base import (
    DistillationContext,
    Items,
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
from raykd.models.signals.running_model import RunningModel
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


class MiniLLM(Method[Params]):
    """Policy gradient on sampled responses, the exact single step, and the task's own responses.

    With several ranks each samples responses to its own rows; advantages are centred over those of
    all ranks, as the authors do, and every term is a mean over the tokens of all ranks. With micro
    batches all responses of a step are sampled before its first pass, so that they are centred
    together; what is learnt from is the same.
    """

    title = "policy gradient on the student's own text, rewarded by the teacher"
    reference = "https://arxiv.org/abs/2306.08543"
    authors = "Gu et al. 2023"
    requires = OutputSpec(Logits(), RunningModel())
    kinds = TEXT_KINDS

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self._rollout: Rollout | None = None
        self._parts: list[Rollout] = []
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
        reasons = {} if p.lm_coef else {"kd_ratio": "lm_coef is 0"}
        if p.ppo_epochs == 1:
            reasons["cliprange"] = "ppo_epochs is 1, so no token's ratio has moved"
        return reasons

    def new_tokens(self) -> int:
        """Those of the responses that it samples."""
        return self.params.max_new_tokens

    def mixes_teacher(self) -> bool:
        """With a share above 0."""
        return self.params.teacher_mixed_alpha > 0

    def divergences(self) -> tuple[Divergence, ...]:
        """It runs the teacher itself."""
        return (Divergence(kind="reverse_kl"),)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The part on the task's own responses."""
        labels = batch.label_ids
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
        """Continue with responses that were sampled before."""
        self._rollout, self._left = None, 0
        if "left" in state:
            self._left = int(state["left"])
            self._rollout = Rollout.of_tensors(state)

    def prepare(
        self, batches: Sequence[Batch], student: StudentFn, teacher: TeacherOutputsFn
    ) -> Sequence[Batch]:
        """Sample when there is nothing left to learn from; then deal out what was sampled."""
        if self._rollout is None or self._left == 0:
            self._rollout = self._sample(batches, student, teacher)
            self._left = self.params.ppo_epochs
        # One that was loaded from a saved state is still on the CPU.
        self._rollout = self._rollout.to(batches[0].labels.device)
        self._left -= 1
        self._parts = self._rollout.split(len(batches))
        return batches

    def counts(self, batch: Batch) -> Mapping[str, Count | Items]:
        """Tokens of the responses, and how many there are; the text is what the task counts."""
        rollout = self._present()
        by_token = ("responses", "policy", "single_step", "reward")
        return {
            **dict.fromkeys(by_token, Items(rollout.tokens)),
            "rollout_length": Items(rollout.rows),
        }

    def step(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> LossTerms:
        """One pass on what was sampled, and on the task's own responses."""
        p, rollout = self.params, self._present()
        terms, metrics = self._policy_terms(rollout, student, teacher)
        metrics |= rollout.logged()
        if p.lm_coef > 0:
            plain = self.loss(batch, student(batch, dropout=False), teacher(batch))
            terms["text"] = p.lm_coef * cast(Mean, plain.means["loss"])
        return LossTerms(metrics, **terms)

    def _present(self) -> Rollout:
        return self._parts[self.ranks.number or 0]

    def _sample(
        self, batches: Sequence[Batch], student: StudentFn, teacher: TeacherOutputsFn
    ) -> Rollout:
        """Responses to the rows of this rank; those to a row that stands in count nothing."""
        own = [k for k in range(len(batches)) if self.ranks.at(k).takes_part] or [0]
        written = range(len(batches)) if self.ranks.lockstep else own
        sampled = {k: self._respond(batches[k], student, teacher) for k in written}
        return rollout_of([sampled[k] for k in own], self.params, self.ranks)

    def _respond(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> Sampled:
        p = self.params
        assert isinstance(teacher, OnlineTeacherFn)
        sampling = Sampling(
            max_new_tokens=p.max_new_tokens,
            temperature=p.temperature,
            teacher=teacher.model,
            share=p.teacher_mixed_alpha,
        )
        with torch.no_grad():
            generated = student.generate(batch, sampling)
            # What was sampled is one of the tokens that both have; so are all probabilities.
            shared = self.context.shared_vocabulary
            student_logits = student(generated, dropout=False).lazy_logits.first(shared)
            teacher_logits = teacher(generated).lazy_logits.first(shared)
            return sampled_of(generated, student_logits, teacher_logits, p)

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


def sampled_of(
    generated: Batch, student_logits: LazyLogits, teacher_logits: LazyLogits, params: Params
) -> Sampled:
    """What is known of responses that were sampled.

    Args:
        generated: Prompts with the responses.
        student_logits: Scores of the student that sampled, for the tokens of the responses.
        teacher_logits: Scores of the teacher.
        params: Coefficients.
    """
    ids = generated.label_ids
    counts = (generated.labels != NO_LABEL).sum(dim=1)
    places = torch.arange(params.max_new_tokens, device=counts.device)
    mask = (places < counts[:, None]).long()
    tokens = TokenMask.of_lengths(mask, generated.label_counts.tolist())
    return Sampled(
        batch=generated, mask=mask, ids=ids,
        old=_spread(chosen(student_logits, ids, params.temperature), tokens),
        likely=_spread(chosen(teacher_logits, ids, 1.0), tokens),
        heated=_spread(chosen(teacher_logits, ids, params.temperature), tokens),
    )  # fmt: skip


def rollout_of(parts: Sequence[Sampled], params: Params, ranks: Ranks) -> Rollout:
    """What is learnt from of responses that were sampled.

    Args:
        parts: Those of this rank.
        params: Coefficients.
        ranks: Advantages are centred over the responses of all of them.
    """
    p, of = params, Sampled.joined(parts)
    reward = policy.rewards(of.likely, of.old, scaling=p.reward_scaling, clip=p.cliprange_reward)
    raw = policy.advantages(reward, of.mask, gamma=p.gamma, length_norm=p.length_norm)

    def over_ranks(numbers: Tensor) -> Tensor:
        return ranks.all_reduce(numbers * float(ranks.takes_part))

    summing = over_ranks if ranks.size > 1 else None
    advantage = policy.whitened(raw, of.mask, over=p.whiten_over, ranks_sum=summing) * of.mask
    return Rollout(
        batch=of.batch, mask=of.mask, ids=of.ids, old=of.old,
        weight=policy.importance(of.old, of.heated, alpha=p.teacher_mixed_alpha),
        advantage=advantage, reward=(of.likely - of.old).sum() / max(len(of.ids), 1),
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
    p, taken, count = params, rollout.responses, max(len(rollout.ids), 1)
    teacher_logits = None if teacher_logits is None else teacher_logits.cast(scores.dtype)
    weight = taken.pick(rollout.weight)
    advantage, old = taken.pick(rollout.advantage), taken.pick(rollout.old)
    reverse = divergence_and_nll("reverse_kl", temperature=p.temperature)

    def terms(chunk: Tensor, at: slice) -> Tensor:
        ids, single_step = rollout.ids[at], []
        if teacher_logits is None:
            unlikely = nll(chunk, ids, temperature=p.temperature)
        else:
            with torch.no_grad():
                target = teacher_logits.chunk(at)
            apart, unlikely = reverse(chunk, target, ids)
            single_step = [apart.sum() / count]
        bound = policy.clipped_loss(
            -unlikely, old[at], advantage[at], weight[at], cliprange=p.cliprange
        )
        return torch.stack([bound.sum() / count, *single_step])

    return summed(scores, terms)


def chosen(scores: LazyLogits, ids: Tensor, temperature: float) -> Tensor:
    """Log-probability of each token, ``[M]``.

    Args:
        scores: Of a model, for M tokens.
        ids: The tokens, int64 ``[M]``.
        temperature: Softens the distributions.
    """
    log_likelihoods = [
        -nll(chunk, ids[at], temperature=temperature) for chunk, at in scores.by_chunk()
    ]
    return torch.cat(log_likelihoods) if log_likelihoods else scores.states.new_zeros(0)


def _spread(values: Tensor, tokens: TokenMask) -> Tensor:
    """Values of tokens in their places, ``[B, S]``, 0 elsewhere."""
    out = torch.zeros(tokens.mask.shape, dtype=values.dtype, device=values.device)
    return out.index_put((tokens.rows, tokens.columns), values)


METHOD = MiniLLM
