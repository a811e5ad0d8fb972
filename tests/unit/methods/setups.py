"""Small batches and outputs for tests of methods, every signal present unless asked otherwise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from raykd.data.base import Batch
from raykd.methods.base import DistillationContext, OutputSpec
from raykd.models.base import ModelDims, Outputs

ROWS, LENGTH, CLASSES = 3, 14, 3
TEACHER = ModelDims(layers=4, hidden=12, heads=2, vocabulary=50)
STUDENT = ModelDims(layers=2, hidden=8, heads=2, vocabulary=50)


def context(kind: str = "classification", **changes: Any) -> DistillationContext:
    values: dict[str, Any] = {
        "teacher": TEACHER,
        "student": STUDENT,
        "kind": kind,
        "num_labels": CLASSES if kind == "classification" else 1,
    }
    return DistillationContext(**(values | changes))


def batch(lengths: tuple[int, ...] = (9, 5, 2), kind: str = "classification") -> Batch:
    rng = torch.Generator().manual_seed(3)
    rows = len(lengths)
    ids = torch.randint(5, 50, (rows, LENGTH), generator=rng)
    mask = (torch.arange(LENGTH) < torch.tensor(lengths)[:, None]).long()
    labels = torch.arange(rows) % CLASSES
    if kind == "regression":
        labels = labels.float()
    elif kind == "span":
        labels = torch.stack([torch.zeros_like(labels), torch.tensor(lengths) - 1], dim=1)
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
    """Random outputs of one model: leaves that collect gradients, given out as declared."""

    def __init__(
        self,
        of: DistillationContext,
        dims: ModelDims,
        rows: int = ROWS,
        *,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        rng = torch.Generator().manual_seed(seed)

        def leaf(*shape: int) -> Tensor:
            return torch.randn(shape, generator=rng).to(dtype).requires_grad_()

        shapes = {"span": (rows, 2, LENGTH), "masked_lm": (rows, dims.vocabulary)}
        self.logits = leaf(*shapes.get(of.kind, (rows, of.num_labels)))
        self.hidden = {k: leaf(rows, LENGTH, dims.hidden) for k in range(dims.layers + 1)}
        self.maps = {k: leaf(rows, dims.heads, LENGTH, LENGTH) for k in range(dims.layers)}

    @property
    def leaves(self) -> list[Tensor]:
        return [self.logits, *self.hidden.values(), *self.maps.values()]

    def outputs(self, output_spec: OutputSpec, *, task_loss: bool) -> Outputs:
        """Only what is declared; the task loss is the mean of the squared logits."""
        return Outputs(
            logits=self.logits if output_spec.logits else None,
            hidden_states=_some(self.hidden, output_spec.hidden_states),
            attentions=_some(self.maps, output_spec.attentions),
            task_loss=self.logits.float().square().mean() if task_loss else None,
        )

    def gradient(self) -> Tensor:
        """All gradients in one vector, zeros where none arrived."""
        parts = [torch.zeros_like(t) if t.grad is None else t.grad for t in self.leaves]
        return torch.cat([p.flatten().float() for p in parts])


def _some(values: dict[int, Tensor], wanted: object) -> dict[int, Tensor]:
    return values if wanted == "all" else {k: values[k] for k in wanted}  # type: ignore[attr-defined]
