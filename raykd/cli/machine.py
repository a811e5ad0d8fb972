"""Errors that nobody expected and that are the machine's: a full disk, no place for files, limits.

Libraries raise them wherever they write, some of them when they are imported.
"""

from __future__ import annotations

import errno
import os
import tempfile

from raykd.errors import SetupError

_ROOM = "free some space there; raykd sweep --resume continues a sweep that this ended"

_NEXT = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: "make it writable, or choose another place",
    errno.EIO: "the disk, or the connection to it, is at fault: dmesg may say more",
    errno.EMFILE: "allow more open files, e.g. with ulimit -n 65536, and try again",
    errno.ENFILE: "this machine has as many open files as it can: end something else",
}
"""What to do, by the number that the system gives."""


def fault_of_the_machine(exc: BaseException) -> SetupError | None:
    """What to say instead of an error, None where it is not the machine's.

    Args:
        exc: The error; it may come from another one.
    """
    seen: BaseException | None = exc
    while seen is not None:
        if isinstance(seen, OSError):
            if isinstance(seen, FileNotFoundError) and (nowhere := _no_temporary_folder()):
                return nowhere
            if (hint := _NEXT.get(seen.errno or 0)) is not None:
                where = f": {seen.filename}" if seen.filename is not None else ""
                return SetupError(f"{os.strerror(seen.errno or 0)}{where}", hint=hint)
        seen = seen.__cause__
    return None


def _no_temporary_folder() -> SetupError | None:
    """That no folder for temporary files can be written, if it is so."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        named = os.environ.get("TMPDIR")
        return SetupError(
            "no folder for temporary files can be written: "
            + (f"neither TMPDIR ({named}) nor /tmp" if named else "/tmp is full, or read-only"),
            hint="set TMPDIR to a folder that can be written, with room and with a short name",
        )
    return None
