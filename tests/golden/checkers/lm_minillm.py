"""Checks ``lm_minillm*.npz``: rollout statistics, policy gradient and totals of MiniLLM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses import policy
from raykd.losses.divergences import forward_kl, reverse_kl
from tests.golden.comparison import (
    Array,
    Comparison,
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
_LOGGED_ONLY = {"stat_reward"}
"""What the authors' run logs with a normalisation of its own; no loss reads it."""


class Rollout:
    """Everything that follows from the inputs of a file."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        given = {k: torch.from_numpy(np.array(v)) for k, v in arrays.items()}
        heat, alpha = float(given["hp_temperature"]), max(0.0, float(given["hp_alpha"]))
        scaling = float(given["hp_reward_scaling"])
        ids, start = given["response_ids"], given["query_ids"].shape[1]
        part = slice(start - 1, start - 1 + ids.shape[1])
        self.found: dict[str, Tensor] = {}
        f = self.found
        both = torch.cat([given["query_ids"], ids], dim=1)
        f["attention_mask"] = (both != given["pad_id"]).long()
        f["position_ids"] = (f["attention_mask"].cumsum(1) - 1).masked_fill(
            f["attention_mask"] == 0, 0
        )
        f["mask"] = f["attention_mask"][:, part]
        mask = f["mask"]
        f["lens"] = mask.sum(1)
        teacher = given["teacher_logits"][:, part]
        out = given["inf_mask"]

        def heated(logits: Tensor) -> Tensor:
            return (logits / heat).masked_fill(out, -torch.inf)

        f["teacher_logprob"] = policy.chosen_log_probabilities(teacher, ids, mask)
        f["old_logprob"] = policy.chosen_log_probabilities(
            heated(given["student_logits_old"][:, part]), ids, mask
        )
        f["ent_rewards"] = -f["old_logprob"]
        at_heat = policy.chosen_log_probabilities(teacher / heat, ids, mask)
        f["w"] = policy.importance(f["old_logprob"], at_heat, alpha=alpha)
        f["rewards"] = policy.rewards(
            f["teacher_logprob"], f["old_logprob"], scaling=scaling if scaling > 0 else None,
            clip=float(given["hp_cliprange_reward"]),
        )  # fmt: skip
        f["adv_raw"] = policy.advantages(f["rewards"], mask, gamma=float(given["hp_gamma"]))
        f["adv"] = policy.whitened(f["adv_raw"], mask)
        self.new = given["student_logits_new"].requires_grad_()
        now = heated(self.new[:, part])
        f["new_logprob"] = policy.chosen_log_probabilities(now, ids, mask)
        f["pg_loss"] = f["stat_pg_loss"] = policy.policy_loss(
            f["new_logprob"], f["old_logprob"], f["adv"], f["w"], mask,
            cliprange=float(given["hp_cliprange"]),
        )  # fmt: skip
        taken = mask.bool()
        f["stat_reg_loss"] = reverse_kl(now[taken], heated(teacher)[taken]).mean()
        f["rl_loss_with_reg"] = f["stat_rl_loss"] = f["pg_loss"] + f["stat_reg_loss"]
        self._samples(given, part)
        self._plain(given)
        f["total_loss"] = f["rl_loss_with_reg"] + float(given["hp_lm_coef"]) * f["pt_loss"]

    def _samples(self, given: dict[str, Tensor], part: slice) -> None:
        """The second set, from the student alone, that the authors log with."""
        ids, f = given["student_response_ids"], self.found
        whole = torch.cat([given["query_ids"], ids], dim=1)
        mask = (whole != given["pad_id"]).long()[:, part]
        f["s_lens"] = mask.sum(1)
        teacher, student = (
            given[f"student_sample_{side}_logits"][:, part] for side in ("teacher", "student")
        )
        # The filter of the mixed samples is the one of these, too: as many tokens stay.
        kept = int((~given["inf_mask"]).sum(-1).min())
        heated = policy.filtered(student / float(given["hp_temperature"]), top_k=kept)
        p = policy.chosen_log_probabilities(teacher, ids, mask)
        q = policy.chosen_log_probabilities(heated, ids, mask)
        f["rev_kl_k3"] = policy.sampled_divergence(p, q)
        total = f["rev_kl_k3"].sum(1)
        f["stat_rev_kl"] = (total / f["s_lens"] if given["hp_length_norm"] else total).mean()
        f["stat_mixed_lens"] = f["lens"].float().mean()
        f["stat_stu_lens"] = f["s_lens"].float().mean()

    def _plain(self, given: dict[str, Tensor]) -> None:
        """Plain text with the teacher: the likelihood and the soft cross-entropy."""
        f, ratio = self.found, float(given["hp_kd_ratio"])
        self.plain = given["pt_student_logits"].requires_grad_()
        has_label = given["pt_labels"] != -100
        student, teacher = self.plain[has_label], given["pt_teacher_logits"][has_label]
        log_p = teacher.log_softmax(-1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        f["pt_lm_loss"] = F.cross_entropy(student, given["pt_labels"][has_label])
        f["pt_ds_loss"] = (forward_kl(student, teacher) + entropy).mean()
        f["pt_loss"] = (1 - ratio) * f["pt_lm_loss"] + ratio * f["pt_ds_loss"]

    def gradient(self, name: str) -> Array | None:
        """The gradient of a loss on the logits it is computed from."""
        losses = {"pg": "pg_loss", "rl_with_reg": "rl_loss_with_reg", "pt": "pt_loss"}
        if name not in losses:
            return None
        leaf = self.plain if name == "pt" else self.new
        (found,) = torch.autograd.grad(self.found[losses[name]], leaf, retain_graph=True)
        array: Array = found.numpy()
        return array


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    try:
        rollout = Rollout(arrays)
    except KeyError as exc:
        yield Unknown(path.name, f"needs {exc}, which the file does not have")
        return
    for key, golden in arrays.items():
        if key in _INPUTS or key in _LOGGED_ONLY or key.startswith("hp_"):
            continue
        if key.startswith("grad_"):
            got = rollout.gradient(key.removeprefix("grad_"))
            yield (
                Unknown(key, "there is no such loss")
                if got is None
                else compare_gradient(key, got, golden, ATOL)
            )
        elif key not in rollout.found:
            yield Unknown(key, "follows no documented pattern")
        elif golden.dtype.kind in "iu":
            yield compare_indices(key, tuple(rollout.found[key].reshape(-1).tolist()), golden)
        elif golden.size == 1:
            yield compare_value(key, rollout.found[key].item(), golden, RTOL)
        else:
            yield compare_gradient(key, rollout.found[key].detach().numpy(), golden, RTOL)
