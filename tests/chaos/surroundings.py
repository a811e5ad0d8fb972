"""What a sweep may leave behind: processes, shared memory, sockets, files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")


class Surroundings:
    """Folders of a sweep's own for what is temporary, and what there was in shared memory.

    Args:
        cache: Where teachers are kept.
        place: Where the folders are; with a short name, as those of sockets are limited.
    """

    def __init__(self, cache: Path, place: Path = Path("/tmp")) -> None:
        self.cache = cache
        self._folder = Path(tempfile.mkdtemp(prefix="rk", dir=place))
        self._shared = self._in_shared_memory()

    def environment(self) -> dict[str, str]:
        """The environment of a command."""
        (self._folder / "t").mkdir(exist_ok=True)
        return {
            **os.environ, "RAYKD_CACHE": str(self.cache), "OMP_NUM_THREADS": "1",
            "RAYKD_STATE_S": "0",  # a state at every evaluation
            "TMPDIR": str(self._folder / "t"), "RAY_TMPDIR": str(self._folder / "r"),
        }  # fmt: skip

    def left(self, run: Path | None) -> list[str]:
        """What is there that was not before: files, sockets, shared memory, parts of files.

        Ray's logs stay where the sweep says that they do, after an error.
        """
        paths = [*self._folder.rglob("*")]
        paths = [p for p in paths if (p.is_symlink() or not p.is_dir()) and "logs" not in p.parts]
        paths += [SHARED_MEMORY / name for name in self._in_shared_memory() - self._shared]
        if run is not None:
            paths += [*run.rglob("*.part"), *run.glob("ray")]
        paths += self.cache.rglob(".new-*")
        shown = [str(path) for path in sorted(paths)]
        return [*shown[:3], f"and {len(shown) - 3} more"] if len(shown) > 3 else shown

    def open_to_others(self) -> None:
        """Let other users into the folders, so that only what the sweep closes is closed."""
        self._folder.chmod(0o755)

    def forget(self) -> None:
        """Delete the folders."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _in_shared_memory() -> set[str]:
        return {name for name in os.listdir(SHARED_MEMORY) if "plasma" in name or "ray" in name}
