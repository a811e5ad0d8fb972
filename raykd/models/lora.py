"""LoRA students: an adapter of low rank next to each linear layer, trained in place of the weights.

What is trained is the adapter and what no checkpoint of the base need have: the head of the task,
and a pooler. The model keeps its class, so that whatever reads its parts reads them with the
adapter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from raykd.data.task_kinds import KINDS, task_kind
from raykd.errors import Problem, SetupError, SpecError
from raykd.models import weights
from raykd.models.dropout import set_dropout
from raykd.models.families.base import family_of
from raykd.models.foreign_logs import quiet_bitsandbytes
from raykd.models.sharding import collected, release_outer
from raykd.models.task_head import kind_of
from raykd.models.weights import ModelState

ALL_LINEAR = "all-linear"
TASK_TYPES: Mapping[str, str] = {
    name: task_kind(name).peft_type for name in KINDS if task_kind(name).peft_type
}
"""What PEFT calls kinds of tasks; others have no name there."""
_PLACE = "base_model.model."
"""Where a ``PeftModel`` keeps its base, in the names of a saved adapter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraPlan:
    """Which layers of a student get an adapter, and how it is saved.

    Attributes:
        targets: Names of linear layers, or their ends; `ALL_LINEAR` alone is all of them.
        base: Folder or hub name of the model that saved adapters refer to; empty: they are merged
            into its weights before the student is scored and saved.
        revision: Commit of a base from the hub.
    """

    targets: tuple[str, ...]
    base: str
    revision: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraSizes:
    """How large an adapter is, and how much it counts.

    Attributes:
        rank: Its rank.
        alpha: What its output is multiplied by, times the rank.
        dropout: On its input.
    """

    rank: int
    alpha: float
    dropout: float


def check_installed() -> None:
    """Refuse to continue without the library.

    Raises:
        SetupError: It is not installed.
    """
    quiet_bitsandbytes()
    try:
        import peft  # noqa: F401
    except ImportError as exc:
        raise SetupError(
            "adapters (LoRA) need the package peft, which is not installed",
            hint="pip install 'raykd[peft]'",
        ) from exc


def check_targets(model: nn.Module, targets: Sequence[str]) -> None:
    """Refuse targets that no layer of a model has.

    Args:
        model: The model; it may be without memory.
        targets: As in `LoraPlan`.

    Raises:
        SpecError: A target matches nothing; says what there is.
    """
    layers = _linear_layers(model)
    for target in targets:
        if target != ALL_LINEAR and not any(_is_called(name, target) for name in layers):
            ends = dict.fromkeys(name.rpartition(".")[2] for name in layers)
            problem = Problem(
                path="student.lora.targets",
                message=f"no linear layer of a {type(model).__name__} is called '{target}'",
                hint=f"there are {', '.join(ends)}; or targets: {ALL_LINEAR}",
            )
            raise SpecError(problems=[problem])


def attach(
    model: Any, plan: LoraPlan, sizes: LoraSizes, seed: int, dropout: float | None = None
) -> None:
    """Put an adapter into a model, in place, and freeze what is not trained.

    Args:
        model: A ``PreTrainedModel`` of a known family, on the CPU.
        plan: Where.
        sizes: How large.
        seed: Draws its first matrices; the second ones are 0. The global generator is left as it
            was.
        dropout: Of the model itself, None for its own; that of the adapter is another.
    """
    quiet_bitsandbytes()
    from peft import inject_adapter_in_model

    if dropout is not None:
        set_dropout(model, dropout)
    heads = _trained_modules(model)
    config = _config(model, plan, sizes, heads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(replace(config, modules_to_save=None), model)
    for name in heads:
        model.get_submodule(name).requires_grad_(True)


def merge(model: nn.Module) -> None:
    """Add the adapter to the weights, in place; the model is one without adapter then."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    release_outer(model)  # what is gathered is a copy, which is not what is saved
    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, module.get_base_layer())


def capture(model: Any, plan: LoraPlan, sizes: LoraSizes) -> ModelState:
    """A copy of the adapter of a model, and of what else was trained, as PEFT names them."""
    trained = {n.replace(".default", ""): p for n, p in model.named_parameters() if p.requires_grad}
    config = _config(model, plan, sizes, _trained_modules(model))
    plain = json.loads(json.dumps(config.to_dict(), default=sorted)) | {"inference_mode": True}
    state = weights.from_tensors(
        {_PLACE + name: tensor for name, tensor in collected(trained.items())},
        json.loads(model.config.to_json_string(use_diff=False)),
    )
    return replace(state, adapter=plain)


def _config(model: Any, plan: LoraPlan, sizes: LoraSizes, heads: Sequence[str]) -> Any:
    """PEFT's description of the adapter."""
    from peft import LoraConfig
    from transformers.pytorch_utils import Conv1D

    layers = _linear_layers(model)
    alpha: Any = sizes.alpha  # PEFT declares a whole number, and takes any
    chosen = [
        name
        for name in layers
        if any(target == ALL_LINEAR or _is_called(name, target) for target in plan.targets)
    ]
    kind = kind_of(json.loads(model.config.to_json_string(use_diff=False)))
    return LoraConfig(
        r=sizes.rank, lora_alpha=alpha, lora_dropout=sizes.dropout, target_modules=chosen,
        modules_to_save=list(heads) or None, task_type=TASK_TYPES.get(kind),
        base_model_name_or_path=plan.base or None, revision=plan.revision,
        fan_in_fan_out=all(isinstance(layers[name], Conv1D) for name in chosen),
    )  # fmt: skip


def _is_called(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _linear_layers(model: Any) -> dict[str, nn.Module]:
    """The linear layers of a model by name, apart from those of its head; also within adapters."""
    from transformers.pytorch_utils import Conv1D

    family, output = family_of(model.config), model.get_output_embeddings()
    linear = {}
    for name, module in model.named_modules():
        place = name.removesuffix(".base_layer")
        is_linear = isinstance(module, nn.Linear | Conv1D) and ".lora_" not in name
        if is_linear and module is not output and not family.may_lack(f"{place}."):
            linear[place] = module
    return linear


def _trained_modules(model: Any) -> tuple[str, ...]:
    """The largest modules that no checkpoint need have: the head of the task, a pooler."""
    family, output = family_of(model.config), model.get_output_embeddings()
    kept = {id(p) for p in output.parameters()} if output is not None else set()
    modules: list[str] = []
    for name, module in model.named_modules():
        names = [f"{name}.{own}" for own, p in module.named_parameters() if id(p) not in kept]
        whole = len(names) == sum(1 for _ in module.parameters())
        known = not name or any(name.startswith(f"{other}.") for other in modules)
        if names and whole and not known and all(family.may_lack(n) for n in names):
            modules.append(name)
    return tuple(modules)
