"""What a model does to the outputs of its LM head, read from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raykd.losses.vocabulary import LogitTransform

FACTORS = ("logit_scale", "lm_head_multiplier")
"""Configuration entries that logits are multiplied by: Cohere, Falcon-H1."""

DIVISORS = ("logits_scaling",)
"""Configuration entries that logits are divided by: Granite."""

SOFTCAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""Configuration entries that bound logits: Gemma 2, RecurrentGemma, xLSTM."""


def logit_transform(config: Mapping[str, Any]) -> LogitTransform:
    """The transform that a configuration states.

    A model may still ignore an entry, or change its logits without one; only the comparison with
    its own logits tells.

    Args:
        config: Entries of the configuration, by name.
    """
    scale = 1.0
    for name in FACTORS:
        scale *= 1.0 if config.get(name) is None else float(config[name])
    for name in DIVISORS:
        scale /= 1.0 if config.get(name) is None else float(config[name])
    caps = [float(config[name]) for name in SOFTCAPS if config.get(name) is not None]
    return LogitTransform(scale, caps[0] if caps else None)
