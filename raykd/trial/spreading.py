"""Brings weights in files of the driver's machine to nodes that do not reach these files.

They go into the object store once. A process next to the driver reads them, so that the driver does
not hold them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import ray

from raykd.data.base import Array
from raykd.models.file_arrays import FileArrays, FilePart, digest_of
from raykd.models.model_factory import ModelFactory
from raykd.models.weights import ModelState
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.prepared_task import PreparedTask
from raykd.trial.coordinator import NODE_LABEL


class StoredArrays(Mapping[str, Array]):
    """Arrays in the object store, fetched when one of them is read, pickled as a reference.

    Args:
        ref: Reference to a mapping of them.
        names: Their names.
    """

    def __init__(self, ref: Any, names: tuple[str, ...]) -> None:
        self._ref = ref
        self._names = names
        self._arrays: Mapping[str, Array] | None = None

    def __getitem__(self, name: str) -> Array:
        if self._arrays is None:
            self._arrays = ray.get(self._ref)
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredArrays, (self._ref, self._names)


class Spreading:
    """Puts weights into the object store, each as often as there are different ones.

    Args:
        needed: Whether some node does not reach the files of this machine.
    """

    def __init__(self, *, needed: bool) -> None:
        self.needed = needed
        self._done: weakref.WeakValueDictionary[str, StoredArrays] = weakref.WeakValueDictionary()

    def inputs(self, inputs: TaskInputs) -> TaskInputs:
        """The inputs with weights that every node reads."""
        known = inputs.known
        student = inputs.student
        return replace(
            inputs,
            teacher=self._factory(inputs.teacher),
            student=self._factory(student) if isinstance(student, ModelFactory) else student,
            known=replace(
                known,
                state=None if known.state is None else self._state(known.state),
                student=None if known.student is None else self._factory(known.student),
            ),
        )

    def prepared(self, prepared: PreparedTask) -> PreparedTask:
        """The task with weights that every node reads."""
        teacher, layer = prepared.teacher, prepared.output_layer
        return replace(
            prepared,
            student=self._factory(prepared.student),
            teacher=None if teacher is None else self._factory(teacher),
            output_layer=None if layer is None else self._state(layer),
        )

    def _factory(self, factory: ModelFactory) -> ModelFactory:
        return replace(factory, state=None if factory.state is None else self._state(factory.state))

    def _state(self, state: ModelState) -> ModelState:
        tensors = state.tensors
        if not self.needed or not isinstance(tensors, FileArrays):
            return state
        if not any(isinstance(tensors.where(name), FilePart) for name in tensors):
            return state
        key = digest_of(tensors)
        stored = self._done.get(key)
        if stored is None:
            here = {NODE_LABEL: ray.get_runtime_context().get_node_id()}
            read = ray.remote(_read).options(num_cpus=0, label_selector=here)
            stored = StoredArrays(read.remote(tensors), tuple(tensors))
            self._done[key] = stored
        return replace(state, tensors=stored)


def _read(tensors: FileArrays) -> dict[str, Array]:
    """All arrays, in a process of Ray; its caller owns what comes back."""
    return dict(tensors)
