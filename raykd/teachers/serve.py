"""A teacher as a trial sees it: the same call whether its outputs were recorded or it runs live."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import nn

from raykd.data.base import Array, Batch
from raykd.methods.base import LiveReader, Reader, Signals
from raykd.models.base import Outputs, Reduction
from raykd.models.forward import forward
from raykd.teachers.recorded import RecordedOutputs
from raykd.teachers.tokens.choose import cache_of
from raykd.training.device import moved


class Teacher(ABC):
    """Gives a method what it declared, and nothing else."""

    def reader(self, signals: Signals, reductions: tuple[Reduction, ...] = ()) -> Reader:
        """The function a training loop calls for each batch.

        Args:
            signals: What is read.
            reductions: Functions of the hidden states that would do in place of them.
        """
        if not signals.any:
            return lambda batch: Outputs()
        if reductions and self._has(reductions):
            signals = replace(signals, hidden_states=(), reductions=reductions)
        return self._reader(signals)

    def _reader(self, signals: Signals) -> Reader:
        return lambda batch: self._outputs(batch, signals)

    def _has(self, reductions: tuple[Reduction, ...]) -> bool:
        """Whether all of them can be read in place of the hidden states."""
        return False

    @abstractmethod
    def _outputs(self, batch: Batch, signals: Signals) -> Outputs: ...


class RecordedTeacher(Teacher):
    """Looks outputs up by row number.

    Args:
        recorded: The outputs.
        device: Where batches are.
        matrix: The teacher's output matrix, where scores are formed from what was recorded.
    """

    def __init__(
        self, recorded: RecordedOutputs, device: torch.device, matrix: Array | None = None
    ) -> None:
        self._recorded = recorded.with_one_chunk_of_logits()
        self._device = device
        self._tokens = cache_of(recorded.tokens) if recorded.tokens else None
        self._matrix = None if matrix is None else torch.from_numpy(matrix).to(device)

    def _has(self, reductions: tuple[Reduction, ...]) -> bool:
        return all(reduction.name in self._recorded.reduced for reduction in reductions)

    def _outputs(self, batch: Batch, signals: Signals) -> Outputs:
        layers = signals.hidden_states
        blocks = signals.attentions
        assert layers != "all"
        assert blocks != "all"
        rows, length = batch.index.numpy(), batch.input_ids.shape[1]
        recorded, device = self._recorded, self._device
        if self._tokens is not None:
            return self._tokens.outputs(recorded.gather_tokens(rows, device), self._matrix)
        return Outputs(
            logits=moved(recorded.gather_logits(rows, length), device) if signals.logits else None,
            hidden_states=recorded.gather_hidden(rows, length, layers, device) if layers else None,
            attentions=(
                recorded.gather_attentions(rows, length, blocks, device) if blocks else None
            ),
            reduced={
                reduction: recorded.gather_reduced(reduction, rows, batch.attention_mask)
                for reduction in signals.reductions
            },
        )


class LiveTeacher(Teacher):
    """Runs the teacher's weights on every batch, without gradient and dropout.

    Args:
        model: The teacher.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model.eval().requires_grad_(False)

    def _reader(self, signals: Signals) -> Reader:
        return LiveReader(self._model, lambda batch: self._outputs(batch, signals))

    def _outputs(self, batch: Batch, signals: Signals) -> Outputs:
        assert signals.hidden_states != "all"
        assert signals.attentions != "all"
        with torch.no_grad():
            return forward(
                self._model,
                batch,
                hidden_states=signals.hidden_states,
                attentions=signals.attentions,
            )
