"""Students of one case packed into one process, against the same students one after the other.

``python -m tests.benchmarks.packing [--device cuda]``. All students of a pack have one shape and
one order of batches, and differ in coefficients and learning rate. The baseline trains them one
after the other as a slot does. Packed, a batch is padded once and the teacher is looked up once:

* interleaved: every student has its own forward, backward and optimizer;
* stacked: one forward and one backward of all students, their weights stacked.

Rows per second count every row once per student. The first epoch is left out, and so are building
and scoring, which cost the same in all forms. On a CPU the forms are timed in CPU-seconds of one
thread, which a busy machine disturbs least; on a GPU by the clock. The forms run in turns; medians
of the rounds are compared. Before the table, the losses of two packed students are compared with
those of the same students trained alone, in float32 and without dropout (interleaved also with it).
``data share`` is what padding and the teacher's look-up are of a step: packing without stacking can
save no more, except that on a GPU interleaved students have a stream each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from raykd import registry
from raykd.params import Scalar
from raykd.teachers.open_teacher import open_teacher
from raykd.training.batches import LengthGroupedBatches, stream
from raykd.training.device import DistributedContext
from raykd.trial.run import TrialConfig, build_method
from tests.benchmarks._packed import Form, TrainedTeacher, interleaved, sequential, stacked
from tests.benchmarks._packed_student import PackingCase
from tests.benchmarks.step_rate import prepared_with
from tests.integration.conftest import TASK, trial_config

STUDENTS = {
    "3x48": (3, 48, 2), "3x384": (3, 384, 6), "4x312": (4, 312, 12), "6x768": (6, 768, 12)
}  # fmt: skip
METHODS = ("none", "kd", "ckd")
BATCH, SEED = 32, 5
PACKED: dict[str, Form] = {"interleaved": interleaved, "stacked": stacked}
TOLERANCE = 1e-4
"""Relative difference of an epoch's mean losses that counts as rounding."""


def coefficients(method: str, k: int, count: int) -> dict[str, Scalar]:
    """Those of one student of a pack."""
    share = (k + 1) / (count + 1)
    if method == "none":
        return {}
    if method == "kd":
        return {"alpha": share, "temperature": 1.0 + k}
    return {"alpha": share, "wrdist": 2 * share, "wrangle": 1.0 + k, "ltrdist": 0, "ltrangle": 0}


def pack(method: str, count: int, **train: Scalar) -> list[TrialConfig]:
    """The configurations of some students."""
    return [
        trial_config(
            arm=method,
            method=method,
            coefficients=coefficients(method, k, count),
            train={"batch_size": BATCH, "lr": 5e-5 * (k + 1), **train},
            seed=SEED,
        )
        for k in range(count)
    ]


def difference(one: TrainedTeacher, two: TrainedTeacher) -> float:
    """Largest relative difference of a mean loss term of any student in any epoch."""
    return max(
        abs(result[name] - expected[name]) / max(abs(expected[name]), 1e-6)
        for mine, other in zip(one.terms, two.terms, strict=True)
        for result, expected in zip(mine, other, strict=True)
        for name in expected
    )


def data_seconds(case: PackingCase, config: TrialConfig) -> float:
    """Seconds to pad all train rows once and to look their teacher up."""
    method = build_method(config, case.prepared, case.task)
    read, train = case.teacher.outputs_fn(method.teacher_outputs()), case.prepared.splits["train"]
    order = LengthGroupedBatches(lengths=train.lengths(), batch_size=BATCH, seed=SEED)
    collate = case.collator(method.teacher_outputs().context_padding)
    seen = []
    for epoch in range(3):
        began = case.clock()
        for batch, _ in stream(order.epoch(epoch), train, collate, device=case.world.device):
            read(batch)
        seen.append(case.clock() - began)
    return min(seen)


def check(case: PackingCase, method: str) -> bool:
    """Whether packed students learn what they would learn alone."""
    configs = pack(method, 2, epochs=2, dropout=0.0, precision="fp32")
    alone = sequential(case, configs)
    actual = {name: difference(form(case, configs), alone) for name, form in PACKED.items()}
    # Stacked students draw their dropout together, so only the interleaved ones can be compared.
    configs = pack(method, 2, epochs=2, precision="fp32")
    alone = sequential(case, configs)
    actual["interleaved with dropout"] = difference(interleaved(case, configs), alone)
    fine = all(value <= TOLERANCE for value in actual.values())
    reported = ", ".join(f"{name} {value:.1e}" for name, value in actual.items())
    print(f"  {method}: losses differ from those alone by {reported}{'' if fine else '  TOO MUCH'}")
    return fine


def compare(
    case: PackingCase, name: str, method: str, counts: Sequence[int], given: argparse.Namespace
) -> None:
    """Print the rows of the table that belong to one student and method."""
    for count in counts:
        configs = pack(method, count, epochs=given.epochs, precision=given.precision)
        rates: dict[str, list[float]] = {"sequential": [], **{form: [] for form in PACKED}}
        for _ in range(given.rounds):
            rates["sequential"].append(sequential(case, configs).rate)
            for form, train in PACKED.items():
                rates[form].append(train(case, configs).rate)
        rate = {form: statistics.median(seen) for form, seen in rates.items()}
        base = rate["sequential"]
        share = data_seconds(case, configs[0]) * base / len(case.prepared.splits["train"])
        ratios = [rate[form] / base for form in PACKED]
        print(
            f"{name:>6} {method:>6} {count:>2} {base:>10.0f} {rate['interleaved']:>11.0f} "
            f"{rate['stacked']:>8.0f} {ratios[0]:>17.2f} {ratios[1]:>13.2f} {share:>10.1%}",
            flush=True,
        )


def clock_of(device: torch.device) -> float:
    """CPU-seconds of this process, or the time when the GPU has finished."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="bf16 on cuda, else fp32")
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS)[:3])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--counts", nargs="+", type=int, default=(2, 4, 8))
    parser.add_argument("--epochs", type=int, default=5, help="the first one is not measured")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    given.precision = given.precision or ("bf16" if given.device == "cuda" else "fp32")
    return given


def main() -> int:
    """Print the tables; 1 if packed students learnt something else."""
    given = arguments()
    torch.set_num_threads(1)
    device = torch.device(given.device, 0) if given.device == "cuda" else torch.device("cpu")
    place = torch.cuda.get_device_name(device) if given.device == "cuda" else "cpu"
    print(f"packing: {place}, {given.precision}, batch {BATCH}, torch {torch.__version__}")
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        for name in given.students:
            prepared = prepared_with(*STUDENTS[name], given.methods, Path(folder) / name)
            world = DistributedContext(device=device)
            case = PackingCase(
                prepared=prepared,
                task=registry.load("tasks", TASK),
                teacher=open_teacher(prepared, world),
                world=world,
                clock=lambda: clock_of(device),
            )
            lengths = prepared.splits["train"].lengths()
            print(f"student {name}, {len(lengths)} rows of {lengths.mean():.1f} tokens")
            fine = all([check(case, method) for method in given.methods]) and fine
            print(
                "  size method  K sequential interleaved  stacked interleaved ratio "
                "stacked ratio data share",
                flush=True,
            )
            for method in given.methods:
                compare(case, name, method, given.counts, given)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
