"""Finds extensions by name: the name in YAML is the name of a module.

Nothing is registered anywhere. ``load("methods", "ckd")`` imports ``raykd.methods.ckd`` and returns
its ``METHOD``. A dotted name (``my_package.my_file``) reaches a module outside the package. A
module may hold several variants: its attribute is then a mapping, and ``glue/rte`` is the entry
``rte`` of ``raykd.data.tasks.glue``.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from raykd import user_code
from raykd.errors import SetupError, SpecError, UnknownName, shortened

_KINDS: Mapping[str, tuple[str, str]] = {
    "methods": ("raykd.methods", "METHOD"),
    "tasks": ("raykd.data.tasks", "TASK"),
    "families": ("raykd.models.families", "FAMILY"),
    "algorithms": ("raykd.search.algorithms", "ALGORITHM"),
    "schedulers": ("raykd.search.schedulers", "SCHEDULER"),
    "loggers": ("raykd.loggers", "LOGGER"),
    "sections": ("raykd.report.sections", "SECTION"),
    "cluster_rules": ("raykd.clusters.rules", "RULE"),
}
_SINGULAR = {
    "methods": "method",
    "tasks": "task",
    "families": "model family",
    "algorithms": "search algorithm",
    "schedulers": "scheduler",
    "loggers": "logger",
    "sections": "report section",
    "cluster_rules": "rule for cluster files",
}
TRIED = Path(__file__).parent / "models" / "families" / "tried.json"
"""What was found of architectures of Transformers, each a model family without a file."""
METHODS_WITHOUT_TEACHER = ("none", "sft")
"""Methods that read no teacher: what others are measured from. The first one serves every task."""

_NOT_EXTENSIONS = {"base", "feed", "delivery"}
"""Modules next to extensions that are what all of a kind build on."""


def kinds() -> tuple[str, ...]:
    """The extension points there are."""
    return tuple(_KINDS)


def names(kind: str) -> tuple[str, ...]:
    """Names of the shipped modules of one kind, sorted, without importing them."""
    package = importlib.import_module(_KINDS[kind][0])
    modules = (m.name for m in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(n for n in modules if n not in _NOT_EXTENSIONS and not n.startswith("_")))


def variants(kind: str) -> tuple[str, ...]:
    """Like `names`, with modules that hold several variants spelled out (``glue/rte``)."""
    spelled: list[str] = []
    for name in names(kind):
        value = getattr(module(kind, name), _KINDS[kind][1])
        spelled += [f"{name}/{v}" for v in value] if isinstance(value, Mapping) else [name]
    return tuple(spelled)


@functools.cache
def tried() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """What was found of architectures, by model type and kind of task; see `TRIED`."""
    table: Mapping[str, Mapping[str, Mapping[str, Any]]] = json.loads(
        TRIED.read_text(encoding="utf-8")
    )
    return table


@functools.cache
def model_types() -> tuple[str, ...]:
    """Model types of Transformers, each a model family; read without importing the library.

    Empty where this version of it keeps them elsewhere.
    """
    library = importlib.util.find_spec("transformers")
    if library is None or library.origin is None:
        return ()
    path = Path(library.origin).parent / "models" / "auto" / "auto_mappings.py"
    try:
        statements = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError):
        return ()
    tables = [
        s.value.args[0]
        for s in statements
        if isinstance(s, ast.Assign)
        and isinstance(s.value, ast.Call)
        and [ast.unparse(target) for target in s.targets] == ["CONFIG_MAPPING_NAMES"]
    ]
    return tuple(sorted(name for table in tables for name, _ in ast.literal_eval(table)))


def module(kind: str, name: str) -> ModuleType:
    """Import the module behind a name.

    Raises:
        UnknownName: If there is no such module; the message suggests near ones.
        SetupError: If the module exists but something it imports does not.
        SpecError: If it is one of the user's and fails while it is imported, or must not be
            (`raykd.user_code`).
    """
    package, _ = _KINDS[kind]
    base = name.partition("/")[0]
    if not all(part.isidentifier() for part in base.split(".")):
        raise unknown(kind, name, names(kind))
    path = base if "." in base else f"{package}.{base}"
    if "." in base:
        user_code.check(path)
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (path == exc.name or path.startswith(exc.name + ".")):
            raise unknown(kind, name, names(kind)) from exc
        if exc.name is not None and exc.name.startswith("raykd."):
            raise SpecError(
                f"{_SINGULAR[kind]} '{name}' imports {exc.name}, which is not a module of this "
                "version of raykd",
                hint="docs/reference/python-api.md lists what there is",
            ) from exc
        raise SetupError(
            f"{_SINGULAR[kind]} '{name}' needs the package '{exc.name}', which is not installed",
            hint=f"install it: pip install {exc.name}",
        ) from exc
    except (Exception, SystemExit) as exc:
        if "." not in base:
            raise
        # A module of the user's may fail in any way while it is imported.
        raise SpecError(
            f"{_SINGULAR[kind]} '{name}' cannot be imported: {type(exc).__name__}: {exc}",
            hint=f"python -c 'import {path}' shows where",
        ) from exc


def load(kind: str, name: str) -> Any:  # what it is depends on the kind; callers state the type
    """The extension object behind a name.

    Raises:
        UnknownName: If the module, the variant or the module's attribute does not exist.
        SetupError: If the module cannot be imported for another reason.
    """
    attribute = _KINDS[kind][1]
    extension = module(kind, name)
    if not hasattr(extension, attribute):
        if "." not in name:
            raise unknown(kind, name, names(kind))
        raise UnknownName(
            f"module '{extension.__name__}' defines no {attribute}",
            hint=f"a {_SINGULAR[kind]} is what its module calls {attribute}",
        )
    value = getattr(extension, attribute)
    base, _, variant = name.partition("/")
    if isinstance(value, Mapping):
        if variant not in value:
            raise unknown(kind, name, [f"{base}/{v}" for v in value])
        return value[variant]
    if variant:
        raise unknown(kind, name, [base])
    return value


def params_of(kind: str, name: str) -> type[Any]:
    """The ``Params`` dataclass that the module of an extension declares.

    Raises:
        UnknownName: It declares none.
    """
    declared = getattr(module(kind, name), "Params", None)
    if not isinstance(declared, type) or not dataclasses.is_dataclass(declared):
        raise UnknownName(
            f"{_SINGULAR[kind]} '{name}' declares no parameters",
            hint="its module needs a frozen dataclass Params, which may be empty",
        )
    return declared


def suggestion(name: str, candidates: tuple[str, ...] | list[str]) -> str:
    """``did you mean 'x'?`` when something is close, else an empty string."""
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def unknown(kind: str, name: str, candidates: tuple[str, ...] | list[str]) -> UnknownName:
    """The error for a name that does not exist, with what to do next."""
    near = _own_file(name.partition("/")[0]) or suggestion(name, candidates)
    hint = " ".join(part for part in (near, f"(all of them: raykd ls {kind})") if part)
    return UnknownName(f"unknown {_SINGULAR[kind]} '{shortened(name, 80)}'", hint=hint)


def _own_file(name: str) -> str:
    """What to write for a file of the user's that is called so; empty where there is none."""
    if not name.isidentifier():
        return ""
    folders = [path.parent.name for path in sorted(Path().glob(f"*/{name}.py"))]
    if named := [folder for folder in folders if folder.isidentifier()]:
        return f"is it {named[0]}.{name}?"
    if Path(f"{name}.py").is_file():
        return f"put {name}.py into a folder, and name both: my_folder.{name}"
    return ""
