"""The token that processes of a Ray cluster show each other: nobody but its owner may read it."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

TOKEN, TOKEN_PATH = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


def token_path() -> Path:
    """Where Ray keeps the token."""
    return Path(os.path.expanduser(os.environ.get(TOKEN_PATH, "~/.ray/auth_token")))


def read_token() -> str:
    """The token that clusters are shown, empty where there is none."""
    token = os.environ.get(TOKEN, "")
    path = token_path()
    if not token and path.is_file():
        token = path.read_text(encoding="utf-8").strip()
    return token


def make_private() -> None:
    """See that there is a token which others cannot read, before Ray makes one that they can.

    Where no file can be written, the token lives in the environment of this process and of those
    that it starts.
    """
    path = token_path()
    if os.environ.get(TOKEN):
        return
    token = secrets.token_hex(32)
    if path.is_file():
        with contextlib.suppress(OSError):  # somebody else's
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                path.chmod(0o600)
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(token)
    except OSError:
        os.environ[TOKEN] = token
