"""Model classes that are a body alone, which has its place as in models with a head."""

from __future__ import annotations

import functools
import inspect
from typing import Any

_POOLER = "add_pooling_layer"
"""Argument of bodies that have a layer besides what they are read for."""


@functools.cache
def without_head(body_class: Any) -> Any:  # PreTrainedModel subclasses
    """The class of a model that gives what its body gives, under the same names of weights.

    The library's class of a body names its weights from the body on, and those with a head from the
    outside. Saved folders are opened by either.

    Args:
        body_class: The library's class of the body.
    """
    base: Any = next(c for c in body_class.__mro__[1:] if getattr(c, "base_model_prefix", ""))
    takes_pooler = _POOLER in inspect.signature(body_class.__init__).parameters

    def init(self: Any, config: Any) -> None:
        base.__init__(self, config)
        body = body_class(config, **({_POOLER: False} if takes_pooler else {}))
        setattr(self, base.base_model_prefix, body)
        self.post_init()

    @functools.wraps(body_class.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, base.base_model_prefix)(*args, **kwargs)

    return type(
        body_class.__name__, (base,),
        {"__init__": init, "forward": forward, "__module__": __name__,
         "_keys_to_ignore_on_load_unexpected": ["pooler"]},
    )  # fmt: skip
