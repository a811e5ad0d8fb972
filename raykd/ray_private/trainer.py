"""The trainer of a slot: without processes of Ray Train that a slot does not need, and endable.

It relies on the order of things: a trainer asks itself for its callbacks, and to run its
controller, when `fit` is called; the controller starts what synchronises ranks when it starts the
workers, and hands it to them, who ask it only in collectives and in reports, which slots make none
of.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from raykd.ray_private import (
    CLEANER,
    CONTROLLER,
    CONTROLLER_ENVIRONMENT,
    DATASETS,
    END_SYNCHRONISER,
    ENDED_REQUESTS,
    NODE_REQUESTS,
    RAY,
    REPEATED_REQUESTS,
    SWEEP,
    SYNCHRONISER,
)

if TYPE_CHECKING:
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


class EndableTrainer:
    """A trainer whose `fit` another thread can end, without processes that Ray Train adds.

    One, on the head, asks the dashboard every second whether the controller of a trainer is alive.
    Where its own cluster has no dashboard, it asks that of any other cluster on the machine, is
    told that nobody knows the controller, and takes the workers away in the middle of a trial. It
    is not needed: what the controller holds, Ray gives back when the controller dies. Another one
    hands out shards of Ray Data's datasets, of which a slot has none. The third asks the autoscaler
    for nodes in the name of all trainers: raykd asks itself (`raykd.clusters.nodes`), Ray keeps the
    last of both requests only, and no worker would start before that process has. The fourth lets
    the ranks of a trainer wait for each other; where there is one rank, nobody waits.

    Args:
        trainer: Trains.
        here: Labels of the node that its controller runs on.

    Raises:
        SetupError: This version of Ray lacks a part of `SWEEP`.
    """

    def __init__(self, trainer: DataParallelTrainer, here: Mapping[str, str]) -> None:
        RAY.require(SWEEP)
        self._trainer = cast(Any, trainer)  # its methods are private
        self._here = dict(here)
        self._controller: Any = None
        self._ended = threading.Event()
        self._default_callbacks: Callable[[], list[Any]] = self._trainer._create_default_callbacks
        # The trainer asks itself for both.
        self._trainer._initialize_and_run_controller = self._run_controller
        self._trainer._create_default_callbacks = self._callbacks

    def fit(self) -> None:
        """Train to the end; raises what ended the training otherwise."""
        self._trainer.fit()

    def end(self) -> None:
        """Kill the controller, and its workers with it; `fit` then raises."""
        import ray

        self._ended.set()
        if self._controller is not None:
            ray.kill(self._controller)

    def _run_controller(self, **made_with: Any) -> Any:
        # What Ray Train does, but that keeps the handle to itself.
        import ray

        made = ray.remote(
            num_cpus=0,
            label_selector=self._here,
            runtime_env={"env_vars": CONTROLLER_ENVIRONMENT.find()()},
        )(_controller(self._trainer.scaling_config.num_workers))
        if self._ended.is_set():
            raise RuntimeError("ended before it began")
        _ask_for_no_nodes(made_with["scaling_policy"])
        self._controller = made.remote(**made_with)
        if self._ended.is_set():
            ray.kill(self._controller)
        try:
            ray.get(self._controller.run.remote())
            return ray.get(self._controller.get_result.remote())
        finally:
            ray.kill(self._controller)  # it would live as long as somebody holds its handle

    def _callbacks(self) -> list[Any]:
        unused = (CLEANER.find(), DATASETS.find())
        return [c for c in self._default_callbacks() if not isinstance(c, unused)]


def _controller(ranks: int) -> Any:  # a class of Ray's
    controller = CONTROLLER.find()
    if ranks > 1:
        return controller

    class Lone(controller):  # type: ignore[misc, valid-type]  # found by name
        """Runs in a process of its own, where nothing but this trainer is changed."""

        def __init__(self, *given: Any, **named: Any) -> None:
            leave_out_synchroniser()
            super().__init__(*given, **named)

    Lone.__name__ = Lone.__qualname__ = controller.__name__  # what the process is called
    return Lone


class NoSynchroniser:
    """In place of the process that synchronises ranks, for a rank that is alone."""

    @classmethod
    def options(cls, **_options: Any) -> type[NoSynchroniser]:
        """What makes one."""
        return cls

    @classmethod
    def remote(cls, **made_with: Any) -> NoSynchroniser:
        """One; starts no process."""
        return cls()


def leave_out_synchroniser() -> None:
    """Let the trainers of this process start nothing that synchronises ranks."""
    for part, stand_in in ((SYNCHRONISER, NoSynchroniser), (END_SYNCHRONISER, _nothing)):
        setattr(importlib.import_module(part.module), part.name, stand_in)


def _ask_for_no_nodes(policy: Any) -> None:
    """Let the scaling policy of a trainer send nothing to the process that asks for nodes."""
    for request in (NODE_REQUESTS, REPEATED_REQUESTS, ENDED_REQUESTS):
        setattr(policy, request.name.rpartition(".")[2], _nothing)


def _nothing(*given: Any) -> None:
    """Do nothing."""
