"""Llama (Touvron et al., 2023, https://arxiv.org/abs/2302.13971): rotary positions, no biases."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(name="llama", model_type="llama", is_checked=True)
