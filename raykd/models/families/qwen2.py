"""Qwen2 (Yang et al., 2024, https://arxiv.org/abs/2407.10671): Llama's form with other details."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(name="qwen2", model_type="qwen2", is_checked=True)
