"""The pool of slots: each is a long-lived `TorchTrainer`, kept alive by a supervisor thread."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray import train
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2.api.callback import RayTrainCallback

from raykd.trial.board import NODE_LABEL, answer
from raykd.trial.worker import slot_loop

GROUP_RESTARTS = 3
"""Times Ray Train restarts a worker group before the supervisor starts a new trainer."""

FRUITLESS_RESTARTS = 3
"""Trainers in a row that may end in an error before a slot is given up."""

COLLECTIVE_TIMEOUT_S = 4 * 3600
"""Ranks wait this long for rank 0, which prepares teachers alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotShape:
    """What one slot holds.

    Attributes:
        workers: Ranks.
        cpus: CPUs per rank.
        gpus: GPUs per rank, may be a fraction.
        labels: Labels of the nodes that may hold one.
    """

    workers: int
    cpus: float
    gpus: float
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def devices(self) -> float:
        """GPUs if there are any, else CPUs."""
        return self.workers * (self.gpus or self.cpus)


class _Trainer(TorchTrainer):
    """Without the process on the head that watches the controller, one for each trainer.

    It asks the dashboard every second whether the controller lives. Where its own cluster has no
    dashboard, it asks that of any other cluster on the machine, is told that nobody knows the
    controller, and takes the workers away in the middle of a trial. It is not needed: what the
    controller holds, Ray gives back when the controller dies.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        # What type checkers see is the trainer of Ray Train's first version.
        every = super()._create_default_callbacks()  # type: ignore[misc]
        return [c for c in every if not isinstance(c, PlacementGroupCleanerCallback)]


class SlotPool:
    """Starts slots, keeps them alive, ends them.

    Args:
        board: Handle of the board actor.
        board_name: Its name.
        namespace: Its namespace.
        shape: What each slot holds.
        recycle_after: Jobs after which a slot starts afresh; 1 isolates every trial in new
            processes, None never recycles.
        storage: Folder for what Ray Train writes about the slots; None for one that is temporary.
    """

    def __init__(
        self,
        board: Any,
        board_name: str,
        namespace: str,
        shape: SlotShape,
        recycle_after: int | None,
        storage: str | None = None,
    ) -> None:
        self._board = board
        self._settings = {
            "board": board_name,
            "namespace": namespace,
            "threads": max(1, int(shape.cpus)),
            "recycle_after": recycle_after,
        }
        self._shape = shape
        self._storage = storage or tempfile.mkdtemp(prefix="raykd-slots-")
        self._temporary = storage is None
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    def start(self, slots: Sequence[int], node: str = "") -> None:
        """Start slots; returns at once.

        Args:
            slots: Their numbers.
            node: Ray's name of the node that holds them; empty: wherever there is room.
        """
        for slot in slots:
            thread = threading.Thread(target=self._supervise, args=(slot, node), daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self, timeout_s: float = 30.0) -> None:
        """Send every slot home and wait for them, at most `timeout_s` in all."""
        self._closing.set()
        answer(self._board.close.remote())
        for thread in self._threads:
            thread.join(timeout_s / max(1, len(self._threads)))
        if self._temporary:
            shutil.rmtree(self._storage, ignore_errors=True)

    def _supervise(self, slot: int, node: str) -> None:
        fruitless = 0
        last_error = ""
        while not self._closing.is_set() and fruitless < FRUITLESS_RESTARTS:
            try:
                self._trainer(slot, node).fit()
                fruitless = 0
            except Exception as exc:
                # fit() raises whatever ended the controller; the slot starts anew.
                if self._closing.is_set():
                    return
                # The first line says that it failed, the last one why.
                last_error = (str(exc).strip() or type(exc).__name__).splitlines()[-1]
                had_work = answer(self._board.slot_failed.remote(slot, last_error))
                fruitless = 0 if had_work else fruitless + 1
        if not self._closing.is_set():
            reason = f"no slot could be kept alive; the last error was: {last_error}"
            answer(self._board.given_up.remote(slot, reason))

    def _trainer(self, slot: int, node: str) -> TorchTrainer:
        shape = self._shape
        return _Trainer(
            slot_loop,
            train_loop_config={**self._settings, "slot": slot},
            torch_config=TorchConfig(
                # One rank has nobody to talk to, and NCCL would take memory of its GPU.
                backend="nccl" if shape.gpus and shape.workers > 1 else "gloo",
                timeout_s=COLLECTIVE_TIMEOUT_S,
            ),
            scaling_config=train.ScalingConfig(
                num_workers=shape.workers,
                use_gpu=shape.gpus > 0,
                resources_per_worker=_resources(shape),
                label_selector=_where(shape, node),  # type: ignore[call-arg]
            ),
            run_config=train.RunConfig(
                name=f"slot-{slot}",
                storage_path=self._storage,
                failure_config=train.FailureConfig(max_failures=GROUP_RESTARTS),
            ),
        )


def _where(shape: SlotShape, node: str) -> dict[str, str] | None:
    """What nodes of a slot have: one is pinned by its name."""
    wanted = dict(shape.labels) | ({NODE_LABEL: node} if node else {})
    return wanted or None


def _resources(shape: SlotShape) -> dict[str, float]:
    return {"CPU": shape.cpus} | ({"GPU": shape.gpus} if shape.gpus else {})
