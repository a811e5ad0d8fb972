"""RoBERTa (Liu et al., 2019, https://arxiv.org/abs/1907.11692): positions count from the padding.

Token n has position ``n + pad id + 1``, so the first positions are never used: two in published
models (padding is token 1), one in a model with random weights (padding is token 0). Two are kept
for both.
"""

from __future__ import annotations

from dataclasses import replace

from raykd.models.families.bert import FAMILY as BERT

FAMILY = replace(
    BERT,
    name="roberta",
    model_type="roberta",
    constants={"type_vocab_size": 1},
    reserved_positions=2,
)
