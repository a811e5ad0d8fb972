"""Small copies of models: the same configuration with few blocks and narrow layers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from raykd.errors import SpecError
from raykd.models.architectures.sizes import NAMES, WINDOW
from raykd.models.families.base import ModelFamily

VOCABULARY, LENGTH = 64, 32
"""Token ids and positions of a small copy."""

_SIZES: Mapping[str, float] = {
    "hidden": 32, "heads": 4, "head": 8, "intermediate": 48, "positions": 40,
    "spread": 0.2,
}  # fmt: skip
_FEWER_HEADS = re.compile(r"key_value_heads|kv_heads")
_EXPERTS = re.compile(r"^(num_(local_)?experts|n_routed_experts)$")
_CHOSEN = re.compile(r"(experts_per_tok|top_k_experts|moe_topk|moe_k)$")
_LEAST_BLOCKS, _MOST_BLOCKS = 4, 12
_WINDOW, _UNEVEN = 8, 6
"""Windows that divide the positions of a small copy, and that do not."""


def small_config(family: ModelFamily, config: Any) -> Any:
    """The configuration of a small copy: every switch as it was, blocks of every type.

    Args:
        family: Its family.
        config: Of the model.
    """
    plain = config.to_dict()
    sizes: dict[str, Any] = {
        name: value for size, value in _SIZES.items() for name in NAMES[size]
        if plain.get(name) is not None
    }  # fmt: skip
    for name in sizes:
        if _FEWER_HEADS.search(name):
            sizes[name] = _shared_heads(plain[name], config.num_attention_heads)
    lists = _per_block(family, plain)
    blocks = _blocks(family, plain, lists)
    sizes |= dict.fromkeys(family.fields["layers"], blocks)
    for name, value in plain.items():
        if isinstance(value, int) and not isinstance(value, bool):
            sizes |= _limited(name, value)
    lists = {name: list(entries[:blocks]) for name, entries in lists.items()}
    windows = _windows({**plain, **lists}, family.positions(config))
    typed = family.typed(lists[family.block_types]) if family.block_types else {}
    given = {**plain, **sizes, **lists, **windows, **typed, "vocab_size": VOCABULARY}
    if rope := given.get("rope_parameters"):
        given["rope_parameters"] = _plain_rope(rope)
    given.pop("rope_scaling", None)
    return family.config_class().from_dict(given | _tokens(plain))


def _shared_heads(shared: int, heads: int) -> int:
    """Key-value heads of four heads: all, one, or two."""
    return {heads: 4, 1: 1}.get(shared, 2)


def _per_block(family: ModelFamily, plain: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """What the configuration lists for every block."""
    given = {name: plain.get(name) for name in family.layout.per_block}
    return {name: entries for name, entries in given.items() if isinstance(entries, list | tuple)}


def _blocks(
    family: ModelFamily, plain: Mapping[str, Any], lists: Mapping[str, Sequence[Any]]
) -> int:
    """As many blocks as it takes to have one of every type, and one more."""
    if family.layers_field() not in plain:
        raise SpecError("its configuration does not say how many blocks it has")
    whole: int = plain[family.layers_field()]
    needed = [max(list(of).index(kind) for kind in {*of}) + 2 for of in lists.values()]
    return min(whole, max(_LEAST_BLOCKS, *needed) if needed else _LEAST_BLOCKS, _MOST_BLOCKS)


def _limited(name: str, value: int) -> dict[str, int]:
    """Few experts."""
    if _EXPERTS.search(name):
        return {name: min(value, 4)}
    return {name: min(value, 2)} if _CHOSEN.search(name) else {}


def _windows(plain: Mapping[str, Any], positions: int | None) -> dict[str, Any]:
    """Windows that a short text leaves; they divide its positions if those of the model do.

    Args:
        plain: Of the model.
        positions: Most tokens that it reads, None for any number.
    """

    def short(window: Any) -> Any:
        if type(window) is not int or window < 1:
            return window
        return min(window, _WINDOW if positions is None or positions % window == 0 else _UNEVEN)

    given = {name: value for name, value in plain.items() if WINDOW.search(name)}
    return {
        name: [short(one) for one in value] if isinstance(value, list) else short(value)
        for name, value in given.items()
    }


def _plain_rope(rope: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary positions without what stretches them, which is fitted to the length of real heads."""
    if all(isinstance(of, Mapping) for of in rope.values()):
        return {kind: _plain_rope(of) for kind, of in rope.items()}
    kept = {k: v for k, v in rope.items() if k in ("rope_theta", "partial_rotary_factor")}
    return {"rope_type": "default", **kept}


def _tokens(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Special tokens within the small vocabulary, those that are one still one."""
    stated = {n: v for n, v in plain.items() if n.endswith("_token_id") and isinstance(v, int)}
    numbers = {value: k for k, value in enumerate(dict.fromkeys(stated.values()))}
    return {name: numbers[value] for name, value in stated.items()}
