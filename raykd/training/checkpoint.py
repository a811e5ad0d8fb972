"""The state of a training in the middle, in one safetensors file, to continue it bit for bit.

Tensors are stored as such, everything else as JSON in the header of the file; nothing is pickled. A
file appears whole under its name or not at all.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from raykd.errors import SetupError
from raykd.models.files import write_readable
from raykd.results.records import Evaluation
from raykd.training.seeding import RandomState
from raykd.whole_file import whole_file

_RECORD = "raykd"
ANEW = "delete it; the training then starts again"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainState:
    """What a training needs to continue.

    Attributes:
        identity: Hash of what decides the training; a state continues no other one.
        step: Optimizer steps done; epoch and position in it follow.
        micro_batch: Most rows of a pass on a rank; 0 = the whole batch.
        seconds: Time spent so far.
        history: Evaluations so far.
        weights: State of the trained module, buffers included, without weights that are frozen.
        moments: The state of the optimizer per parameter number.
        random: Generators of every rank.
        methods: What the method of every rank remembers.
    """

    identity: str
    step: int
    micro_batch: int
    seconds: float
    history: tuple[Evaluation, ...]
    weights: Mapping[str, Tensor]
    moments: Mapping[int, Mapping[str, Tensor]]
    random: tuple[RandomState, ...]
    methods: tuple[Mapping[str, Tensor], ...]

    def without_tensors(self) -> TrainState:
        """The state without weights and moments, which are large."""
        return dataclasses.replace(self, weights={}, moments={})


def save(state: TrainState, path: Path) -> None:
    """Write a state; an earlier one under the same name stays until the new one is complete.

    Raises:
        SetupError: The folder cannot be written, or the disk is full.
    """
    tensors = {f"weights.{name}": tensor for name, tensor in state.weights.items()}
    for number, moment in state.moments.items():
        tensors |= {f"optimizer.{number}.{name}": tensor for name, tensor in moment.items()}
    for rank, random in enumerate(state.random):
        tensors |= {f"random.{rank}.{kind}": tensor for kind, tensor in random.tensors.items()}
    for rank, remembered in enumerate(state.methods):
        tensors |= {f"method.{rank}.{name}": tensor for name, tensor in remembered.items()}
    record = {
        "identity": state.identity,
        "step": state.step,
        "micro_batch": state.micro_batch,
        "seconds": state.seconds,
        "history": [dataclasses.asdict(evaluation) for evaluation in state.history],
        "random": [{"python": r.python, "numpy": r.numpy} for r in state.random],
    }
    write_tensors(path, tensors, record)


def load(path: Path) -> TrainState:
    """Read a state that `save` wrote; tensors are on the CPU.

    Raises:
        SetupError: The file cannot be read.
    """
    tensors, record = read_tensors(path)
    try:
        return _state(tensors, record)
    except (KeyError, TypeError, ValueError, IndexError) as exc:
        raise SetupError(
            f"'{path}' holds a state of another version of raykd: {exc!r}", hint=ANEW
        ) from exc


def load_own(path: Path, identity: str) -> TrainState:
    """Read the state of a training by its identity.

    Raises:
        SetupError: The file cannot be read, or is of another training.
    """
    state = load(path)
    if state.identity != identity:
        raise SetupError(
            f"'{path}' holds the state of a training with other settings, seed or rows",
            hint=ANEW,
        )
    return state


def _state(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> TrainState:
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    random: list[dict[str, Tensor]] = [{} for _ in record["random"]]
    methods: list[dict[str, Tensor]] = [{} for _ in record["random"]]
    for key, tensor in tensors.items():
        kind, _, rest = key.partition(".")
        number, _, name = rest.partition(".")
        if kind == "weights":
            weights[rest] = tensor
        elif kind == "optimizer":
            moments.setdefault(int(number), {})[name] = tensor
        elif kind == "method":
            methods[int(number)][name] = tensor
        else:
            random[int(number)][name] = tensor
    return TrainState(
        identity=record["identity"],
        step=record["step"],
        micro_batch=record["micro_batch"],
        seconds=record["seconds"],
        history=tuple(Evaluation(**evaluation) for evaluation in record["history"]),
        weights=weights,
        moments=moments,
        random=tuple(
            RandomState(python=plain["python"], numpy=plain["numpy"], tensors=states)
            for plain, states in zip(record["random"], random, strict=True)
        ),
        methods=tuple(methods),
    )


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """What a training changes of a module: its state without frozen weights."""
    frozen = _frozen(module)
    return {name: value for name, value in module.state_dict().items() if name not in frozen}


def _frozen(module: nn.Module) -> set[str]:
    named = module.named_parameters(remove_duplicate=False)
    return {name for name, parameter in named if not parameter.requires_grad}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write tensors and a JSON record as one safetensors file, whole or not at all.

    Args:
        path: The file; its folder is made.
        tensors: On any device; storage may be shared.
        record: JSON-ready.

    Raises:
        SetupError: The folder cannot be written, or the disk is full. An earlier file is untouched.
    """
    plain = _separate(tensors)
    num_bytes = sum(t.nbytes for t in plain.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            write_readable(
                part, lambda path: save_file(plain, path, metadata={_RECORD: json.dumps(record)})
            )
    except (OSError, SafetensorError) as exc:
        raise SetupError(
            f"cannot write {num_bytes:,} bytes to folder '{path.parent}': {exc}",
            hint="free space there or choose another folder; what was written before is intact",
        ) from exc


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: tensors on the CPU, and the record.

    Raises:
        SetupError: The file cannot be read, or is something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            record: dict[str, Any] = json.loads((file.metadata() or {})[_RECORD])
            return {key: file.get_tensor(key) for key in file.keys()}, record  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as exc:
        raise SetupError(
            f"'{path}' cannot be read as a saved state: {exc}",
            hint=ANEW,
        ) from exc


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous, no two sharing storage, as the format demands."""
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        kept = tensor.detach().cpu().contiguous()
        pointer = kept.untyped_storage().data_ptr()
        plain[name] = kept.clone() if pointer in seen else kept
        seen.add(pointer)
    return plain
