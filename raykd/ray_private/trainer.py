"""The trainer of a slot: without processes of Ray Train that a slot does not need, and endable.

It relies on the order of things: a trainer asks itself for its callbacks, and to run its
controller, when `fit` is called; the controller asks its class of worker groups for one; a group
makes its placement group, then what synchronises ranks, and hands it to the workers, who ask it
only in collectives and in reports, which slots make none of.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from raykd.ray_private import (
    CLEANER,
    CONTROLLER,
    DATASETS,
    END_SYNCHRONISER,
    ENDED_REQUESTS,
    NODE_REQUESTS,
    RAY,
    REPEATED_REQUESTS,
    STATES,
    SWEEP,
    SYNCHRONISER,
    TRAINER,
    WORKER_GROUP,
)

_ONE_RANK: ContextVar[bool] = ContextVar("one rank", default=False)
"""Whether the group that is being started has one rank."""


class EndableTrainer:
    """A trainer whose `fit` another thread can end, without processes that Ray Train adds.

    Its controller runs in the thread of `fit`. Ray Train would give it a process, which imports for
    seconds before it asks for a worker. Left out is also one that, on the head, asks the dashboard
    every second whether the controller of a trainer is alive: where its own cluster has no
    dashboard, it asks that of any other cluster on the machine, learns that nobody knows the
    controller, and takes the workers away in the middle of a trial. Another one hands out shards of
    Ray Data's datasets, of which a slot has none. The next asks the autoscaler for nodes in the
    name of all trainers: raykd asks itself (`raykd.clusters.nodes`), Ray keeps the last of both
    requests only, and no worker would start before that process has. The last lets the ranks of a
    trainer wait for each other; where there is one rank, nobody waits. What tells a dashboard about
    controllers, on request, is left out too: it would ask for the process that this one has not.

    Args:
        trainer: Trains.

    Raises:
        SetupError: This version of Ray lacks a part of `SWEEP`.
    """

    def __init__(self, trainer: Any) -> None:  # a class of Ray's
        RAY.require(SWEEP)
        self._trainer = trainer
        self._ended = threading.Event()
        self._groups = _Groups(self._ended)
        self._cancel: Callable[[], None] = _nothing
        self._default_callbacks: Callable[[], list[Any]] = self._trainer._create_default_callbacks
        # The trainer asks itself for both.
        self._trainer._initialize_and_run_controller = self._run_controller
        self._trainer._create_default_callbacks = self._callbacks

    @classmethod
    def of(cls, run: Callable[..., None], **settings: Any) -> EndableTrainer:
        """A trainer that runs a function on every rank.

        Args:
            run: Called with the ``train_loop_config``.
            settings: As Ray Train's trainers take them.

        Raises:
            SetupError: This version of Ray lacks a part of `SWEEP`.
        """
        RAY.require(SWEEP)
        return cls(TRAINER.find()(run, **settings))

    def fit(self) -> None:
        """Train to the end; raises what ended the training otherwise."""
        self._trainer.fit()

    def end(self) -> None:
        """End the controller and its workers; `fit` then raises."""
        self._ended.set()
        self._cancel()
        self._groups.kill()

    def _run_controller(self, **made_with: Any) -> Any:
        # What Ray Train does, but in this process.
        _give_lone_ranks_no_synchroniser()
        _ask_for_no_nodes(made_with["scaling_policy"])
        if self._ended.is_set():
            raise RuntimeError("ended before it began")
        controller = _controller()(self._ended, **made_with)
        controller.worker_group_cls = self._groups
        try:
            asyncio.run(self._run(controller))
        finally:
            self._groups.kill()  # nothing, where it has ended well
        return controller.get_result()

    async def _run(self, controller: Any) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(controller.run())

        def cancel() -> None:
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(task.cancel)

        self._cancel = cancel
        try:
            await task
        except asyncio.CancelledError:
            raise RuntimeError("ended") from None

    def _callbacks(self) -> list[Any]:
        unused = (CLEANER.find(), DATASETS.find(), STATES.find())
        return [c for c in self._default_callbacks() if not isinstance(c, unused)]


class _Groups:
    """Makes the worker groups of a trainer, one after the other, and can end what the last has.

    Args:
        ended: Set when there is to be no further one.
    """

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended
        self._last: Any = None

    def create(self, **made_with: Any) -> Any:
        """A group whose workers have started."""
        self._last = _group()(**made_with)
        try:
            self._last._start()
        except BaseException:
            self.kill()  # Ray leaves its place where workers fail late
            raise
        return self._last

    def kill(self) -> None:
        """Kill the workers of the last group, if there are any, and what was started for them."""
        import ray

        if self._last is None or self._last.placed is None:  # a group that has ended is no bool
            return
        state = self._last._worker_group_state
        with contextlib.suppress(ray.exceptions.RayError):  # they are gone, or the cluster is
            if state is not None:
                for worker in state.workers:
                    ray.kill(worker.actor)
                END_SYNCHRONISER.find()(state.sync_actor)
                for callback in self._last._callbacks:
                    callback.after_worker_group_abort(self._last.get_worker_group_context())
            self._last.placed.shutdown()


@functools.cache
def _controller() -> Any:  # a class of Ray's
    logging.getLogger(CONTROLLER.module).setLevel(
        logging.CRITICAL
    )  # `fit` raises what it would say

    class Controller(CONTROLLER.find()):  # type: ignore[misc]  # found by name
        """Ends between two steps."""

        def __init__(self, ended: threading.Event, **made_with: Any) -> None:
            self._raykd_ended = ended
            super().__init__(**made_with)

        async def _run_control_loop_iteration(self) -> None:
            if self._raykd_ended.is_set():
                raise asyncio.CancelledError
            await super()._run_control_loop_iteration()

    return Controller


@functools.cache
def _group() -> Any:  # a class of Ray's
    class Group(WORKER_GROUP.find()):  # type: ignore[misc]  # found by name
        """Knows its place from the start, and no controller that is an actor.

        Attributes:
            placed: Its placement group, None while it has none.
        """

        placed: Any = None

        def _start_impl(self, state: Any) -> None:
            token = _ONE_RANK.set(self._worker_group_context.num_workers == 1)
            try:
                super()._start_impl(state)
            finally:
                _ONE_RANK.reset(token)

        def _create_placement_group(self, *request: Any) -> Any:
            self.placed = super()._create_placement_group(*request)
            return self.placed

        def _init_train_context_on_workers(
            self, workers: Any, synchroniser: Any, arguments: dict[str, list[Any]]
        ) -> None:
            # As Ray Train does, which would ask which actor it is in.
            import ray

            begun = [
                worker.actor.init_train_context.remote(
                    train_run_context=self._train_run_context,
                    distributed_context=worker.distributed_context,
                    synchronization_actor=synchroniser,
                    storage_context=self._storage_context,
                    worker_callbacks=self._worker_callbacks_to_propagate,
                    controller_actor=None,
                    **{name: values[i] for name, values in arguments.items()},
                )
                for i, worker in enumerate(workers)
            ]
            ray.get(begun)
            self._decorate_worker_log_file_paths(workers)

    return Group


class NoSynchroniser:
    """In place of the process that synchronises ranks, for a rank that is alone."""

    @classmethod
    def remote(cls, **made_with: Any) -> NoSynchroniser:
        """One; starts no process."""
        return cls()


@functools.cache
def _give_lone_ranks_no_synchroniser() -> None:
    """Let groups of one rank, of this process, start nothing that synchronises ranks."""
    synchroniser, end = SYNCHRONISER.find(), END_SYNCHRONISER.find()

    class Synchroniser:
        @staticmethod
        def options(**settings: Any) -> Any:
            return NoSynchroniser if _ONE_RANK.get() else synchroniser.options(**settings)

    def end_it(made: Any) -> None:
        if not isinstance(made, NoSynchroniser):
            end(made)

    for part, stand_in in ((SYNCHRONISER, Synchroniser), (END_SYNCHRONISER, end_it)):
        setattr(importlib.import_module(part.module), part.name, stand_in)


def _ask_for_no_nodes(policy: Any) -> None:
    """Let the scaling policy of a trainer send nothing to the process that asks for nodes."""
    for request in (NODE_REQUESTS, REPEATED_REQUESTS, ENDED_REQUESTS):
        setattr(policy, request.name.rpartition(".")[2], _nothing)


def _nothing(*given: Any) -> None:
    """Do nothing."""
