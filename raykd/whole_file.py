"""Writes a file whole: readers see what was there before or all of what is new, never a part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def reason(error: OSError) -> str:
    """Why a file could not be written, in the words of the system.

    Libraries put sentences of their own around them, with the temporary name of a file.
    """
    return os.strerror(error.errno) if error.errno else str(error)


@contextlib.contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Write a file under a temporary name next to it, which it loses when the block ends.

    When the block raises, what was written is deleted, and an earlier file stays as it was. Two
    processes that write the same file do not mix: the one that ends last wins. A link stays one,
    and what is no plain file (``/dev/stdout``) is written to as it is.

    Args:
        path: The file; its folder must exist.
        durable: Whether it outlives a machine that stops the moment after, which costs the time
            that the disk needs for it.

    Yields:
        The path to write to.

    Raises:
        OSError: The file cannot be written.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = Path(os.path.realpath(path))
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
