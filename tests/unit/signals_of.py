"""What signals name, for tests: numbers of layers and blocks, in order."""

from __future__ import annotations

from raykd.models.signals.attention_maps import AttentionMap
from raykd.models.signals.hidden_states import HiddenState


def layers(output_spec):
    """Numbers of the hidden states, or ``("all",)``."""
    actual = [s.layer for s in output_spec if isinstance(s, HiddenState)]
    return tuple(actual) if "all" in actual else tuple(sorted(actual))


def blocks(output_spec):
    """Numbers of the attention maps."""
    return tuple(sorted(s.block for s in output_spec if isinstance(s, AttentionMap)))
