"""Addresses of folders in a store (``s3://bucket/runs``), told from paths and put together."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_address(text: str) -> bool:
    """Whether a text is the address of a folder in a store, and no path."""
    return _ADDRESS.match(text) is not None


def below(address: str, name: str) -> str:
    """The address of a folder in the one of an address; options stay at the end."""
    place, question, options = address.partition("?")
    return f"{place.rstrip('/')}/{name}{question}{options}"


def last_part(address: str) -> str:
    """The name of the folder that an address is of."""
    return address.partition("?")[0].rstrip("/").rpartition("/")[2]


def above(address: str) -> str:
    """The address of the folder that the one of an address is in."""
    place, question, options = address.partition("?")
    return f"{place.rstrip('/').rpartition('/')[0]}{question}{options}"
