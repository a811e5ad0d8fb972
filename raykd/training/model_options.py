"""Settings of training that change how a model computes, and not what: attention, code, memory."""

from __future__ import annotations

from typing import Any

import torch

from raykd.errors import Problem, SpecError
from raykd.models.compiled import compile_blocks
from raykd.models.dropout import set_dropout, with_cheap_dropout
from raykd.models.forward import switch_attention
from raykd.training.settings import AUTO, TrainSettings, check_attention


def prepare_model(model: Any, settings: TrainSettings, device: torch.device) -> None:
    """Make a model compute as the settings say, in place.

    Args:
        model: A ``PreTrainedModel``, on the device.
        settings: Dropout, attention, checkpointing, compilation.
        device: Where it is trained.

    Raises:
        SetupError: The attention does not exist here.
        SpecError: The model cannot do it.
    """
    if settings.dropout is not None:
        set_dropout(model, settings.dropout)
    if settings.attention != AUTO:
        check_attention(settings.attention, gpus=device.type == "cuda")
        choose_attention(model, settings.attention)
    if device.type == "cpu":
        with_cheap_dropout(model, attention=settings.attention == AUTO)
    if settings.gradient_checkpointing:
        check_recomputing(model)
        model.activation_checkpointing_enable({"use_reentrant": False})
    if settings.compile is True:
        compile_blocks(model)


def choose_attention(model: Any, name: str, key: str = "train.attention") -> None:
    """Switch a model to an implementation of attention.

    Args:
        model: A ``PreTrainedModel``; it may be without memory.
        name: Of the attention.
        key: Its place in the file.

    Raises:
        SpecError: The model does not have it.
    """
    if why := switch_attention(model, name):
        message = f"a {type(model).__name__} does not have {name}: {why}"
        raise _cannot(key, message, f"set {key} to auto")


def check_recomputing(model: Any, key: str = "train.gradient_checkpointing") -> None:
    """Refuse a model that cannot compute its blocks again.

    Args:
        model: A ``PreTrainedModel``; it may be without memory.
        key: The place of the setting in the file.

    Raises:
        SpecError: It cannot.
    """
    if not getattr(model, "supports_gradient_checkpointing", False):
        message = f"a {type(model).__name__} cannot compute its blocks again"
        raise _cannot(key, message, "leave it out; micro_batch saves memory, too")


def _cannot(key: str, message: str, hint: str) -> SpecError:
    problem = Problem(path=key, message=message, hint=hint)
    return SpecError(f"{key}: {message}", hint=hint, problems=[problem])
