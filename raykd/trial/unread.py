"""Values that the coordinator passes on without reading them.

It would import what they are made of, torch among it: seconds of the start of a sweep, and memory
of the head.
"""

from __future__ import annotations

from typing import Any

import ray


def unread(value: Any) -> tuple[Any, ...]:
    """A value for the coordinator to pass on; the object belongs to this process.

    Ray passes on references only inside other values, hence the tuple.
    """
    return (ray.put(value),)


def read(passed: tuple[Any, ...]) -> Any:  # what `unread` was given
    """The value that the coordinator passed on."""
    value: Any = ray.get(passed[0])
    return value
