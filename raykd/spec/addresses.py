"""Addresses in a search space: whether one holds a secret, and whether it is one."""

from __future__ import annotations

from urllib.parse import urlsplit

SECRET = "an address may hold no user, password or parameters: they would be in every record"


def holds_secret(text: str) -> bool:
    """Whether a text is an address with a user, a password or parameters, which may be a key."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "@" in text
    return bool(parts.scheme) and bool(parts.username or parts.password or parts.query)


def is_web(text: str) -> bool:
    """Whether a text is an address of the web."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
