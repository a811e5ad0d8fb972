"""The teacher of a trial: online (it runs) or offline (its outputs are cached); one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import nn

from raykd.data.base import Array, Batch, TokenizedDataset
from raykd.data.collate import Collator
from raykd.methods.base import OnlineTeacherFn, OutputSpec, TeacherOutputsFn
from raykd.models.base import FeatureTransform, Outputs
from raykd.models.forward import forward
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.vocab_cache.base import OutputLayer
from raykd.teachers.vocab_cache.choose import vocab_cache_of
from raykd.training.batches import on_device
from raykd.training.device import moved


class Teacher(ABC):
    """Serves the outputs that a method declared, and no others."""

    def outputs_fn(
        self, output_spec: OutputSpec, feature_transforms: tuple[FeatureTransform, ...] = ()
    ) -> TeacherOutputsFn:
        """The function that the training loop calls for each batch.

        Args:
            output_spec: What is read.
            feature_transforms: Transforms that would do in place of the hidden states.
        """
        if not output_spec.any:
            return lambda batch: Outputs()
        if feature_transforms and self._has(feature_transforms):
            output_spec = replace(
                output_spec, hidden_states=(), feature_transforms=feature_transforms
            )
        return self._outputs_fn(output_spec)

    def _outputs_fn(self, output_spec: OutputSpec) -> TeacherOutputsFn:
        return lambda batch: self._outputs(batch, output_spec)

    def _has(self, feature_transforms: tuple[FeatureTransform, ...]) -> bool:
        """Whether all of them can be read in place of the hidden states."""
        return False

    @abstractmethod
    def _outputs(self, batch: Batch, output_spec: OutputSpec) -> Outputs: ...


class OfflineTeacher(Teacher):
    """A teacher whose outputs were cached: looks them up by row number.

    Args:
        cached_outputs: The outputs.
        device: Where batches are.
        matrix: The teacher's output matrix ``[V, D]``, where scores are formed from what was
            recorded.
        bias: What is added to them, ``[V]``, or None.
        vocabulary: Token ids whose scores students compare, where scores are those of tokens.
    """

    def __init__(
        self,
        cached_outputs: CachedOutputs,
        device: torch.device,
        matrix: Array | None = None,
        bias: Array | None = None,
        vocabulary: int | None = None,
    ) -> None:
        self._cached = cached_outputs.with_one_chunk_of_logits()
        self._device = device
        self._vocab_cache = (
            vocab_cache_of(cached_outputs.vocab_cache) if cached_outputs.vocab_cache else None
        )
        weight, added = (
            None if array is None else torch.from_numpy(array).to(device)
            for array in (matrix, bias)
        )  # fmt: skip
        self._layer = OutputLayer(vocabulary=vocabulary, weight=weight, bias=added)

    def _has(self, feature_transforms: tuple[FeatureTransform, ...]) -> bool:
        return all(transform.name in self._cached.transformed for transform in feature_transforms)

    def _outputs_fn(self, output_spec: OutputSpec) -> TeacherOutputsFn:
        if output_spec.needs_online:
            raise LookupError("what the teacher says of text that is not recorded was asked for")
        return super()._outputs_fn(output_spec)

    def _outputs(self, batch: Batch, output_spec: OutputSpec) -> Outputs:
        layers = output_spec.hidden_states
        blocks = output_spec.attentions
        assert layers != "all"
        assert blocks != "all"
        rows, length = batch.index.numpy(), batch.input_ids.shape[1]
        cached_outputs, device = self._cached, self._device
        of_scores = self._of_scores(rows, length) if output_spec.logits else Outputs()
        return of_scores.with_layers(
            cached_outputs.gather_hidden(rows, length, layers, device) if layers else {},
            cached_outputs.gather_attentions(rows, length, blocks, device) if blocks else {},
            {
                transform: cached_outputs.gather_transformed(transform, rows, batch.attention_mask)
                for transform in output_spec.feature_transforms
            },
        )

    def _of_scores(self, rows: Array, length: int) -> Outputs:
        """Logits, or what was recorded in place of those of a vocabulary."""
        if self._vocab_cache is not None:
            kept = self._cached.gather_tokens(rows, self._device)
            return self._vocab_cache.outputs(kept, self._layer)
        logits = moved(self._cached.gather_logits(rows, length), self._device)
        if self._layer.vocabulary is not None:
            logits = logits[..., : self._layer.vocabulary]
        return Outputs(logits=logits)


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
        return on_device(self.collate(self.encoded, batch.index.numpy()), self.device)


class OnlineTeacher(Teacher):
    """A teacher that runs on every batch, without gradient and dropout.

    Args:
        model: The teacher.
        own: The rows as it reads them, where students read them in another way. Text that is no
            row of the task (`OutputSpec.needs_online`) is read as it is.
        vocabulary: Token ids whose scores students compare, where scores are those of tokens.
    """

    def __init__(
        self, model: nn.Module, own: TeacherRows | None = None, vocabulary: int | None = None
    ) -> None:
        self._model = model.eval().requires_grad_(False)
        self._own = own
        self._vocabulary = vocabulary

    def _outputs_fn(self, output_spec: OutputSpec) -> TeacherOutputsFn:
        own = self._own
        if own is None or output_spec.needs_online:
            return OnlineTeacherFn(self._model, lambda batch: self._outputs(batch, output_spec))
        return OnlineTeacherFn(self._model, lambda batch: self._outputs(own.of(batch), output_spec))

    def _outputs(self, batch: Batch, output_spec: OutputSpec) -> Outputs:
        assert output_spec.hidden_states != "all"
        assert output_spec.attentions != "all"
        with torch.no_grad():
            found = forward(
                self._model,
                batch,
                hidden_states=output_spec.hidden_states,
                attentions=output_spec.attentions,
            )
        return found if self._vocabulary is None else found.within(self._vocabulary)
