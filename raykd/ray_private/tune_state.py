"""The state that Ray Tune writes of a search, and that nobody reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from raykd.ray_private import TUNE_STATE


def _write_empty_state(written: set[Path]) -> Callable[..., None]:
    """A function that writes an empty state of a search where Tune looks for one, once.

    Not again where it is gone: Tune may still run in a thread of its own after a cluster was lost
    and its folder deleted.
    """

    def checkpoint(controller: Any, force: bool = False, wait: bool = False) -> None:
        file = Path(controller.experiment_path, controller.experiment_state_file_name)
        if file not in written:
            written.add(file)
            with suppress(OSError):  # the run folder cannot be written: that is noticed elsewhere
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text('{"trial_data": []}', encoding="utf-8")

    return checkpoint


@contextmanager
def without_tune_state() -> Iterator[None]:
    """In the block, the state that Tune writes of a search is an empty one.

    Nothing reads it: the studies are what a sweep is resumed from. Tune looks for its file at the
    end, but writes it to the disk of temporary files first, and a search would end where that is
    full.
    """
    with TUNE_STATE.replaced(_write_empty_state(set())):
        yield
