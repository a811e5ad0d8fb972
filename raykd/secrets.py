"""Texts without the secrets that stand in addresses: user, password, keys."""

from __future__ import annotations

import re
from typing import Any

_USER = re.compile(
    r"(?<=://)(?:[^/?#\s'\"]*@"
    # A password with / ? or # in it; what is a port and a path has no user.
    r"|[^/?#\s'\"@:\[]+:(?!\d{1,5}[/?#])[^\s'\"@]{0,256}@)"
)
_NAME = r"[\w.%\[\]-]{0,64}"
_SECRET = "token|key|secret|password|passwd|pwd|sig|auth(?!or(?!i[sz]))|credential|sas"
_KEY = re.compile(rf"([?&#;]{_NAME}(?:{_SECRET}){_NAME}=)[^&\s'\"]+", re.I)


def without_secrets(text: str) -> str:
    """A text whose addresses have neither user and password nor keys: ``http://***@host``.

    A password that holds an ``@`` after a ``/``, ``?`` or ``#``, or begins like a port and a path,
    looks like the rest of an address: a URL has to write these as ``%40``, ``%2F`` and so on.
    """
    if "://" not in text and "=" not in text:
        return text
    return _KEY.sub(r"\1***", _USER.sub("***@", text))


def record_without_secrets(plain: Any) -> Any:  # what JSON can hold
    """A record in which no text holds a secret of an address."""
    if isinstance(plain, str):
        return without_secrets(plain)
    if isinstance(plain, dict):
        return {key: record_without_secrets(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [record_without_secrets(value) for value in plain]
    return plain
