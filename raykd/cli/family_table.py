"""Model families in words: what the table of tried architectures says of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTS = {
    "hidden_states": "hidden states", "attentions": "attention maps",
    "layers": "students of its layers", "context_padding": "hidden states of padding",
    "packing": "packing of rows", "sharding": "weights in parts (sharding)",
}  # fmt: skip
"""What an architecture may lack, in words."""


def family_names() -> list[str]:
    """Families with a file, and architectures that were tried."""
    from raykd import registry

    files = registry.names("families")
    return sorted({*files, *(n for n in registry.tried() if n.replace("-", "_") not in files)})


def tried_kinds(name: str) -> Mapping[str, Any]:
    """What was found of a family, by kind of task; empty where it was not tried."""
    from raykd import registry

    spelled = (name, name.replace("_", "-"))
    return next((registry.tried()[n] for n in spelled if n in registry.tried()), {})


def describe(result: Mapping[str, Any]) -> str:
    """What was found for one kind of task: works, works without something, or refused."""
    if result["refused"]:
        return f"refused: {result['refused']}"
    if not result["lacks"]:
        return "works"
    return "works without " + " and ".join(PARTS[part] for part in result["lacks"])


def facts(name: str) -> dict[str, str]:
    """By kind of task, with the reasons for what is lacking."""
    lines = {}
    for kind, result in tried_kinds(name).items():
        reasons = [f"{PARTS[part]}: {reason}" for part, reason in result["lacks"].items()]
        lines[kind] = describe(result) + (f" ({'; '.join(reasons)})" if reasons else "")
    return lines


def meaning(name: str, about: str) -> str:
    """One line on a family.

    Args:
        name: Its name.
        about: What its file says of it, or empty.
    """
    kinds = "; ".join(f"{kind} {describe(result)}" for kind, result in tried_kinds(name).items())
    return f"{about or 'An architecture of Transformers.'} {kinds}".rstrip()
