"""The contract of a signal: something that a method reads of a model, with a name of its own.

A signal knows how a forward pass gives it, how many bytes a recording of it takes, what is kept of
a row, and how a batch is put together again. Everything that runs, records, caches, serves or
estimates works on this contract; a further signal is one more file that nothing else names.

Axes: N row, B batch, L position, H attention head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import Array
from raykd.models.signals.ragged import Ragged

if TYPE_CHECKING:
    from raykd.models.base import ModelDims, Outputs

CPU = torch.device("cpu")

CONTEXT = "context_padding"
"""What a model lacks whose hidden states of padding say nothing, besides kinds of signal."""

STORED = {"fp16": np.float16, "fp32": np.float32, "bf16": np.int16}
"""How a precision is kept: NumPy has no bf16."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSizes:
    """How large rows are.

    Attributes:
        lengths: Tokens of each row, int64 ``[N]``.
        positions: Positions that are kept of each row, int64 ``[N]``: its tokens and the context
            padding.
        labelled: Tokens with a label of each row, int64 ``[N]``; None for labels of whole rows.
        logits: Width of the logits of a row, or of each of its tokens where `labelled` is given.
        per_position: Whether a whole row has logits for each of its tokens, as for spans.
    """

    lengths: Array
    positions: Array
    labelled: Array | None = None
    logits: int = 1
    per_position: bool = False

    def of(self, places: Array) -> RowSizes:
        """Those of some rows, by their places."""
        labelled = None if self.labelled is None else self.labelled[places]
        return replace(
            self,
            lengths=self.lengths[places],
            positions=self.positions[places],
            labelled=labelled,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Padded:
    """The batch that recorded rows are put together for.

    Attributes:
        length: Positions L of the batch.
        mask: 1 = token, ``[B, L]``, on `device`; ones come first. None where nothing reads it.
        dtype: How rounded signals are kept: ``fp16``, ``fp32`` or ``bf16``.
        labels_of: What logits are of: ``row``, ``span`` or ``token``.
        device: Where the result goes.
        move: Copies a tensor there.
    """

    length: int
    mask: Tensor | None = None
    dtype: str = "fp32"
    labels_of: str = "row"
    device: torch.device = CPU
    move: Callable[[Tensor], Tensor] = lambda values: values

    def empty(self, *shape: int) -> Array:
        """Zeros to fill with what is kept, as it is kept: torch widens it faster than NumPy."""
        return np.zeros(shape, STORED[self.dtype])

    def floats(self, values: Array) -> Tensor:
        """What was filled in, in float32 on the device; it travels as it is kept."""
        kept = torch.from_numpy(values)
        if self.dtype == "bf16":
            kept = kept.view(torch.bfloat16)
        return self.move(kept).float()


class Signal(ABC):
    """Something that is read of a model; subclasses are frozen dataclasses of plain values.

    Equal signals are computed, recorded and cached once.

    Attributes:
        title: What it is, in a few words.
        by_position: Whether it belongs to positions, so that both models must split text alike.
        of_teacher: Whether a teacher gives it; other signals come with the rows.
        is_recorded: Whether a recording keeps it. Signals that are text, or a request such as
            the running model, are not.
        is_rounded: Whether a recording keeps it in ``teacher.dtype``; otherwise it is exact.
        uses_context_padding: Whether padding positions after the last token are kept, too.
        model_inputs: Arguments that make the model's forward pass give it.
        attention: Implementation of attention that it needs, empty for any.
        in_place_of_labels: Whether rows need no labels of their own to be learnt by it.
        inside_blocks: Whether it is something that a block computes and does not give.
    """

    title: ClassVar[str]
    by_position: ClassVar[bool] = False
    of_teacher: ClassVar[bool] = True
    is_recorded: ClassVar[bool] = True
    is_rounded: ClassVar[bool] = False
    uses_context_padding: ClassVar[bool] = False
    model_inputs: ClassVar[Mapping[str, bool]] = {}
    attention: ClassVar[str] = ""
    in_place_of_labels: ClassVar[bool] = False
    inside_blocks: ClassVar[bool] = False

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in caches and reports, ``kind`` or ``kind/which``."""

    @property
    def kind(self) -> str:
        """What it is, without which one of several."""
        return self.name.partition("/")[0]

    @property
    def defined_in(self) -> str:
        """The module that says what its numbers are; a recording of other code is another one."""
        return type(self).__module__

    @property
    def rounds(self) -> bool:
        """Whether anything of it is kept in ``teacher.dtype``."""
        return self.is_rounded

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays that a recording keeps of it."""
        return (self.name,)

    def resolved(self, sizes: ModelDims) -> tuple[Signal, ...]:
        """The signals it stands for in a model of these sizes: itself, unless it means several."""
        return (self,)

    def covers(self, other: Signal) -> bool:
        """Whether whoever may read this may read `other`."""
        return self == other

    def refusal(self, sizes: ModelDims) -> str:
        """Why a model of these sizes cannot give it, in the user's words, or empty.

        It continues a sentence that begins with the method and names the model as ``{side}``; a
        second line says what to do.
        """
        lacking = (sizes.lack(signal.kind) for signal in (self, *self.made_from()))
        reason = next((why for why in lacking if why), "")
        if not reason:
            return ""
        return (
            f"reads {self.title}, which a {{side}} of the family '{sizes.family}' cannot give: "
            f"{reason}\nchoose another model, or a method on logits (kd)"
        )

    # ---- a forward pass

    def made_from(self) -> tuple[Signal, ...]:
        """What a forward pass must give for it to be recorded; itself, for most."""
        return (self,) if self.is_recorded else ()

    def shape(self, rows: int, length: int, sizes: ModelDims) -> tuple[int, ...]:
        """The shape of it for a batch, where it is one tensor."""
        raise NotImplementedError(f"{self.name} is not a tensor")

    def watching(self, model: Any) -> AbstractContextManager[Any]:
        """A context of the forward pass; what it yields is handed to `read`."""
        return nullcontext()

    def exists(self, model_output: Any) -> bool:
        """Whether the output of a part of a model has it: a part has fewer blocks."""
        return True

    def read(self, model_output: Any, watched: Any) -> Any:
        """It, from the output of a model's forward pass.

        Args:
            model_output: A ``ModelOutput`` of Transformers.
            watched: What `watching` gave.
        """
        raise NotImplementedError(f"{self.name} is not read from a forward pass")

    # ---- a recording

    def numbers(self, rows: RowSizes, sizes: ModelDims) -> Array:
        """How many numbers are kept of each row, int64 ``[N]``."""
        return rows.lengths * 0

    def bytes(self, rows: RowSizes, sizes: ModelDims, *, wide: bool) -> Array:
        """How many bytes are kept of each row, int64 ``[N]``.

        Args:
            rows: The rows.
            sizes: Of the teacher.
            wide: Whether rounded signals take four bytes a number instead of two.
        """
        each = 2 if self.is_rounded and not wide else 4
        size: Array = self.numbers(rows, sizes) * each
        return size

    def rows(self, out: Outputs, mask: Tensor, sizes: RowSizes) -> Sequence[Tensor]:
        """What is kept of each row of a batch, before it is rounded.

        Args:
            out: What the forward pass gave: `made_from`.
            mask: 1 = token, ``[B, L]``; ones come first.
            sizes: Of the rows of the batch.

        Returns:
            One tensor per row; they differ in their first axis only.
        """
        raise NotImplementedError(f"{self.name} is not recorded")

    def gather(self, parts: Mapping[str, Ragged], rows: Array, of: Padded) -> Any:
        """It for a batch, from a recording.

        Args:
            parts: The recorded arrays, by name; `arrays` among them.
            rows: Row numbers, int64 ``[B]``.
            of: The batch.
        """
        return self.batch(parts[self.name].rows(rows), of)

    def batch(self, kept: Sequence[Array], of: Padded) -> Any:
        """It for a batch, from what was kept of its rows.

        Args:
            kept: One array per row, as it is kept.
            of: The batch.
        """
        raise NotImplementedError(f"{self.name} is not recorded")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class OutputSpec:
    """The signals that are read from a model in one step; the runner serves exactly these.

    Attributes:
        items: The signals, each once, in the order of their names.
        context_padding: Padding positions after the last token at which they are read, too.

    Args:
        signals: The signals, in any order; None is left out.
        context_padding: See above.
    """

    items: tuple[Signal, ...]
    context_padding: int

    def __init__(self, *signals: Signal | None, context_padding: int = 0) -> None:
        once = {signal.name: signal for signal in signals if signal is not None}
        object.__setattr__(self, "items", tuple(once[name] for name in sorted(once)))
        object.__setattr__(self, "context_padding", context_padding)

    def __iter__(self) -> Iterator[Signal]:
        return iter(self.items)

    def __contains__(self, signal: object) -> bool:
        return signal in self.items

    def __bool__(self) -> bool:
        """Whether anything is read at all."""
        return bool(self.items)

    def __repr__(self) -> str:
        context_padding = (
            [f"context_padding={self.context_padding}"] if self.context_padding else []
        )
        return f"OutputSpec({', '.join([*(s.name for s in self.items), *context_padding])})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the signals."""
        return tuple(signal.name for signal in self.items)

    @property
    def cacheable(self) -> tuple[Signal, ...]:
        """Those that a recording can hold: outputs of the model on the rows of the task."""
        return tuple(signal for signal in self.items if signal.is_recorded)

    @property
    def by_position(self) -> tuple[Signal, ...]:
        """Those that belong to positions of the text."""
        return tuple(signal for signal in self.items if signal.by_position)

    def within(self, other: OutputSpec) -> bool:
        """Whether everything read here is contained in `other`."""
        reach = self.context_padding <= other.context_padding
        return reach and all(any(o.covers(s) for o in other.items) for s in self.items)

    def union(self, other: OutputSpec) -> OutputSpec:
        """What serves both."""
        return OutputSpec(
            *self.items,
            *other.items,
            context_padding=max(self.context_padding, other.context_padding),
        )

    def resolved(self, sizes: ModelDims) -> OutputSpec:
        """The same for a model of these sizes: what stands for several is each of them."""
        every = (one for signal in self.items for one in signal.resolved(sizes))
        return OutputSpec(*every, context_padding=self.context_padding)

    def only(self, names: Collection[str]) -> OutputSpec:
        """Those that have the given names."""
        return OutputSpec(
            *(s for s in self.items if s.name in names), context_padding=self.context_padding
        )

    def without(self, *kinds: type[Signal]) -> OutputSpec:
        """The same without signals of some kinds."""
        return OutputSpec(
            *(s for s in self.items if not isinstance(s, kinds)),
            context_padding=self.context_padding,
        )
