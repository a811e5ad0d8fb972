"""Writes a teacher to the cache as it is made: its weights first, then what is made of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from raykd.errors import SetupError
from raykd.teachers.cache_keys import CacheKeys
from raykd.teachers.cache_lookup import WEIGHTS, CacheLookup
from raykd.teachers.cached_outputs import Block
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.teacher_cache import TeacherCache


class StepwiseStore:
    """What the cache gets of one preparation.

    Args:
        cache: The cache.
        inputs: What is prepared.
        keys: Its names.
        lookup: What was there before.
        tokenizer: Writes the teacher's tokenizer into a model folder.
    """

    def __init__(
        self,
        cache: TeacherCache,
        inputs: TaskInputs,
        keys: CacheKeys,
        lookup: CacheLookup,
        tokenizer: Callable[[Path], None],
    ) -> None:
        self._cache = cache
        self._inputs = inputs
        self._keys = keys
        self._lookup = lookup
        self._tokenizer = tokenizer
        self._seconds = 0.0

    def weights(self, finetuned: PreparedParts) -> PreparedParts:
        """Keep a teacher that was fine-tuned, and give it back.

        What cannot be written is tried once more with the rest, which says why.
        """
        with contextlib.suppress(SetupError, OSError):
            if self._write(finetuned) is not None:
                missing = tuple(name for name in self._lookup.missing if name != WEIGHTS)
                self._lookup = replace(self._lookup, missing=missing, is_new=False)
                self._seconds = finetuned.seconds
        return finetuned

    def rest(self, made: PreparedParts, block: Callable[[int], Block] | None = None) -> None:
        """Keep what was made of it.

        Args:
            made: Everything, with the time that all of it took.
            block: Gives recorded values of a block of train rows, where `made` is without them.

        Raises:
            SetupError: The disk is full or the cache cannot be written.
        """
        self._write(replace(made, seconds=max(0.0, made.seconds - self._seconds)), block)

    def _write(
        self, made: PreparedParts, block: Callable[[int], Block] | None = None
    ) -> Path | None:
        return self._cache.store(
            self._inputs, self._keys, self._lookup, made, self._tokenizer, block
        )
