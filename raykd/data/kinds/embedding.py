"""A vector for each of the two texts of a row; logits ``[B, 1]``, the cosine of the two.

Axes: B row, L position, D width of the model.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from raykd.data.batch import Batch
from raykd.data.kinds.base import TaskKind, squared_error


class Embedding(TaskKind):
    """Rows are pairs of texts with a similarity in [0, 1].

    The model reads each text alone (a bi-encoder). The vector of a text is the mean of the last
    hidden states of its tokens.
    """

    name = "embedding"
    auto_mapping = "MODEL_MAPPING"
    peft_type = "FEATURE_EXTRACTION"
    labels_of = "row"
    outputs = "similarities"
    is_categorical = False
    has_head = False
    reads_apart = True

    def as_read(self, batch: Batch, pad: int) -> Batch:
        """Each text as a row of its own, ``[2 B, L']``."""
        return batch.texts_apart(pad)

    def by_row(self, model_output: Any, read: Batch) -> Any:
        """``embeddings`` of both texts, ``[B, 2, D]``."""
        vectors = pooled(model_output.last_hidden_state, read.attention_mask)
        return SimpleNamespace(embeddings=vectors.view(-1, 2, vectors.shape[-1]))

    def logits(self, model_output: Any, batch: Batch) -> Tensor:
        """Cosines, ``[B, 1]``."""
        first, second = model_output.embeddings.unbind(1)
        return F.cosine_similarity(first, second)[:, None]

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The squared error of the cosine, mean over the batch."""
        return squared_error(logits.float().squeeze(-1), batch)


def pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean of the hidden states ``[B, L, D]`` of tokens, float32 ``[B, D]``.

    The same operations as in the Pooling module of Sentence Transformers, so that its vectors are
    these to the last bit.

    Args:
        hidden: Of all positions.
        mask: 1 = token, ``[B, L]``.
    """
    is_token = mask.unsqueeze(-1).expand(hidden.shape).float()
    total = (hidden.float() * is_token).sum(1)
    return total / is_token.sum(1).clamp(min=1e-9)


KIND = Embedding()
