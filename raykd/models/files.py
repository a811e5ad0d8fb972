"""Writes files of tensors that others may read, as far as the user's umask lets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def write_readable(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file with the permissions that an ordinary new file has.

    ``safetensors`` puts a file that only its owner may read in the place of what was there.

    Args:
        path: The file.
        write: Writes it, under the name that it is given.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("wb"):
        pass
    mode = path.stat().st_mode
    write(path)
    path.chmod(mode)
