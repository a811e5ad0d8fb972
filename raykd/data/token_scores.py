"""Tasks whose labels are tokens, and what is counted of them.

Axes: M token with a label, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from raykd.data.base import NO_LABEL, Array, TokenizedDataset
from raykd.data.files import FileTask


@dataclass(frozen=True, kw_only=True)
class TokenTask(FileTask):
    """A task on tokens: the cross-entropy, the share of tokens found, and their log-likelihood.

    Attributes:
        counted: Names of the two metrics, both the mean over all tokens with a label.
    """

    counted: tuple[str, str] = ("token_accuracy", "log_likelihood")
    tally_size: int = 3

    def tally(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Number of tokens, of those that are the most likely, and log-likelihood, ``[3]``."""
        count = torch.tensor(float(len(labels)), device=logits.device)
        hits = (logits.argmax(dim=-1) == labels).sum()
        likely = -F.cross_entropy(logits, labels, reduction="sum")
        return torch.stack([count, hits, likely])

    def tallied(self, total: Array) -> Mapping[str, float]:
        """The share of tokens that are found, and their mean log-likelihood in nats, of ``[3]``."""
        count, hits, likely = total
        accuracy, likelihood = self.counted
        return {accuracy: float(hits / count), likelihood: float(likely / count)}

    def score(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
        """From all logits at once; `tally` needs less memory."""
        labels = torch.from_numpy(encoded.labels[encoded.labels != NO_LABEL])
        return self.tallied(self.tally(torch.from_numpy(logits), labels).double().numpy())
