"""Which classes Transformers has for a model type: its configuration, and a model for each head."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from raykd.data.task_kinds import KINDS, task_kind
from raykd.errors import RaykdError, SpecError
from raykd.models.architectures.headless import without_head
from raykd.registry import suggestion


def is_known(model_type: str) -> bool:
    """Whether Transformers has an architecture of this name."""
    return model_type in _configurations()


def model_type_of(name: str) -> str:
    """The model type that a name means, ``xlm_roberta`` for ``xlm-roberta``; empty for none."""
    spelled = (name, name.replace("_", "-"), name.replace("-", "_"))
    return next((one for one in spelled if is_known(one)), "")


def config_class(model_type: str) -> Any:  # a PreTrainedConfig subclass
    """The configuration class of a model type.

    Raises:
        SpecError: Transformers has no such architecture, or it is more than a language model.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if not is_known(model_type):
        raise unknown(model_type)
    config = CONFIG_MAPPING[model_type]
    if parts := getattr(config, "sub_configs", None):
        raise SpecError(
            f"a {model_type} is made of several models ({', '.join(parts)}), raykd reads language "
            "models only",
            hint="save its language model alone, with the model_type of that part",
        )
    return config


@functools.cache
def heads(model_type: str) -> tuple[str, ...]:
    """Kinds of task that a model type has a head for, in the order of `KINDS`.

    An encoder-decoder serves what is answered with text. A model that guesses hidden tokens is an
    encoder: it sees the tokens after each, and the library's decoder of it is another model. Heads
    on a body that is called differently (spans of a Llama) are left out: no weights fit both.
    """
    kinds = [task_kind(name) for name in KINDS if model_type in _names(name)]
    if not any(k.has_head for k in kinds):
        return ()  # every model has a body
    if with_decoder := [k.name for k in kinds if k.generates and not k.is_joined]:
        return tuple(with_decoder)
    if any(k.over_vocabulary and not k.generates for k in kinds):
        kinds = [k for k in kinds if not k.generates]
    body = {k.name: head_class(model_type, k.name).base_model_prefix for k in kinds}
    return tuple(name for name in body if body[name] == body[kinds[-1].name])


def head_class(model_type: str, kind: str) -> Any:  # a PreTrainedModel subclass
    """The model class of a type with the head for a kind of task, which it has."""
    from transformers.models.auto import modeling_auto

    table: Any = getattr(modeling_auto, task_kind(kind).auto_mapping)
    classes = table[config_class(model_type)]
    model_class = classes[0] if isinstance(classes, tuple) else classes
    return model_class if task_kind(kind).has_head else without_head(model_class)


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Say of which architecture it is that the library refuses sizes.

    Args:
        name: Of the family.

    Raises:
        SpecError: In place of whatever it raises.
    """
    try:
        yield
    except RaykdError:
        raise
    except Exception as exc:  # an architecture may raise anything
        reason = " ".join(str(exc).split())[:300]
        raise SpecError(
            f"Transformers makes no {name} of such sizes ({type(exc).__name__}: {reason})",
            hint="change what it names, or save a model and name its folder",
        ) from exc


def unknown(model_type: str) -> SpecError:
    """That there is no architecture of this name."""
    from transformers import __version__

    near = suggestion(model_type, list(_configurations()))
    return SpecError(
        f"models of type '{model_type}' are not known to Transformers {__version__}",
        hint=near or "choose a model whose type is a part of Transformers",
    )


def _configurations() -> Mapping[str, str]:
    from transformers.models.auto import configuration_auto

    names: Mapping[str, str] = vars(configuration_auto)["CONFIG_MAPPING_NAMES"]
    return names


def _names(kind: str) -> Mapping[str, Any]:
    from transformers.models.auto import modeling_auto

    names: Mapping[str, Any] = getattr(modeling_auto, f"{task_kind(kind).auto_mapping}_NAMES")
    return names


def takes(model_class: Any, argument: str) -> bool:
    """Whether the forward pass of a model class has an argument."""
    return argument in _arguments(model_class)


@functools.cache
def _arguments(model_class: Any) -> frozenset[str]:
    return frozenset(inspect.signature(model_class.forward).parameters)
