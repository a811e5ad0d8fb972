"""What the loss of every method costs, against one step of the student.

``python -m tests.benchmarks.method_losses``. Batch 32, length 128, width 768, 12 to 6 layers,
float32, default parameters (every term switched on). A student step is forward and backward of a
BERT with random weights, without the method; the loss is forward and backward from outputs that are
already there, the teacher's side included. Least CPU-seconds of one thread over several runs; on a
GPU, by the clock. Memory is what the loss allocates at its peak, forward and backward, beyond the
gradients of the student's outputs, against what the student's forward keeps for its backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification

from raykd import registry
from raykd.data.base import Batch
from raykd.methods.base import DistillationContext, Method, OutputSpec
from raykd.models.base import ModelDims, Outputs
from raykd.models.signals.attention_maps import AttentionMap
from raykd.models.signals.base import Signal
from raykd.params import build
from tests.benchmarks._allocated import allocated
from tests.benchmarks.ckd_terms import cpu_seconds

ROWS, LENGTH, WIDTH, HEADS = 32, 128, 768, 12
TEACHER = ModelDims(layers=12, hidden=WIDTH, heads=HEADS, vocabulary=30522, intermediate=4 * WIDTH)
STUDENT = ModelDims(layers=6, hidden=WIDTH, heads=HEADS, vocabulary=30522, intermediate=4 * WIDTH)
EVERY_TERM: dict[str, dict[str, Any]] = {
    "one_to_one": {"alpha_ce": 0.5, "alpha_mse": 0.5, "alpha_cos": 0.5},
}
GOALS = {"sinkd": 0.02, "one_to_one": 0.02, "ckd": 0.35}


def batch(device: str) -> Batch:
    """Rows of 12 to 128 tokens."""
    lengths = torch.linspace(12, LENGTH, ROWS).round()
    mask = (torch.arange(LENGTH) < lengths[:, None]).long().to(device)
    ids = torch.randint(TEACHER.vocabulary, (ROWS, LENGTH)).to(device)
    return Batch(
        input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids),
        labels=torch.randint(2, (ROWS,)).to(device), index=torch.arange(ROWS),
    )  # fmt: skip


def outputs(
    of: ModelDims, reads: OutputSpec, device: str, *, grad: bool
) -> tuple[Outputs, list[Tensor]]:
    """Random outputs of one model and the tensors among them."""
    made: list[Tensor] = []

    def some(*shape: int) -> Tensor:
        made.append(torch.randn(shape, device=device).requires_grad_(grad))
        return made[-1]

    logits = some(ROWS, 2)
    values: dict[Signal, Tensor] = {}
    for signal in reads.resolved(of):
        if signal.made_from():
            value = some(*signal.shape(ROWS, LENGTH, of))
            values[signal] = value.softmax(-1) if isinstance(signal, AttentionMap) else value
    return (
        Outputs(logits=logits, task_loss=logits.square().mean(), values=values),
        made,
    )


def loss_cost(method: Method[Any], rows: Batch, device: str) -> tuple[float, int]:
    """Seconds and bytes of forward and backward of a method's loss."""
    actual, leaves = outputs(STUDENT, method.student_outputs(), device, grad=True)
    expected, _ = outputs(TEACHER, method.teacher_outputs(), device, grad=False)

    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        # The softmax of the maps and the task loss belong to the student's own step.
        method.loss(rows, actual, expected).total().backward(retain_graph=True)

    step()  # gradients are there
    gradients = sum(leaf.grad.nbytes for leaf in leaves if leaf.grad is not None)
    for leaf in leaves:
        leaf.grad = None
    used = allocated(step).peak - gradients if device == "cpu" else 0
    return cpu_seconds(step, 3), max(0, used)


def main() -> None:
    """Print a line per method; goals stand next to those that have one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(num_hidden_layers=STUDENT.layers)).to(device)
    rows = batch(device)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        out = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask)
        torch.nn.functional.cross_entropy(out.logits, rows.labels).backward()

    def forward() -> Any:
        return model(input_ids=rows.input_ids, attention_mask=rows.attention_mask)

    base = cpu_seconds(step, 2)
    kept = allocated(forward).left if device == "cpu" else 0
    print(
        f"student step {base:.2f} s, {kept / 2**20:,.0f} MiB kept by its forward, {device}, "
        f"torch {torch.__version__}"
    )
    context = DistillationContext(
        teacher=TEACHER, student=STUDENT, kind="classification", num_labels=2
    )
    for name in registry.names("methods"):
        params = build(registry.params_of("methods", name), EVERY_TERM.get(name, {}))
        method: Method[Any] = registry.load("methods", name)(params, context)
        if reason := method.refusal():
            print(f"{name}: {reason.splitlines()[0]}")
            continue
        seconds, size = loss_cost(method, rows, device)
        goal = f" (goal <= {GOALS[name]})" if name in GOALS else ""
        print(f"ratio {name} / student step: {seconds / base:.4f}{goal}", flush=True)
        if kept:
            print(f"ratio {name} memory / student's activations: {size / kept:.3f} (goal <= 1)")


if __name__ == "__main__":
    main()
