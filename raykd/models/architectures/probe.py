"""Probes of architectures: what raykd can do with a model, found out with a small copy of it.

What cannot be done right is refused with the reason, before the first trial. Families that the
tests of the package check are not probed.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import Any

import torch

from raykd.data.task_kinds import task_kind
from raykd.errors import RaykdError, SpecError
from raykd.models.architectures import checks, parts
from raykd.models.architectures.small_copy import small_config
from raykd.models.families.base import family_of
from raykd.models.inference import no_gradient
from raykd.models.layer_selection import LAYERS
from raykd.models.packing import PACKING
from raykd.models.sharding import SHARDING
from raykd.models.signals.base import CONTEXT
from raykd.models.task_head import kind_of
from raykd.models.weight_init import seeded_rng


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What raykd can do with a model.

    Attributes:
        refused: Why it cannot be used at all, or empty.
        lacks: What it lacks, each with the reason: kinds of signal, `LAYERS`, `CONTEXT`,
            `SHARDING`, and `PACKING`.
    """

    refused: str = ""
    lacks: tuple[tuple[str, str], ...] = field(default=())


def capabilities(config: Any) -> Capabilities:
    """What raykd can do with the models of a configuration, as the probes say.

    Args:
        config: A ``PreTrainedConfig`` with the head of a task.
    """
    plain = json.dumps(config.to_dict(), sort_keys=True, default=str)
    return _probed(plain, family_of(config).name)


def check(config: Any) -> Capabilities:
    """The same, for a model that is to be used; a family that the tests check lacks nothing.

    Raises:
        SpecError: It cannot be used; says why.
    """
    if family_of(config).is_checked:
        return Capabilities()
    result = capabilities(config)
    if result.refused:
        raise SpecError(
            f"a {config.model_type} cannot be used for {kind_of(vars(config))}: {result.refused}",
            hint="choose a model of another family (raykd ls families); docs/reference/models.md "
            "says what was tried",
        )
    return result


@functools.lru_cache(maxsize=64)
def _probed(plain: str, name: str) -> Capabilities:
    entries = json.loads(plain)
    family = family_of(entries)
    kind = kind_of(entries)
    try:
        config = small_config(family, family.config_class().from_dict(entries))
        with torch.autocast("cpu", enabled=False), seeded_rng(0), torch.inference_mode(False):
            model = family.head_class(kind)(config)
            _stir(model)
            with no_gradient(model):
                return _examine(model)
    except RaykdError as exc:
        return Capabilities(refused=exc.message)
    except Exception as exc:  # whatever an architecture raises, it cannot be used
        reason = " ".join(str(exc).split())
        return Capabilities(
            refused=f"a small copy of it fails ({type(exc).__name__}: {reason[:200]})"
        )


def _stir(model: Any) -> None:
    """Move every weight: one that begins with zeros, such as a bias, would go unnoticed."""
    with torch.no_grad():
        for weight in {id(w): w for w in model.state_dict(keep_vars=True).values()}.values():
            if weight.is_floating_point():
                weight.add_(0.05 * torch.randn_like(weight))


def _examine(model: Any) -> Capabilities:
    """What the checks say of a small model."""
    kind = task_kind(kind_of(vars(model.config)))
    needed = [checks.weights, checks.logits, checks.padding, checks.length]
    needed += [checks.causality] if kind.is_joined else []
    needed += [checks.generation] if kind.generates else []
    if refused := next((reason for check in needed if (reason := check(model))), ""):
        return Capabilities(refused=refused)
    wanted = {LAYERS: checks.layers, SHARDING: parts.sharding}
    if not kind.reads_apart:  # positions of a row are then those of two texts
        wanted |= {
            "hidden_states": checks.states, "attentions": checks.maps, CONTEXT: checks.context,
        }  # fmt: skip
    if kind.is_joined:
        wanted[PACKING] = checks.packing
    lacks = ((name, check(model)) for name, check in wanted.items())
    return Capabilities(lacks=tuple((name, reason) for name, reason in lacks if reason))
