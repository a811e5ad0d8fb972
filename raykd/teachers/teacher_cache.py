"""The teachers' cache as one process uses it: look up, claim what is missing, store."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from raykd.data.base import Array
from raykd.errors import SetupError
from raykd.teachers import cache, cache_index, cache_keys
from raykd.teachers.assembly import assemble
from raykd.teachers.cache import TrainedTeacher
from raykd.teachers.cache_keys import CacheKeys
from raykd.teachers.cache_lookup import WEIGHTS, CacheLookup, count_rows_passed, look_up_parts
from raykd.teachers.cached_outputs import Block
from raykd.teachers.cached_signals import CachedSignal, merge_signals, split_signals
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.locks import CacheLocks, HeldLock
from raykd.teachers.prepare import TEST_OUTPUT_SPEC
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.scoring import metrics_of
from raykd.waiting import Waiting

WAIT_S = 0.5
"""How often it is looked whether another process is done."""

MOST_WAIT_S = 24 * 3600.0
"""How long another process may take for a teacher."""


class TeacherCache:
    """The teachers' cache in a folder.

    Args:
        folder: Where it is; None for none at all.
        writable: Whether it can be written.
    """

    def __init__(self, folder: Path | None, *, writable: bool = True) -> None:
        self.folder = folder
        self.writable = writable and folder is not None
        self._locks = CacheLocks(folder) if folder is not None else None
        self._claims: dict[str, HeldLock] = {}
        self._uses: dict[str, HeldLock] = {}

    def look_up(self, inputs: TaskInputs, keys: CacheKeys) -> CacheLookup:
        """Look up the parts of a task in the cache; they are not deleted before `close`.

        A teacher that is no model here is not in it, and nothing of it is missing.
        """
        if inputs.given is not None:
            signals = split_signals(inputs.given.recorded) if inputs.given.recorded else {}
            return CacheLookup(made=inputs.given.parts(), signals=signals, missing=())
        wanted = [*([WEIGHTS] if inputs.finetune is not None else []), *keys.parts]
        if self.folder is None:
            return CacheLookup(missing=tuple(wanted), is_new=True)
        if self.writable and keys.teacher not in self._uses:
            assert self._locks is not None
            with contextlib.suppress(OSError):
                self._uses[keys.teacher] = self._locks.use(keys.teacher)
        return look_up_parts(self.folder / keys.teacher, inputs, keys, wanted)

    def claim(self, keys: CacheKeys) -> bool:
        """Claim the right to make what is missing; False where another process has it."""
        if not self.writable or keys.teacher in self._claims:
            return True
        assert self._locks is not None
        try:
            hold = self._locks.claim(keys.teacher)
        except OSError:
            return True  # the cache is gone: what is made is not kept, with a note
        if hold is not None:
            self._claims[keys.teacher] = hold
        return hold is not None

    def wait(
        self,
        keys: CacheKeys,
        task: str,
        tell: Callable[[str], None],
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Wait for the right to make what is missing; False when told to stop.

        Args:
            keys: Names of what is missing.
            task: Whose teacher it is.
            tell: Called now and then with what is waited for.
            stop: Asked whether to wait no more.

        Raises:
            SetupError: One process took too long.
        """
        hint = "where it is stopped or hangs, end it: what it holds goes with it"
        who: str | None = None
        while not self.claim(keys):
            if stop():
                return False
            before, who = who, self.holder(keys)
            if who != before:  # it is the first, or another one has taken over
                what = f"the teacher of {task}, which is being made by {who}"
                waiting = Waiting(what, hint, tell, MOST_WAIT_S)
            if not waiting.still():
                raise SetupError(f"waited {MOST_WAIT_S / 3600:.0f} h for {what}", hint=hint)
            time.sleep(WAIT_S)
        return True

    def holder(self, keys: CacheKeys) -> str:
        """Who makes a teacher now, in words."""
        return self._locks.holder(keys.teacher) if self._locks is not None else ""

    def differences(self, task: str, keys: CacheKeys) -> tuple[str, ...]:
        """How the most similar cached teacher of a task differs; empty if there is none."""
        if self.folder is None:
            return ()
        return cache_index.differences(self.folder, task, keys.identity)

    def store(
        self,
        inputs: TaskInputs,
        keys: CacheKeys,
        lookup: CacheLookup,
        made: PreparedParts,
        tokenizer: Callable[[Path], None],
        block: Callable[[int], Block] | None = None,
    ) -> Path | None:
        """Write the newly made parts.

        Args:
            inputs: What was prepared.
            keys: Its names.
            lookup: What was there before.
            made: What is new; without the values of recorded train rows where `block` is given.
            tokenizer: Writes the teacher's tokenizer into a model folder.
            block: Gives recorded values of a block of train rows.

        Returns:
            The folder of the teacher, None without a cache.

        Raises:
            SetupError: The disk is full or the cache cannot be written.
        """
        if not self.writable:
            return None
        assert self.folder is not None
        assert self._locks is not None
        entry = self.folder / keys.teacher
        if lookup.is_new:
            metrics = metrics_of({**lookup.made.scores, **made.scores})
            about = cache_index.TeacherMetadata(
                task=inputs.task.name, metrics=metrics, identity=keys.identity
            )
            # Seconds of everything that was made at once; what comes later has its own.
            trained = TrainedTeacher(
                state=made.state if inputs.finetune is not None else None,
                history=made.history,
                tried=made.tried,
                rows=keys.rows,
                parameters=made.parameters,
                seconds=made.seconds,
            )
            cache.write_teacher(entry, trained, about, self._locks, tokenizer)
            seconds = 0.0
        else:
            seconds = made.seconds
            cache_index.add_metrics(entry, metrics_of(made.scores))
        missing = [name for name in keys.parts if name in lookup.missing]
        values = _values(made, missing)
        for name, value in values.items():
            kept = cache.StoredPart(value=value, seconds=seconds / len(values))
            cache.write_part(entry, keys.parts[name], name, kept, self._locks)
        for name, (signal, blocks) in _new_signals(inputs, made, missing, block).items():
            cache.write_signal(entry, keys.parts[name], name, signal, blocks, self._locks)
        return entry

    def release(self, keys: CacheKeys) -> None:
        """Release the claim on a teacher, so that other processes can make what is missing."""
        hold = self._claims.pop(keys.teacher, None)
        if hold is not None:
            hold.release()

    def close(self) -> None:
        """Release all claims and locks."""
        for hold in (*self._claims.values(), *self._uses.values()):
            hold.release()
        self._claims.clear()
        self._uses.clear()


def open_cache(folder: Path) -> tuple[TeacherCache, str]:
    """Open the cache in a folder; also says why it cannot be written, or nothing.

    It is tried, before any work: what is prepared and cannot be kept would be lost.
    """
    probe = folder / f".probe-{uuid.uuid4().hex[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"raykd")
        probe.unlink()
        CacheLocks(folder).use("probe").release()
    except (OSError, NotImplementedError) as exc:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
        reason = getattr(exc, "strerror", None) or str(exc)
        readable = folder.is_dir()
        return TeacherCache(folder if readable else None, writable=False), reason
    return TeacherCache(folder), ""


def with_known_parts(inputs: TaskInputs, lookup: CacheLookup) -> TaskInputs:
    """The inputs with the parts from the cache, for `raykd.teachers.prepare.make`."""
    known = replace(
        lookup.made,
        state=lookup.state() if lookup.state is not None else None,
        cached_outputs=None,
    )
    if lookup.signals:
        wanted, dtype = inputs.train_output_spec(), inputs.dtype
        names = list(lookup.signals)
        blocks = inputs.recording("train", wanted).blocks()
        cached_outputs, values = merge_signals(lookup.signals, wanted.only(names), dtype, blocks)
        if any(name.startswith(cache_keys.ANALYSES) for name in lookup.missing):
            cached_outputs = cached_outputs.with_chunks(values)  # analyses read the logits
        known = replace(known, cached_outputs=cached_outputs)
    return replace(inputs, known=known)


def finish_task(
    inputs: TaskInputs,
    lookup: CacheLookup,
    made: PreparedParts | None = None,
    block: Callable[[int], Block] | None = None,
) -> tuple[PreparedTask, Iterator[Block] | None]:
    """The prepared task, from the parts in the cache and those made now.

    Args:
        inputs: What was prepared.
        lookup: What was there.
        made: What is new, None where nothing was missing.
        block: Gives recorded values of a block of what is new, where `made` lacks them.

    Returns:
        The task without the values of recorded train rows, and these block by block; None for them
        where none are read, or where they are the blocks of `made` as they are.
    """
    whole = lookup.made if made is None else lookup.made.merged_with(made)
    whole = replace(whole, rows=whole.rows + count_rows_passed(inputs, lookup))
    needs_state = (
        inputs.mode == "weights" or inputs.teacher_analyses or inputs.records_test_outputs()
    )
    if needs_state and whole.state is None and lookup.state is not None:
        whole = replace(whole, state=lookup.state())
    if inputs.mode != "outputs":
        return assemble(inputs, replace(whole, cached_outputs=None)), None
    signals = dict(lookup.signals)
    if made is not None and made.cached_outputs is not None:
        if not signals:
            return assemble(inputs, whole.bare()), None
        signals = split_signals(made.cached_outputs, block) | signals
    wanted = inputs.train_output_spec()
    blocks = inputs.recording("train", wanted).blocks()
    cached_outputs, values = merge_signals(signals, wanted, inputs.dtype, blocks)
    return assemble(inputs, replace(whole, cached_outputs=cached_outputs)), values


def with_values(
    prepared: PreparedTask, made: PreparedParts | None, blocks: Iterator[Block] | None
) -> PreparedTask:
    """What `finish_task` gave, with all cached outputs in memory."""
    if prepared.cached_outputs is None:
        return prepared
    if blocks is None:
        assert made is not None
        assert made.cached_outputs is not None
        blocks = made.cached_outputs.chunks()
    return replace(prepared, cached_outputs=prepared.cached_outputs.with_chunks(blocks))


def _values(made: PreparedParts, missing: Sequence[str]) -> dict[str, object]:
    """The newly made parts other than recordings, by name."""
    whole: dict[str, object] = {
        **{cache_keys.SCORES + role: dict(metrics) for role, metrics in made.scores.items()},
        **{cache_keys.SCORED + role: logits for role, logits in made.scored_logits.items()},
        **{f"{cache_keys.SEEDS}{seed}": dict(of) for seed, of in made.seed_scores.items()},
        **{cache_keys.TEXTS + name: rows for name, rows in made.teacher_texts.items()},
        **{cache_keys.ANALYSES + name: result for name, result in made.analysis_results.items()},
        cache_keys.STUDENT: made.student,
        cache_keys.SPEED: made.speed,
        cache_keys.PRECISION_ERROR: dict(made.precision_error) or None,
    }
    return {n: v for n, v in whole.items() if n in missing and v is not None}


def _new_signals(
    inputs: TaskInputs,
    made: PreparedParts,
    missing: Sequence[str],
    block: Callable[[int], Block] | None,
) -> dict[str, tuple[CachedSignal, Sequence[Array]]]:
    """Recorded signals of what was made, by name, with their blocks."""
    signals: dict[str, tuple[CachedSignal, Sequence[Array]]] = {}
    if made.cached_outputs is not None:
        blocks = inputs.recording("train", inputs.train_output_spec()).blocks()
        for name, signal in split_signals(made.cached_outputs, block).items():
            signals[cache_keys.RECORDED + name] = (signal, blocks)
    if made.test_outputs is not None:
        blocks = inputs.recording("test", TEST_OUTPUT_SPEC).blocks()
        for name, signal in split_signals(made.test_outputs).items():
            signals[cache_keys.TEST_OUTPUTS + name] = (signal, blocks)
    return {name: pair for name, pair in signals.items() if name in missing}


def describe_missing(cache: TeacherCache, task: str, keys: CacheKeys, lookup: CacheLookup) -> str:
    """Why the cached teacher is not enough as it is; empty where there is none."""
    if lookup.damaged:
        return f"the prepared teacher of {task} in the cache is damaged and made again"
    if lookup.is_new:
        differ = ", ".join(cache.differences(task, keys))
        if not differ:
            return ""
        return f"the prepared teacher of {task} in the cache does not fit: {differ} differ"
    missing = ", ".join(name.replace("/", " of ", 1) for name in lookup.missing)
    return f"the teacher of {task} is in the cache; what is missing is made: {missing}"
