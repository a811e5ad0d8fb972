"""The signals of a recording by name: each is kept, and made, by itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from raykd.methods.base import Signals

LOGITS, TOKENS, HIDDEN, ATTENTION, REDUCTION = (
    "logits", "tokens/", "hidden_states/", "attentions/", "reductions/"
)  # fmt: skip
"""What names of signals begin with."""


def signal_names(signals: Signals, *, token_labels: bool) -> tuple[str, ...]:
    """What a recording keeps, signal by signal; the order in which arms ask does not count.

    Args:
        signals: What is recorded; layers by number.
        token_labels: Whether the rows have a label for every token.
    """
    assert signals.hidden_states != "all"
    assert signals.attentions != "all"
    found: list[str] = []
    if signals.tokens:
        found.append(TOKENS + signals.tokens)
    elif signals.logits or not token_labels:
        found.append(LOGITS)
    found += [f"{HIDDEN}{layer}" for layer in sorted(signals.hidden_states)]
    found += [f"{ATTENTION}{block}" for block in sorted(signals.attentions)]
    found += [f"{REDUCTION}{name}" for name in sorted(r.name for r in signals.reductions)]
    return tuple(found)


def only(signals: Signals, names: Collection[str]) -> Signals:
    """Those of some signals that have the given names."""
    assert signals.hidden_states != "all"
    assert signals.attentions != "all"
    return replace(
        signals,
        logits=LOGITS in names,
        tokens=signals.tokens if TOKENS + signals.tokens in names else "",
        hidden_states=tuple(k for k in signals.hidden_states if f"{HIDDEN}{k}" in names),
        attentions=tuple(k for k in signals.attentions if f"{ATTENTION}{k}" in names),
        reductions=tuple(r for r in signals.reductions if REDUCTION + r.name in names),
    )
