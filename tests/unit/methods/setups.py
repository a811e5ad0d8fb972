"""Small batches and outputs for tests of methods, every signal present unless asked otherwise."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from raykd.data.base import Batch
from raykd.data.task_kinds import task_kind
from raykd.methods.base import DistillationContext, OutputSpec
from raykd.models.base import ModelDims, Outputs
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.base import Signal
from raykd.models.signals.hidden_states import HiddenState, hidden_states
from raykd.models.signals.logits import Logits

ROWS, LENGTH, CLASSES = 3, 14, 3
TEACHER = ModelDims(layers=4, hidden=12, heads=2, vocabulary=50)
STUDENT = ModelDims(layers=2, hidden=8, heads=2, vocabulary=50)


def context(kind: str = "classification", **changes: Any) -> DistillationContext:
    values: dict[str, Any] = {
        "teacher": TEACHER,
        "student": STUDENT,
        "kind": kind,
        "num_labels": CLASSES if task_kind(kind).has_class_names else 1,
    }
    return DistillationContext(**(values | changes))


def batch(lengths: tuple[int, ...] = (9, 5, 2), kind: str = "classification") -> Batch:
    rng = torch.Generator().manual_seed(3)
    rows = len(lengths)
    ids = torch.randint(5, 50, (rows, LENGTH), generator=rng)
    mask = (torch.arange(LENGTH) < torch.tensor(lengths)[:, None]).long()
    labels = torch.arange(rows) % CLASSES
    if kind in ("regression", "embedding"):
        labels = labels.float()
    elif kind == "span":
        labels = torch.stack([torch.zeros_like(labels), torch.tensor(lengths) - 1], dim=1)
    elif kind == "multi_label":
        labels = torch.nn.functional.one_hot(labels, CLASSES).float()
    elif kind == "token_classification":
        classes = labels
        labels = torch.full_like(ids, -100)
        labels[:, 0] = classes  # one word of each row has a label
    elif kind == "masked_lm":
        labels = torch.full_like(ids, -100)
        labels[:, 0] = ids[:, 0]  # one token of each row has a label
    return Batch(
        input_ids=ids,
        attention_mask=mask,
        token_type_ids=torch.zeros_like(ids),
        labels=labels,
        index=torch.arange(rows),
    )


def cut(whole: Batch, length: int) -> Batch:
    """The first positions of a batch of a task on whole rows."""
    return Batch(
        input_ids=whole.input_ids[:, :length],
        attention_mask=whole.attention_mask[:, :length],
        token_type_ids=whole.token_type_ids[:, :length],
        labels=whole.labels,
        index=whole.index,
    )


class Side:
    """Random outputs of one model: leaves that collect gradients, given out as declared.

    Hidden states and attention maps are always there, other signals where `also` names them.
    """

    def __init__(
        self,
        of: DistillationContext,
        dims: ModelDims,
        rows: int = ROWS,
        *,
        seed: int,
        dtype: torch.dtype = torch.float32,
        also: Iterable[Signal] = (),
    ) -> None:
        rng = torch.Generator().manual_seed(seed)
        self._sizes = dims

        def leaf(*shape: int) -> Tensor:
            return torch.randn(shape, generator=rng).to(dtype).requires_grad_()

        shapes = {"span": (rows, 2, LENGTH), "masked_lm": (rows, dims.vocabulary)}
        self.logits = leaf(*shapes.get(of.kind, (rows, of.num_labels)))
        layers = (*hidden_states("all"), *attention_maps("all"))
        every = OutputSpec(*layers).resolved(dims)
        self.values = {s: leaf(*s.shape(rows, LENGTH, dims)) for s in sorted(every, key=_place)}
        self.hidden = {s.layer: v for s, v in self.values.items() if isinstance(s, HiddenState)}
        for signal in OutputSpec(*also).resolved(dims).cacheable:
            if signal.made_from() and signal not in self.values:
                more = drawn(signal, rows, dims, seed)
                self.values[signal] = more.to(dtype).requires_grad_()

    @property
    def leaves(self) -> list[Tensor]:
        return [self.logits, *self.values.values()]

    def outputs(self, output_spec: OutputSpec, *, task_loss: bool) -> Outputs:
        """Only what is declared; the task loss is the mean of the squared logits."""
        return Outputs(
            logits=self.logits if Logits() in output_spec else None,
            task_loss=self.logits.float().square().mean() if task_loss else None,
            values={
                s: self.values[s]
                for s in output_spec.resolved(self._sizes).cacheable
                if s.made_from()
            },
        )

    def gradient(self) -> Tensor:
        """All gradients in one vector, zeros where none arrived."""
        parts = [torch.zeros_like(t) if t.grad is None else t.grad for t in self.leaves]
        return torch.cat([p.flatten().float() for p in parts])


def _place(signal: Signal) -> tuple[str, int]:
    """Hidden states by layer, then attention maps by block."""
    kind, _, number = signal.name.partition("/")
    return ("" if kind == "hidden_states" else kind), int(number)


def drawn(signal: Signal, rows: int, sizes: ModelDims, seed: int) -> Tensor:
    """Random values of a signal, the same whatever else is drawn."""
    rng = torch.Generator().manual_seed(seed + zlib.crc32(signal.name.encode()))
    return torch.randn(signal.shape(rows, LENGTH, sizes), generator=rng)
