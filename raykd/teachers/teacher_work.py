"""How far the teacher of a task is in the making."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from raykd.teachers.cache_lookup import CacheLookup
from raykd.teachers.cached_outputs import Block
from raykd.teachers.object_store import StoredBlock
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.serving_plan import ServingPlan
from raykd.teachers.stepwise_store import StepwiseStore


@dataclass(slots=True)
class TeacherWork:
    """How far the teacher of a task is.

    Attributes:
        plan: What is wanted.
        lookup: What was in the cache.
        store: Writes the rest to it.
        made: What a slot made of the rest, without the values of what it recorded.
        blocks: These values in the object store, block by block.
        files: Folder of the weights that were made, until the cache has them.
        over: Set when there is nothing more to wait for.
        error: What ended it.
        fresh: Whether anything was made now.
    """

    plan: ServingPlan
    lookup: CacheLookup
    store: StepwiseStore
    fresh: bool = False
    made: PreparedParts | None = None
    blocks: tuple[StoredBlock, ...] = ()
    files: Path | None = None
    over: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def block(self, number: int) -> Block:
        """The values of a block that was recorded now."""
        return self.blocks[number].values()

    def delete_files(self) -> None:
        """Delete what a slot wrote of its weights."""
        if self.files is not None:
            shutil.rmtree(self.files, ignore_errors=True)
