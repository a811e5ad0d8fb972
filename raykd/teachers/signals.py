"""A recording signal by signal: each kind of output has a name and is made and kept by itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from raykd.methods.base import OutputSpec

LOGITS, TOKENS, HIDDEN, ATTENTION, FEATURE_TRANSFORM = (
    "logits", "tokens/", "hidden_states/", "attentions/", "feature_transforms/"
)  # fmt: skip
"""Prefixes of the names of signals."""


def signal_names(output_spec: OutputSpec, *, token_labels: bool) -> tuple[str, ...]:
    """Names of the signals of a recording; the order in which arms ask for them does not count.

    Args:
        output_spec: What is recorded; layers by number.
        token_labels: Whether the rows have a label for every token.
    """
    assert output_spec.hidden_states != "all"
    assert output_spec.attentions != "all"
    found: list[str] = []
    if output_spec.vocab_cache:
        found.append(TOKENS + output_spec.vocab_cache)
    elif output_spec.logits or not token_labels:
        found.append(LOGITS)
    found += [f"{HIDDEN}{layer}" for layer in sorted(output_spec.hidden_states)]
    found += [f"{ATTENTION}{block}" for block in sorted(output_spec.attentions)]
    found += [
        f"{FEATURE_TRANSFORM}{name}"
        for name in sorted(r.name for r in output_spec.feature_transforms)
    ]
    return tuple(found)


def select_signals(output_spec: OutputSpec, names: Collection[str]) -> OutputSpec:
    """The spec without the signals whose names are not given."""
    assert output_spec.hidden_states != "all"
    assert output_spec.attentions != "all"
    return replace(
        output_spec,
        logits=LOGITS in names,
        vocab_cache=output_spec.vocab_cache if TOKENS + output_spec.vocab_cache in names else "",
        hidden_states=tuple(k for k in output_spec.hidden_states if f"{HIDDEN}{k}" in names),
        attentions=tuple(k for k in output_spec.attentions if f"{ATTENTION}{k}" in names),
        feature_transforms=tuple(
            r for r in output_spec.feature_transforms if FEATURE_TRANSFORM + r.name in names
        ),
    )
