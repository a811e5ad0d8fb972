"""The teacher of a trial: online (it runs) or offline (its outputs are cached); one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from raykd.data.base import Batch, TokenizedDataset
from raykd.data.collate import Collator
from raykd.losses.vocabulary import UNCHANGED, LogitTransform
from raykd.methods.base import OnlineTeacherFn, TeacherOutputsFn
from raykd.models.base import Outputs
from raykd.models.forward import forward
from raykd.models.inference import frozen
from raykd.models.signals.base import OutputSpec, Signal
from raykd.models.signals.features import FeatureTransform, Transformed
from raykd.models.signals.hidden_states import HiddenState
from raykd.models.signals.logits import Logits
from raykd.models.signals.unrecorded import needs_running_model
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.vocab_cache.base import OutputLayer
from raykd.teachers.vocab_cache.signal import VocabularyScores


class Teacher(ABC):
    """Serves the outputs that a method declared, and no others."""

    def outputs_fn(
        self,
        output_spec: OutputSpec,
        feature_transforms: tuple[FeatureTransform, ...] = (),
        *,
        packing: bool = False,
    ) -> TeacherOutputsFn:
        """The function that the training loop calls for each batch.

        Args:
            output_spec: What is read.
            feature_transforms: Transforms that would do in place of the hidden states.
            packing: Whether short texts share a row where a running teacher reads them.
        """
        if not output_spec:
            return lambda batch: Outputs()
        transformed = tuple(Transformed(of) for of in feature_transforms)
        if transformed and self._has(transformed):
            output_spec = output_spec.without(HiddenState).union(OutputSpec(*transformed))
        return self._outputs_fn(output_spec, packing)

    @abstractmethod
    def _outputs_fn(self, output_spec: OutputSpec, packing: bool) -> TeacherOutputsFn: ...

    def _has(self, signals: tuple[Signal, ...]) -> bool:
        """Whether all of them are there without being computed."""
        return False


class OfflineTeacher(Teacher):
    """A teacher whose outputs were cached: looks them up by row number.

    Args:
        cached_outputs: The outputs.
        device: Where batches are.
        matrix: The teacher's output matrix ``[V, D]``, where scores are formed from what was
            recorded.
        bias: What is added to them, ``[V]``, or None.
        vocabulary: Token ids whose scores students compare, where scores are those of tokens.
        transform: What the teacher does to the outputs of its output layer.
    """

    def __init__(
        self,
        cached_outputs: CachedOutputs,
        device: torch.device,
        matrix: Tensor | None = None,
        bias: Tensor | None = None,
        vocabulary: int | None = None,
        transform: LogitTransform = UNCHANGED,
    ) -> None:
        self._cached = cached_outputs.with_one_chunk_of_logits()
        self._device = device
        scores = (s for s in cached_outputs.signals if isinstance(s, VocabularyScores))
        self._scores = next(scores, None)
        weight, added = (
            None if given is None else given.to(device) for given in (matrix, bias)
        )  # fmt: skip
        self._layer = OutputLayer(
            vocabulary=vocabulary, weight=weight, bias=added, transform=transform
        )

    def _has(self, signals: tuple[Signal, ...]) -> bool:
        return all(signal in self._cached.signals for signal in signals)

    def _outputs_fn(self, output_spec: OutputSpec, packing: bool) -> TeacherOutputsFn:
        if needs_running_model(output_spec):
            raise LookupError("what the teacher says of text that is not recorded was requested")
        return lambda batch: self._outputs(batch, output_spec)

    def _outputs(self, batch: Batch, output_spec: OutputSpec) -> Outputs:
        rows, length = batch.index.numpy(), batch.input_ids.shape[1]

        def gathered(signal: Signal) -> Any:
            return self._cached.gather(
                signal, rows, length=length, mask=batch.attention_mask, device=self._device
            )

        others = {s: gathered(s) for s in output_spec.cacheable if s != Logits()}
        if Logits() not in output_spec:
            return Outputs(values=others)
        if self._scores is not None:
            return self._scores.cache.outputs(gathered(self._scores), self._layer).with_values(
                others
            )
        logits: Tensor = gathered(Logits())
        if self._layer.vocabulary is not None:
            logits = logits[..., : self._layer.vocabulary]
        return Outputs(logits=logits, values=others)


@dataclass(frozen=True, slots=True)
class TeacherRows:
    """The train rows as the teacher tokenizes them, where its tokenizer is another one.

    Attributes:
        encoded: The rows, in the same order.
        collate: Pads them with the teacher's token.
        device: Where the teacher is.
    """

    encoded: TokenizedDataset
    collate: Collator
    device: torch.device

    def of(self, batch: Batch) -> Batch:
        """The rows of a student's batch, by their numbers."""
        return self.collate(self.encoded, batch.index.numpy()).to(self.device)


class OnlineTeacher(Teacher):
    """A teacher that runs on every batch, without gradient and dropout.

    Args:
        model: The teacher.
        own: The rows as it reads them, where students read them in another way. Text that is no
            row of the task (`needs_running_model`) is read as it is.
        vocabulary: Token ids whose scores students compare, where scores are those of tokens.
        can_pack: Whether texts that it reads can share a row.
    """

    def __init__(
        self,
        model: nn.Module,
        own: TeacherRows | None = None,
        vocabulary: int | None = None,
        *,
        can_pack: bool = False,
    ) -> None:
        self._model = frozen(model)
        self._own = own
        self._vocabulary = vocabulary
        self._can_pack = can_pack

    def _outputs_fn(self, output_spec: OutputSpec, packing: bool) -> TeacherOutputsFn:
        own = None if needs_running_model(output_spec) else self._own

        def read(batch: Batch) -> Outputs:
            return self._outputs(batch if own is None else own.of(batch), output_spec, packing)

        return OnlineTeacherFn(self._model, read)

    def _outputs(self, batch: Batch, output_spec: OutputSpec, packing: bool) -> Outputs:
        packing = packing and self._can_pack
        # Its mode is set once: to look at every module again costs a small model a tenth of a pass.
        with torch.no_grad():
            outputs = forward(
                self._model, batch, output_spec=output_spec.cacheable, packing=packing
            )
        return outputs if self._vocabulary is None else outputs.within(self._vocabulary)
