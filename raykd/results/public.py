"""What may be shown to others: names and sentences without the folders of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ADDRESS = "(address)"
URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]}]+", re.IGNORECASE)
_FOLDERS = re.compile(r"(?<![\w.:/-])(?:~\w*|\.{1,2})?/(?:[^\s/,'\"\]}]+/)*(?=[^\s/,'\"\]}])")
"""The folders of a path that begins with one, or with where a user is."""


def public_name(name: str) -> str:
    """A model, a file or a data set as others may read it: a path is cut to its last part."""
    path = name.removeprefix("file:")
    is_path = name != path or path.startswith(("/", "~", "./", "../")) or "\\" in path
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1] if is_path else name


def public(value: Any) -> Any:  # plain data
    """Plain data with every path in it cut to its last part, and without addresses."""
    if isinstance(value, str):
        return without_addresses(public_name(value))
    if isinstance(value, Mapping):
        return {str(key): public(of) for key, of in value.items()}
    if isinstance(value, list | tuple):
        return [public(of) for of in value]
    return value


def without_addresses(text: str) -> str:
    """A sentence whose URLs are left out: servers that only those inside know."""
    return URL.sub(ADDRESS, text)


def without_folders(text: str) -> str:
    """A sentence without the folders of the paths in it."""
    return _FOLDERS.sub("", text)
