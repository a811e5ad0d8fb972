"""Look-up in the teachers' cache: what it has of a task, and what has to be made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raykd.models.weights import ModelState
from raykd.teachers import cache, cache_index
from raykd.teachers.cache_keys import (
    ANALYSES,
    MADE_ALONG,
    PRECISION_ERROR,
    RECORDED,
    SCORED,
    SCORES,
    SEEDS,
    SPEED,
    STUDENT,
    TEST_OUTPUTS,
    TEXTS,
    CacheKeys,
)
from raykd.teachers.cached_signals import CachedSignal, merge_signals
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.prepare import TEST_OUTPUT_SPEC
from raykd.teachers.prepared_parts import PreparedParts

WEIGHTS = "weights"
"""What the teacher itself is called among what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheLookup:
    """What the cache has of a task.

    Attributes:
        made: Parts that are there, without the teacher's weights and the train rows' recordings.
        signals: Recorded signals of the train rows that are there, by name.
        missing: What has to be made, by the names of `CacheKeys.parts`, and `WEIGHTS`.
        is_new: Whether there is nothing of this teacher.
        damaged: Whether something is there that cannot be read.
        state: Reads the teacher's weights, None where they are not in the cache.
    """

    made: PreparedParts = field(default_factory=PreparedParts)
    signals: Mapping[str, CachedSignal] = field(default_factory=dict)
    missing: tuple[str, ...]
    is_new: bool = False
    damaged: bool = False
    state: Callable[[], ModelState] | None = None


def look_up_parts(
    entry: Path, inputs: TaskInputs, keys: CacheKeys, wanted: Sequence[str]
) -> CacheLookup:
    """What is in the folder of a teacher.

    Args:
        entry: The folder, which need not be there.
        inputs: What is prepared.
        keys: Its names.
        wanted: What is requested, by the names of `CacheKeys.parts`, and `WEIGHTS`.
    """
    trained = cache.read_teacher(entry)
    if trained is None or (WEIGHTS in wanted and trained.state is None):
        return CacheLookup(missing=tuple(wanted), is_new=True, damaged=entry.exists())
    cache_index.touch(entry / cache_index.ABOUT)
    signals, values = {}, {}
    seconds, missing = trained.seconds, []
    for name, key in keys.parts.items():
        if name.startswith((RECORDED, TEST_OUTPUTS)):
            signal = cache.read_signal(entry, key)
            if signal is not None:
                signals[name] = signal
        else:
            kept = cache.read_part(entry, key)
            if kept is not None:
                values[name] = kept.value
                seconds += kept.seconds
        if name not in signals and name not in values:
            missing.append(name)
    if all(name in MADE_ALONG for name in missing):
        missing = []
    made = _made(inputs, values, signals)
    made = replace(
        made,
        history=trained.history if trained.rows == keys.rows else (),
        tried=trained.tried,
        parameters=trained.parameters,
        seconds=seconds,
    )
    state = trained.state
    return CacheLookup(
        made=made,
        signals={n.removeprefix(RECORDED): p for n, p in signals.items() if n.startswith(RECORDED)},
        missing=tuple(missing),
        damaged=any((entry / cache_index.PARTS / keys.parts[name]).exists() for name in missing),
        state=None if state is None else lambda: cache.read_state(entry, trained),
    )


def count_rows_passed(inputs: TaskInputs, lookup: CacheLookup) -> int:
    """Rows that were passed through the teacher for what was found."""
    if inputs.given is not None:
        return 0
    roles = [*lookup.made.scores, *(["train"] if lookup.signals else [])]
    return sum({id(s): len(s) for role in roles for s in [inputs.teacher_splits[role]]}.values())


def _made(
    inputs: TaskInputs, values: Mapping[str, Any], signals: Mapping[str, CachedSignal]
) -> PreparedParts:
    """Parts by what they are."""

    def of(prefix: str) -> dict[str, Any]:
        return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}

    test_outputs = None
    test_signals = {
        n.removeprefix(TEST_OUTPUTS): p for n, p in signals.items() if n.startswith(TEST_OUTPUTS)
    }
    if test_signals:
        recording = inputs.recording("test", TEST_OUTPUT_SPEC)
        bare, blocks = merge_signals(
            test_signals, TEST_OUTPUT_SPEC, inputs.dtype, recording.blocks()
        )
        test_outputs = bare.with_chunks(blocks)
    return PreparedParts(
        scores=of(SCORES),
        scored_logits=of(SCORED),
        seed_scores={int(seed): scores for seed, scores in of(SEEDS).items()},
        test_outputs=test_outputs,
        teacher_texts=of(TEXTS),
        analysis_results=of(ANALYSES),
        precision_error=values.get(PRECISION_ERROR, {}),
        student=values.get(STUDENT),
        speed=values.get(SPEED),
    )
