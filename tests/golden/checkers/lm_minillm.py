"""Checks ``lm_minillm*.npz``: rollout statistics, policy gradient and totals of MiniLLM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import NO_LABEL, PADDED, Batch
from raykd.losses import policy
from raykd.losses.targets import Divergence, FullTeacherTarget
from raykd.losses.vocabulary import LazyLogits
from raykd.methods._ranks import SingleProcess
from raykd.methods._tokens import weighted
from raykd.methods.minillm import Params, chosen, policy_terms, rollout_of, sampled_of
from tests.golden.comparison import (
    Array,
    Comparison,
    NotOffered,
    Unknown,
    compare_gradient,
    compare_indices,
    compare_value,
)

RTOL, ATOL = 1e-5, 1e-4
_INPUTS = {
    "query_ids", "response_ids", "pad_id", "student_logits_old", "teacher_logits", "inf_mask",
    "student_response_ids", "student_sample_student_logits", "student_sample_teacher_logits",
    "student_logits_new", "pt_student_logits", "pt_teacher_logits", "pt_labels",
}  # fmt: skip
_LOGGED_ONLY = {"stat_reward", "rev_kl_k3", "stat_rev_kl", "s_lens", "stat_stu_lens"}
_WHY = "logged by the authors' run, of responses of the student alone; no loss reads it"


class Rollout:
    """Everything that follows from the inputs of a file, by the functions of the method."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        given = {k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}
        ids, start = given["response_ids"], given["query_ids"].shape[1]
        part = slice(start - 1, start - 1 + ids.shape[1])
        self.params = _params(given, ids.shape[1])
        self.values: dict[str, Tensor] = {}
        f = self.values
        both = torch.cat([given["query_ids"], ids], dim=1)
        f["attention_mask"] = (both != given["pad_id"]).long()
        f["position_ids"] = (f["attention_mask"].cumsum(1) - 1).masked_fill(
            f["attention_mask"] == 0, 0
        )
        mask = f["mask"] = f["attention_mask"][:, part]
        f["lens"] = mask.sum(1)
        self.taken, self.out = mask.bool(), given["inf_mask"]
        self.teacher = given["teacher_logits"][:, part]
        self.new = given["student_logits_new"].requires_grad_()
        self.now = self.new[:, part]
        self._sampled(ids, given["student_logits_old"][:, part])
        self._learnt()
        self._plain(given)
        f["stat_mixed_lens"] = f["lens"].float().mean()
        f["total_loss"] = f["rl_loss_with_reg"] + float(given["hp_lm_coef"]) * f["pt_loss"]

    def _scores(self, logits: Tensor, *, filtered: bool = False) -> LazyLogits:
        """Scores of the tokens of responses, which are their own states."""
        if filtered:
            # Tokens that are not sampled have minus infinity there, which a product cannot form.
            logits = logits.masked_fill(self.out, PADDED)
        return _scores(logits[self.taken])

    def _sampled(self, ids: Tensor, old: Tensor) -> None:
        """What is known of the responses when they are sampled."""
        f, p, mask = self.values, self.params, self.values["mask"]
        written = Batch(
            input_ids=ids, attention_mask=mask, token_type_ids=ids, index=ids[:, 0],
            labels=ids.masked_fill(mask == 0, NO_LABEL),
        )  # fmt: skip
        teacher_logits = self._scores(self.teacher)
        sampled = sampled_of(written, self._scores(old, filtered=True), teacher_logits, p)
        self.rollout = rollout_of([sampled], p, SingleProcess())
        f["old_logprob"], f["w"] = self.rollout.old, self.rollout.weight
        f["ent_rewards"] = -f["old_logprob"]
        f["teacher_logprob"] = self._spread(chosen(teacher_logits, ids[self.taken], 1.0))
        f["rewards"] = policy.rewards(
            f["teacher_logprob"], f["old_logprob"], scaling=p.reward_scaling,
            clip=p.cliprange_reward,
        )  # fmt: skip
        f["adv_raw"] = policy.advantages(f["rewards"], mask, gamma=p.gamma)
        f["adv"] = policy.whitened(f["adv_raw"], mask)

    def _learnt(self) -> None:
        """What a step minimises."""
        f = self.values
        now, teacher_logits = (self._scores(t, filtered=True) for t in (self.now, self.teacher))
        f["new_logprob"] = self._spread(chosen(now, self.rollout.ids, self.params.temperature))
        f["pg_loss"] = policy_terms(self.rollout, now, None, self.params)[0]
        whole, apart = policy_terms(self.rollout, now, teacher_logits, self.params)
        f["stat_pg_loss"], f["stat_reg_loss"] = apart
        f["rl_loss_with_reg"] = f["stat_rl_loss"] = whole

    def _spread(self, values: Tensor) -> Tensor:
        return torch.zeros(self.taken.shape).masked_scatter(self.taken, values)

    def _plain(self, given: dict[str, Tensor]) -> None:
        """Plain text with the teacher; the authors take the soft cross-entropy."""
        f, ratio = self.values, float(given["hp_kd_ratio"])
        self.plain = given["pt_student_logits"].requires_grad_()
        has_label = given["pt_labels"] != NO_LABEL
        labels, teacher = given["pt_labels"][has_label], given["pt_teacher_logits"][has_label]
        scores, target = _scores(self.plain[has_label]), FullTeacherTarget(teacher)
        log_p = teacher.log_softmax(-1)
        entropy = -(log_p.exp() * log_p).sum(-1).mean()
        for name, share in (("pt_lm_loss", 0.0), ("pt_ds_loss", 1.0), ("pt_loss", ratio)):
            total = weighted(scores, labels, target, share, Divergence()).total()
            f[name] = total + share * entropy

    def gradient(self, name: str) -> Array | None:
        """The gradient of a loss on the logits it is computed from."""
        losses = {"pg": "pg_loss", "rl_with_reg": "rl_loss_with_reg", "pt": "pt_loss"}
        if name not in losses:
            return None
        leaf = self.plain if name == "pt" else self.new
        (actual,) = torch.autograd.grad(self.values[losses[name]], leaf, retain_graph=True)
        array: Array = actual.numpy()
        return array


def _params(given: dict[str, Tensor], longest: int) -> Params:
    """The coefficients of a file; a scaling below 0 is none there."""
    scaling = float(given["hp_reward_scaling"])
    return Params(
        teacher_mixed_alpha=max(0.0, float(given["hp_alpha"])),
        max_new_tokens=longest,
        temperature=float(given["hp_temperature"]),
        reward_scaling=scaling if scaling > 0 else 1.0,
        cliprange_reward=float(given["hp_cliprange_reward"]),
        cliprange=float(given["hp_cliprange"]),
        gamma=float(given["hp_gamma"]),
        whiten_over="all",
    )


def _scores(logits: Tensor) -> LazyLogits:
    return LazyLogits(logits, torch.eye(logits.shape[-1]))


def check(path: Path) -> Iterator[Comparison | NotOffered | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    try:
        rollout = Rollout(arrays)
    except KeyError as exc:
        yield Unknown(path.name, f"needs {exc}, which the file does not have")
        return
    for key, golden in arrays.items():
        if key in _INPUTS or key.startswith("hp_"):
            continue
        if key in _LOGGED_ONLY:
            yield NotOffered(key, _WHY)
            continue
        if key.startswith("grad_"):
            got = rollout.gradient(key.removeprefix("grad_"))
            yield (
                Unknown(key, "there is no such loss")
                if got is None
                else compare_gradient(key, got, golden, ATOL)
            )
        elif key not in rollout.values:
            yield Unknown(key, "follows no documented pattern")
        elif golden.dtype.kind in "iu":
            yield compare_indices(key, tuple(rollout.values[key].reshape(-1).tolist()), golden)
        elif golden.size == 1:
            yield compare_value(key, rollout.values[key].item(), golden, RTOL)
        else:
            yield compare_gradient(key, rollout.values[key].detach().numpy(), golden, RTOL)
