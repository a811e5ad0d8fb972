"""T5 (Raffel et al., 2020, https://arxiv.org/abs/1910.10683): an encoder and a decoder.

T0 is a T5 that was trained on many prompts. Positions are relative, so rows may have any length.
"""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(name="t5", model_type="t5", is_checked=True)
