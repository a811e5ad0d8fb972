"""Errors that nobody expected and that are the machine's: a full disk, no place for files, limits.

Libraries raise them wherever they write, some of them when they are imported; not every one of them
hands on the number that the system gave.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from raykd.errors import SetupError, shortened

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

_UNNAMED = {
    errno.ENOSPC: "df -h shows which disk is full, where it is one: free some space there; the "
    "system says the same where fs.inotify.max_user_watches are in use",
    errno.EIO: "no file is named: -v shows where, and dmesg may say more",
}
"""What to do where no file is named."""

_WATCHES = "sysctl fs.inotify shows the limits of watched files: raise the one that is reached"

_NUMBER = re.compile(r"[(\[](?:os error|errno) (\d+)[)\]]", re.IGNORECASE)
"""In messages of libraries: of those in Rust, and of those that repeat one of Python's."""

_SQLITE = {"database or disk is full": errno.ENOSPC, "disk I/O error": errno.EIO}

_TORCH = re.compile(r"basic_ios::clear|inline_container.*unexpected pos|PytorchStreamWriter failed")
"""In messages of ``torch.save``, which do not say why a file cannot be written."""


def fault_of_the_machine(exc: BaseException) -> SetupError | None:
    """What to say instead of an error, None where it is not the machine's.

    Args:
        exc: The error; it may come from another one, or have been raised while one was handled.
    """
    for error, handled in _chain(exc):
        if (fault := _fault(error)) is not None:
            if not handled:
                return fault
            then = shortened(f"{type(exc).__name__}: {exc}")
            return SetupError(f"{fault.message}; then {then}", hint=fault.hint)
    for error, _ in _chain(exc):
        if _TORCH.search(str(error)):
            return SetupError(
                f"PyTorch could not write a file: {shortened(str(error))}",
                hint="df -h shows whether a disk is full; it may be read-only or at fault, too",
            )
    return None


def _chain(exc: BaseException) -> Iterator[tuple[BaseException, bool]]:
    """An error and those behind it, and whether it only was handled when one of them was raised.

    What failed on another machine is the ``cause`` of an error of Ray.
    """
    todo: list[tuple[BaseException | None, bool]] = [(exc, False)]
    seen: set[int] = set()
    while todo:
        error, handled = todo.pop(0)
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        yield error, handled
        todo += [(getattr(error, "cause", None), handled), (error.__cause__, handled)]
        if not error.__suppress_context__:
            todo.append((error.__context__, True))


def _fault(error: BaseException) -> SetupError | None:
    """What to say instead of this one error."""
    if isinstance(error, FileNotFoundError) and (nowhere := _no_temporary_folder()):
        return nowhere
    number = _number(error)
    if number not in _NEXT:
        return None
    if "inotify" in str(error):
        return SetupError(shortened(str(error)), hint=_WATCHES)
    file = getattr(error, "filename", None) if isinstance(error, OSError) else None
    if isinstance(file, str | bytes):
        return SetupError(f"{os.strerror(number)}: {os.fsdecode(file)}", hint=_NEXT[number])
    if isinstance(error, OSError):
        if number == errno.EIO and _terminal_is_gone():
            return SetupError(
                "the terminal is gone that this wrote to",
                hint="nohup, tmux or screen keep a command running without one",
            )
        return SetupError(os.strerror(number), hint=_UNNAMED.get(number, _NEXT[number]))
    # The message of a library may name the file.
    return SetupError(shortened(str(error)), hint=_UNNAMED.get(number, _NEXT[number]))


def _number(error: BaseException) -> int:
    """The number that the system gave, 0 where none is known."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if type(error).__name__ == "OperationalError":  # of SQLite, or of a library around it
        return next((number for text, number in _SQLITE.items() if text in str(error)), 0)
    match = _NUMBER.search(str(error))
    return int(match[1]) if match else 0


def _terminal_is_gone() -> bool:
    """Whether the output goes to a terminal that has been closed."""
    if sys.platform == "win32":
        return False
    import termios

    for number in (1, 2):
        try:
            termios.tcgetattr(number)
        except termios.error as exc:
            if exc.args[0] == errno.EIO:
                return True
    return False


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
