"""Weights of a model that are others under a second name."""

from __future__ import annotations

from typing import Any


def declared_ties(model: Any) -> dict[str, str]:
    """Weights that are others under a second name unless they are given, and which ones."""
    return dict(model.all_tied_weights_keys)


def tied_names(model: Any) -> frozenset[str]:
    """Weights of a model that are others under a second name, e.g. an output matrix.

    What counts is the model, not its configuration: the output matrix of a T5 may be one of its
    own, whatever the configuration says.
    """
    return frozenset(
        name
        for name, source in declared_ties(model).items()
        if model.get_parameter(name) is model.get_parameter(source)
    )
