"""Finds the kinds of task, by name and by what they have in common.

A further kind is a file in `raykd.data.kinds`; nothing is registered.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from raykd.data import kinds
from raykd.data.kinds.base import TaskKind


def _discovered() -> Mapping[str, TaskKind]:
    """Every kind by name: those of whole rows and spans first, those that generate text last."""
    names = [m.name for m in pkgutil.iter_modules(kinds.__path__) if m.name != "base"]
    every: list[TaskKind] = [
        importlib.import_module(f"{kinds.__name__}.{name}").KIND for name in names
    ]
    every.sort(key=lambda kind: (kind.generates, kind.over_vocabulary, kind.name))
    return MappingProxyType({kind.name: kind for kind in every})


_BY_NAME = _discovered()

KINDS = tuple(_BY_NAME)
"""Names of all kinds."""
APART_KINDS = tuple(name for name, kind in _BY_NAME.items() if kind.reads_apart)
"""Kinds whose models read the two texts of a row one by one."""
_WHOLE = tuple(name for name in _BY_NAME if name not in APART_KINDS)
ROW_KINDS = tuple(name for name in _WHOLE if _BY_NAME[name].labels_of == "row")
"""Kinds whose labels are those of whole rows, which a model reads at once."""
CLASS_KINDS = tuple(
    name for name in ROW_KINDS if _BY_NAME[name].has_class_names and _BY_NAME[name].is_categorical
)
"""Those of them whose labels are classes, one each."""
TOKEN_KINDS = tuple(name for name, kind in _BY_NAME.items() if kind.over_vocabulary)
"""Kinds whose labels are tokens of a vocabulary."""
TEXT_KINDS = tuple(name for name, kind in _BY_NAME.items() if kind.generates)
"""Kinds that generate text: by a decoder, or by an encoder and a decoder."""
ENCODER_KINDS = tuple(name for name in _WHOLE if not _BY_NAME[name].generates)
"""Kinds that an encoder serves: it reads rows at once, and they generate nothing."""


def task_kind(name: str) -> TaskKind:
    """The kind of a name.

    Raises:
        KeyError: There is none.
    """
    return _BY_NAME[name]


def kind_of_problem(problem_type: str | None) -> TaskKind:
    """The kind that Transformers calls by a ``problem_type``; that of classes for any other."""
    known = {kind.problem_type: kind for kind in _BY_NAME.values() if kind.problem_type}
    return known.get(problem_type or "", known["single_label_classification"])
