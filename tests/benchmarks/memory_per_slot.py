"""What one more slot keeps in memory where slots read one teacher's cached outputs.

``python -m tests.benchmarks.memory_per_slot [GIGABYTES]`` (1 unless given). Slots of a local
cluster train students of a generated task, with hidden states of random numbers in place of
recorded ones, published as a sweep does it. The baseline is the same slots training the same
students without a teacher: torch, transformers, student, optimizer, rows. The difference is what a
slot pays for reading the cache (patient distillation of the first token: every position of the
matched layers is gathered, and the loss itself takes next to nothing). Memory of a worker's own is
what is anonymous in its share (PSS), at its highest; pages of Ray's store are shared, and counted
over all processes to show that they are there once.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from raykd.clusters.connection import connected
from raykd.data.base import Array, TokenizedDataset
from raykd.models.signals.logits import Logits
from raykd.models.signals.ragged import joined, one_chunk
from raykd.sweep.in_process import prepare_task
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.recording import BLOCK_BYTES
from tests.benchmarks._meter import family, memory
from tests.integration.conftest import TASK, open_bench, tiny_spec, trial_config

SLOTS = (1, 2, 3, 4)
GOAL = 0.02
SAMPLE_S = 0.25
WIDTH, LENGTH = 128, 128
TRAINED = 2_048
"""Rows that a trial reads, of all that are published."""
TRAIN = {"epochs": 1, "batch_size": 32, "lr": 1e-3, "precision": "fp32"}


@dataclass(slots=True)
class Seen:
    """What sampling saw of the processes of a cluster.

    Attributes:
        own: Most anonymous bytes of each worker, by process.
        store: Most bytes of the store in memory, over all processes.
    """

    own: dict[int, int] = field(default_factory=dict)
    store: int = 0


def prepared_in(folder: Path, size: int) -> PreparedTask:
    """A task of rows of `LENGTH` tokens whose recorded hidden states take `size` bytes."""
    shape = {"family": "bert", "heads": 4, "vocabulary": 400, "max_positions": LENGTH}
    plain = tiny_spec().as_dict()
    spec = tiny_spec(
        data={**plain["data"], "max_length": LENGTH},
        teacher={
            "model": {**shape, "hidden": WIDTH, "layers": 6},
            "finetune": {"epochs": 1, "lr": 1e-3, "batch_size": 64},
        },
        student={"model": {**shape, "hidden": WIDTH, "layers": 3}},
        methods={"pkd": {"name": "pkd", "method": "pkd"}},
    )
    prepared = prepare_task(spec, TASK, folder, lambda *progress: None)[1]
    cached_outputs = prepared.cached_outputs
    assert cached_outputs is not None
    rng = np.random.default_rng(0)
    layers = [name for name in cached_outputs.names if name.startswith("hidden_states/")]
    row = (LENGTH, WIDTH)
    count = size // (2 * int(np.prod(row)) * len(layers))
    classes = cached_outputs.parts["logits"].chunks[0].shape[-1]
    sizes = np.diff(np.append(np.arange(0, count, BLOCK_BYTES // (size // count)), count))
    states = {
        name: joined([one_chunk([_half(rng, row) for _ in range(n)]) for n in sizes])
        for name in layers
    }
    logits = [one_chunk(list(rng.standard_normal((n, 1, classes), np.float32))) for n in sizes]
    return dataclasses.replace(
        prepared,
        splits={
            **prepared.splits,
            "train": rows(min(count, TRAINED), prepared.student.dims.vocabulary, rng),
        },
        cached_outputs=dataclasses.replace(
            cached_outputs, parts={**states, "logits": joined(logits)}
        ),
    )


def _half(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape, np.float32).astype(np.float16)


def rows(count: int, vocabulary: int, rng: np.random.Generator) -> TokenizedDataset:
    """Rows of random tokens."""
    tokens = count * LENGTH
    return TokenizedDataset(
        input_ids=rng.integers(5, vocabulary, tokens, np.int32),
        token_type_ids=np.zeros(tokens, np.int8),
        offsets=np.arange(count + 1, dtype=np.int64) * LENGTH,
        labels=rng.integers(0, 2, count, np.int64),
    )


def trained(prepared: PreparedTask, slots: int, folder: Path, *, method: str) -> Seen:
    """A trial in each of some slots at the same time, and what was seen meanwhile."""
    for bench in open_bench(prepared, 1, folder, slots):
        configs = [
            trial_config(
                trial_id=f"{method}{k}", method=method, arm=method, seed=k,
                coefficients={}, train=TRAIN,
            )
            for k in range(slots)
        ]  # fmt: skip
        with sampling() as seen:
            for job in [bench.submit(config) for config in configs]:
                end = bench.events(job)[-1]
                if end["kind"] != "done":
                    raise RuntimeError(end["error"])
    if len(seen.own) < slots:
        raise RuntimeError(f"{len(seen.own)} workers were seen instead of {slots}")
    return seen


@contextmanager
def sampling() -> Iterator[Seen]:
    """Looks at the cluster's processes while something runs."""
    seen, over = Seen(), threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            look(seen)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def look(seen: Seen) -> None:
    """Add one sample."""
    store = 0
    for pid in family():
        try:
            name = Path(f"/proc/{pid}/cmdline").read_text()
            actual: Mapping[str, int] = memory(pid)
        except OSError:  # it ended meanwhile
            continue
        store += actual["Pss_Shmem"]
        if "RayTrainWorker" in name:
            seen.own[pid] = max(seen.own.get(pid, 0), actual["Pss_Anon"])
    seen.store = max(seen.store, store)


def main() -> None:
    """Print the table and the share of the cache that one more slot takes."""
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 1) * 2**30)
    shares = []
    with tempfile.TemporaryDirectory() as name, connected(None):
        folder = Path(name)
        prepared = prepared_in(folder / "cache", size)
        assert prepared.cached_outputs is not None
        cache = sum(a.nbytes for a in prepared.cached_outputs.arrays()) + 4 * prepared.parameters
        logits_only = dataclasses.replace(
            prepared.cached_outputs,
            output_spec=(Logits(),),
            parts={"logits": prepared.cached_outputs.parts["logits"]},
        )
        bare = dataclasses.replace(prepared, cached_outputs=logits_only)
        count = len(prepared.cached_outputs.parts["logits"].offsets) - 1
        print(f"teacher and cache: {cache / 1e6:,.0f} MB, {count:,} rows")
        print("slots   bare worker   with the cache   one slot adds   share   store, all processes")
        for slots in SLOTS:
            without = statistics.mean(trained(bare, slots, folder, method="none").own.values())
            seen = trained(prepared, slots, folder, method="pkd")
            own = statistics.mean(seen.own.values())
            shares.append((own - without) / cache)
            print(
                f"{slots:5} {without / 1e6:10,.1f} MB {own / 1e6:13,.1f} MB "
                f"{(own - without) / 1e6:12,.1f} MB {shares[-1]:7.2%} {seen.store / 1e6:14,.0f} MB",
                flush=True,
            )
    print(f"one more slot adds {max(shares):.2%} of teacher and cache (goal <= {GOAL:.0%})")
    print(f"ratio to goal: {max(shares) / GOAL:.2f}")


if __name__ == "__main__":
    main()
