"""The pool of slots: each is a long-lived trainer, kept alive by a supervisor thread.

Trainers and their controllers are threads here, and need no PyTorch: only workers import what
trains. So a process that looks after the slots of a node takes 200 MB instead of 390, and starts
sooner.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import train

from raykd.own_folder import own_folder
from raykd.ray_private.setup_worker import FORKED
from raykd.ray_private.trainer import EndableTrainer
from raykd.training.settings import COLLECTIVE_TIMEOUT_S
from raykd.trial.coordinator import NODE_LABEL, RAY_THREAD, answer

GROUP_RESTARTS = 3
"""Times Ray Train restarts a worker group before the supervisor starts a new trainer."""

FRUITLESS_RESTARTS = 3
"""Trainers in a row that may end in an error before a slot is given up."""

CLOSE_S = 15.0
"""Slots have this long to end by themselves; then their controllers are killed."""

AGAIN_S = 5.0
"""After a question that failed, a slot is checked again so much later."""

KILL_S = 10.0
"""The threads of slots that were killed have this long to notice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotShape:
    """What one slot holds.

    Attributes:
        workers: Ranks.
        cpus: CPUs per rank.
        gpus: GPUs per rank, may be a fraction.
        labels: Labels of the nodes that may hold one.
        memory_gb: GiB that a rank may have for itself, None for whatever its node has.
    """

    workers: int
    cpus: float
    gpus: float
    labels: Mapping[str, str] = field(default_factory=dict)
    memory_gb: float | None = None

    @property
    def devices(self) -> float:
        """GPUs if there are any, else CPUs."""
        return self.workers * (self.gpus or self.cpus)


class SlotPool:
    """Starts slots, keeps them alive, and stops them.

    Args:
        coordinator: Handle of the coordinator actor.
        coordinator_name: Its name.
        namespace: Its namespace.
        shape: What each slot holds.
        recycle_after: Jobs after which a slot starts afresh; 1 isolates every trial in new
            processes, None never recycles.
        storage: Folder for what Ray Train writes about the slots; None for one that is temporary.
    """

    def __init__(
        self,
        coordinator: Any,
        coordinator_name: str,
        namespace: str,
        shape: SlotShape,
        recycle_after: int | None,
        storage: str | None = None,
    ) -> None:
        self._coordinator = coordinator
        self._settings = {
            "coordinator": coordinator_name,
            "namespace": namespace,
            "threads": max(1, int(shape.cpus)),
            "recycle_after": recycle_after,
            "memory": None if shape.memory_gb is None else int(shape.memory_gb * 2**30),
        }
        self._shape = shape
        self._storage = storage or str(own_folder("slots"))
        self._temporary = storage is None
        self._threads: list[threading.Thread] = []
        self._trainers: dict[int, EndableTrainer] = {}
        self._closing = threading.Event()

    def start(self, slots: Sequence[int], node: str = "") -> None:
        """Start slots; returns at once.

        Args:
            slots: Their numbers.
            node: Ray's name of the node that holds them; empty: wherever there is room.
        """
        for slot in slots:
            thread = threading.Thread(
                target=self._supervise, args=(slot, node), daemon=True, name=f"{RAY_THREAD} {slot}"
            )
            thread.start()
            self._threads.append(thread)

    def restart(self, slot: int) -> None:
        """End the processes of a slot that hang; its supervisor starts new ones."""
        if slot in self._trainers:
            self._trainers[slot].end()

    def close(self, timeout_s: float = CLOSE_S) -> bool:
        """Stop every slot and wait for them, at most `timeout_s` in all; then kill them.

        Returns:
            Whether no thread of this pool calls Ray any more.
        """
        self._closing.set()
        with contextlib.suppress(
            ray.exceptions.RayActorError
        ):  # the coordinator may be what is lost
            answer(self._coordinator.close.remote(), timeout_s)
        self._join(timeout_s)
        if any(thread.is_alive() for thread in self._threads):
            for trainer in list(self._trainers.values()):
                trainer.end()
            self._join(KILL_S)
        if self._temporary:
            shutil.rmtree(self._storage, ignore_errors=True)
        return not any(thread.is_alive() for thread in self._threads)

    def _join(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _supervise(self, slot: int, node: str) -> None:
        while not self._closing.is_set():
            try:
                self._keep_alive(slot, node)
            except ray.exceptions.RayActorError:
                return  # the coordinator is gone: so is the sweep
            except Exception as exc:  # one question that fails says nothing of the slot
                logging.getLogger(__name__).warning("slot %d is checked again: %s", slot, exc)
                self._closing.wait(AGAIN_S)
            else:
                return

    def _keep_alive(self, slot: int, node: str) -> None:
        fruitless = 0
        last_error = ""
        while not self._closing.is_set() and fruitless < FRUITLESS_RESTARTS:
            try:
                self._trainers[slot] = self._trainer(slot, node)
                self._trainers[slot].fit()
                if answer(self._coordinator.is_closed.remote()):
                    return  # its workers are to stop; others start new ones
                fruitless = 0
            except Exception as exc:
                # fit() raises whatever ended the controller; the slot starts again.
                if self._closing.is_set():
                    return
                # The first line says that it failed, the last one why.
                last_error = (str(exc).strip() or type(exc).__name__).splitlines()[-1]
                had_work = answer(self._coordinator.slot_failed.remote(slot, last_error))
                fruitless = 0 if had_work else fruitless + 1
        if not self._closing.is_set():
            reason = f"no slot could be kept alive; the last error was: {last_error}"
            answer(self._coordinator.slot_given_up.remote(slot, reason))

    def _trainer(self, slot: int, node: str) -> EndableTrainer:
        shape = self._shape
        return EndableTrainer.of(
            _serve,
            train_loop_config={**self._settings, "slot": slot},
            backend_config=_process_group(shape),
            scaling_config=train.ScalingConfig(
                num_workers=shape.workers,
                use_gpu=shape.gpus > 0,
                resources_per_worker=_resources(shape),
                label_selector=_where(shape, node),  # type: ignore[call-arg]
            ),
            run_config=train.RunConfig(  # type: ignore[call-arg]
                name=f"slot-{slot}",
                storage_path=self._storage,
                failure_config=train.FailureConfig(max_failures=GROUP_RESTARTS),
                worker_runtime_env={"env_vars": {FORKED: "1"}},
            ),
        )


def _serve(settings: dict[str, Any]) -> None:
    """What a trainer runs on every rank."""
    from raykd.trial.worker import slot_loop

    slot_loop(settings)


def _process_group(shape: SlotShape) -> train.BackendConfig:
    """The process group of the ranks of a slot; a single rank needs none."""
    if shape.workers == 1:
        return train.BackendConfig()
    from ray.train.torch import TorchConfig

    return TorchConfig(backend="nccl" if shape.gpus else "gloo", timeout_s=COLLECTIVE_TIMEOUT_S)


def _where(shape: SlotShape, node: str) -> dict[str, str] | None:
    """The label selector of the nodes of a slot; a single node is pinned by name."""
    wanted = dict(shape.labels) | ({NODE_LABEL: node} if node else {})
    return wanted or None


def _resources(shape: SlotShape) -> dict[str, float]:
    return {"CPU": shape.cpus} | ({"GPU": shape.gpus} if shape.gpus else {})
