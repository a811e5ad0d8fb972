"""The user's home folder, and a temporary one where there is none.

Container runtimes start programs under a user that the system does not know. Ray and other
libraries ask for the home folder when they are imported, and fail.
"""

from __future__ import annotations

import os
from pathlib import Path

from raykd.own_folder import own_folder

STAND_IN = "RAYKD_STAND_IN_HOME"
"""Names the folder that stands in for a home; set by raykd for itself and its workers."""


def home() -> str | None:
    """The user's home folder, None where there is none."""
    # An empty variable would mean the root of the file system.
    if os.environ.get("HOME", "~") in ("", os.environ.get(STAND_IN)):
        return None
    folder = os.path.expanduser("~")
    return folder if os.path.isabs(folder) else None


def user_cache() -> Path | None:
    """The folder of raykd in the cache folder of the user, None where there is none."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # others are to be ignored, says the standard
        return Path(base) / "raykd"
    below = home()
    return None if below is None else Path(below) / ".cache" / "raykd"


def stand_in() -> None:
    """Where the user has no home, give this process an empty one, which goes when it ends."""
    if home() is not None or os.environ.get(STAND_IN):
        return
    os.environ["HOME"] = os.environ[STAND_IN] = str(own_folder("home"))
