"""Settings of training that change how a model computes, and not what: attention, code, memory."""

from __future__ import annotations

from typing import Any

import torch

from raykd.errors import SpecError
from raykd.models.compiled import compile_blocks
from raykd.models.dropout import set_dropout, with_cheap_dropout
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
        choose_attention(model, settings.attention, device)
    if device.type == "cpu":
        with_cheap_dropout(model, attention=settings.attention == AUTO)
    if settings.gradient_checkpointing:
        if not getattr(model, "supports_gradient_checkpointing", False):
            raise SpecError(
                f"train.gradient_checkpointing is true, but a {type(model).__name__} cannot "
                "compute its blocks again",
                hint="leave it out; train.micro_batch saves memory, too",
            )
        model.activation_checkpointing_enable({"use_reentrant": False})
    if settings.compile is True:
        compile_blocks(model)


def choose_attention(model: Any, name: str, device: torch.device) -> None:
    """Switch a model to an implementation of attention.

    Raises:
        SetupError: It does not exist here.
        SpecError: The model does not have it.
    """
    check_attention(name, gpus=device.type == "cuda")
    try:
        model.set_attn_implementation(name)
    except (ValueError, ImportError) as exc:
        raise SpecError(
            f"train.attention is {name}, which a {type(model).__name__} does not have: "
            f"{str(exc).splitlines()[0]}",
            hint="set train.attention to auto",
        ) from exc
