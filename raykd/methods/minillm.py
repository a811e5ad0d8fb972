"""MiniLLM: the reverse divergence of whole responses, by policy gradient on the student's own text.

Every `ppo_epochs` steps the student goes on with the prompts of a batch, mixed with the teacher;
these responses are learnt from in that many steps. The responses of the task are the text that
keeps the student a language model (`lm_coef`).

Axes: B response, S position of a response, M token, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.data.base import NO_LABEL, TEXT_KINDS, Batch
from raykd.losses import policy
from raykd.losses.divergences import reverse_kl
from raykd.losses.precision import working
from raykd.losses.targets import Divergence
from raykd.losses.vocabulary import Scores, summed
from raykd.methods._tokens import weighted
from raykd.methods.base import Forward, LiveReader, LossTerms, Method, Reader, Setting, Signals
from raykd.models.base import Outputs
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
        watched: What is logged of it.
    """

    batch: Batch
    mask: Tensor
    ids: Tensor
    old: Tensor
    weight: Tensor
    advantage: Tensor
    watched: dict[str, Tensor]


class MiniLLM(Method[Params]):
    """Policy gradient on sampled responses, the exact single step, and the task's own responses."""

    title = "policy gradient on the student's own text, rewarded by the teacher"
    reference = "https://arxiv.org/abs/2306.08543"
    requires = Signals(logits=True, weights=True)
    kinds = TEXT_KINDS

    def __init__(self, params: Params, setting: Setting) -> None:
        super().__init__(params, setting)
        self._rollout: Rollout | None = None
        self._left = 0

    def refusal(self) -> str:
        """Sampling from both models needs decoders, and weights are exact at temperature 1 only."""
        if self.params.teacher_mixed_alpha > 0 and self.setting.kind == "seq2seq":
            return (
                "samples from student and teacher together, which is there for decoders only\n"
                "set teacher_mixed_alpha: 0"
            )
        return super().refusal()

    def written_tokens(self) -> int:
        """Those of a sampled response."""
        return self.params.max_new_tokens

    def divergences(self) -> tuple[Divergence, ...]:
        """It runs the teacher itself."""
        return (Divergence(kind="reverse_kl"),)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The part on the task's own responses."""
        labels = batch.labels[batch.labels != NO_LABEL]
        ratio = self.params.kd_ratio
        return weighted(
            student.scores, labels, teacher.target if ratio > 0 else None, ratio, Divergence()
        )

    def step(self, batch: Batch, student: Forward, teacher: Reader) -> LossTerms:
        """Sample when there is nothing left to learn from; then one step on what was sampled."""
        p = self.params
        if self._rollout is None or self._left == 0:
            self._rollout = self._sample(batch, student, teacher)
            self._left = p.ppo_epochs
        self._left -= 1
        terms, watched = self._policy_terms(self._rollout, student, teacher)
        watched |= self._rollout.watched
        if p.lm_coef > 0:
            plain = self.loss(batch, student(batch, dropout=False), teacher(batch))
            terms["text"] = p.lm_coef * plain.total()
        return LossTerms(watched, **terms)

    def _sample(self, batch: Batch, student: Forward, teacher: Reader) -> Rollout:
        p = self.params
        assert isinstance(teacher, LiveReader)
        with torch.no_grad():
            written = student.write(
                batch,
                max_new_tokens=p.max_new_tokens,
                temperature=p.temperature,
                teacher=teacher.model,
                share=p.teacher_mixed_alpha,
            )
            has_label = written.labels != NO_LABEL
            ids = written.labels[has_label]
            counts = has_label.sum(dim=1)
            places = torch.arange(p.max_new_tokens, device=counts.device)
            mask = (places < counts[:, None]).long()
            # What was sampled is one of the tokens that both have; so are all probabilities.
            mine = student(written, dropout=False).scores.first(self.setting.shared_vocabulary)
            theirs = teacher(written).scores.first(self.setting.shared_vocabulary)
            old = _spread(_chosen(mine, ids, p.temperature), mask)
            likely = _spread(_chosen(theirs, ids, 1.0), mask)
            heated = _spread(_chosen(theirs, ids, p.temperature), mask)
            reward = policy.rewards(likely, old, scaling=p.reward_scaling, clip=p.cliprange_reward)
            raw = policy.advantages(reward, mask, gamma=p.gamma, length_norm=p.length_norm)
            advantage = policy.whitened(raw, mask, over=p.whiten_over) * mask
            tokens = mask.sum()
            watched = {
                "reward": (likely - old).sum() / tokens,
                "rollout_length": counts.float().mean(),
            }
        return Rollout(
            batch=written, mask=mask, ids=ids, old=old,
            weight=policy.importance(old, heated, alpha=p.teacher_mixed_alpha),
            advantage=advantage, watched=watched,
        )  # fmt: skip

    def _policy_terms(
        self, rollout: Rollout, student: Forward, teacher: Reader
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The policy gradient and the single step, in one pass over the vocabulary.

        The gradient of the policy term on a token's log-probability is known before: it is clipped
        or not by the token's own ratio.
        """
        p = self.params
        taken = rollout.mask.bool()
        weight, advantage, old = (
            t[taken] for t in (rollout.weight, rollout.advantage, rollout.old)
        )
        shared = self.setting.shared_vocabulary
        theirs = teacher(rollout.batch).scores.first(shared) if p.single_step_reg else None
        count = len(rollout.ids)

        def terms(chunk: Tensor, at: slice) -> Tensor:
            heated = working(chunk) / p.temperature
            new = -F.cross_entropy(heated, rollout.ids[at], reduction="none")
            ratio = (new - old[at]).exp() * weight[at]
            free = -advantage[at] * ratio
            bound = -advantage[at] * ratio.clamp(1.0 - p.cliprange, 1.0 + p.cliprange)
            found = [torch.maximum(free, bound).sum() / count]
            if theirs is not None:
                with torch.no_grad():
                    target = theirs.of(at) / p.temperature
                found.append(reverse_kl(heated, target).sum() / count)
            return torch.stack(found)

        mine = student(rollout.batch, dropout=False).scores.first(shared)
        total, apart = summed(mine, terms)
        names = ["policy", "single_step"][: len(apart)]
        return {"responses": total}, dict(zip(names, apart, strict=True))


def _chosen(scores: Scores, ids: Tensor, temperature: float) -> Tensor:
    """Log-probability of each token, ``[M]``."""
    found = [
        -F.cross_entropy(working(scores.of(at)) / temperature, ids[at], reduction="none")
        for at in scores.chunks()
    ]
    return torch.cat(found)


def _spread(values: Tensor, mask: Tensor) -> Tensor:
    """Values of tokens in their places, ``[B, S]``, 0 elsewhere."""
    out = torch.zeros(mask.shape, dtype=values.dtype, device=values.device)
    return out.masked_scatter(mask.bool(), values)


METHOD = MiniLLM
