"""DeBERTa v2 and v3 (He et al., 2023, https://arxiv.org/abs/2111.09543), no absolute positions."""

from __future__ import annotations

from dataclasses import replace

from raykd.models.families import deberta


def _second(path: str) -> str:
    """The class of the second version in place of the first one's."""
    return path.replace("deberta", "deberta_v2").replace("Deberta", "DebertaV2")


FAMILY = replace(
    deberta.FAMILY,
    name="deberta_v2",
    model_type="deberta-v2",
    config_path=_second(deberta.FAMILY.config_path),
    head_path={kind: _second(path) for kind, path in deberta.FAMILY.head_path.items()},
    constants={**deberta.FAMILY.constants, "position_biased_input": False},
    # Both versions call the body the same.
    pair_mask=deberta.FAMILY.pair_mask,
)
