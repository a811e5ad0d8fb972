"""``raykd show``: one page on one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from raykd.cli import family_table
from raykd.cli.completions import things
from raykd.cli.names import SHOWN
from raykd.cli.output import Output
from raykd.errors import SpecError, UnknownName

if TYPE_CHECKING:
    from raykd.params import ParamInfo

_NOT_OF_ARMS = ("algorithms", "schedulers", "loggers")
"""Kinds of extension that are not part of an arm."""


def show(
    output: Output,
    name: Annotated[
        str,
        typer.Argument(
            help="A method, task, family, algorithm, scheduler, logger or section.",
            autocompletion=things,
        ),
    ],
) -> None:
    """Show what a thing is, needs and can be set to; also the sections of a search space."""
    pages = [page for kind in SHOWN if (page := page_of(kind, name)) is not None]
    pages += [] if (section := section_page(name)) is None else [section]
    if not pages:
        raise _unknown(name)
    for page in pages:
        if output.is_json:
            output.record(page)
        else:
            _print(page, output)


def _print(page: dict[str, Any], output: Output) -> None:
    output.text(f"{page['kind']} {page['name']}" + (f": {page['title']}" if page["title"] else ""))
    if page["facts"]:
        output.facts(page["facts"])
    if page["parameters"]:
        output.text("")
        columns = ("parameter", "default", "allowed", "symbol", "meaning")
        rows = [
            (p["name"], p["default"], p["bounds"], p["symbol"], p["help"])
            for p in page["parameters"]
        ]
        output.table(columns, rows)
    elif page["parameters"] is not None:
        output.text("  no parameters")


def page_of(kind: str, name: str) -> dict[str, Any] | None:
    """What is known of a name in one kind, as text; None when there is no such name.

    Returns:
        ``kind``, ``name``, ``title``, ``facts`` (name to text) and ``parameters`` (one mapping each
        with ``name``, ``default``, ``bounds``, ``symbol``, ``help``), None where there are none to
        declare.
    """
    from raykd import registry

    if kind == "families":
        return _family_page(name)
    if kind in _NOT_OF_ARMS and name not in registry.names(kind):
        return None
    try:
        extension: Any = registry.load(kind, name)
    except UnknownName:
        return None
    singular = {"algorithms": "search algorithm"}
    page: dict[str, Any] = {
        "kind": singular.get(kind, kind.removesuffix("s")),
        "name": name,
        "title": "",
        "facts": {},
        "parameters": None,
    }
    if kind == "tasks":
        return page | {"title": extension.about, "facts": _task_facts(extension)}
    if kind == "methods":
        page |= {"title": extension.title, "facts": _method_facts(extension)}
    else:
        page["title"] = first_line(kind, name)
    return page | {"parameters": _parameters(kind, name)}


def _family_page(name: str) -> dict[str, Any] | None:
    """The page of a model family: read from its file and the table, as families are slow to import.

    Any other model type of Transformers has one that says that it was not tried.
    """
    from raykd import registry

    has_file = name in registry.names("families")
    family_facts = family_table.facts(name)
    if not has_file and not family_facts and name not in registry.model_types():
        return None
    title = first_line("families", name) if has_file else "an architecture of Transformers"
    return {
        "kind": "model family", "name": name, "title": title, "parameters": None,
        "facts": family_facts or {"tried": "no; it is probed with a small copy before it is used"},
    }  # fmt: skip


def section_page(name: str) -> dict[str, Any] | None:
    """The page of a section of search spaces, in the form of `page_of`."""
    from raykd.spec.method_section import train_infos
    from raykd.spec.model_section import finetune_infos
    from raykd.spec.reference import SECTIONS, keys_of
    from raykd.spec.size_section import SEARCHED_IN

    page: dict[str, Any] = {"kind": "section", "name": name, "facts": {}}
    if name in ("train", "finetune"):
        infos = train_infos() if name == "train" else finetune_infos()
        title = "How students are trained." if name == "train" else "How a teacher is fine-tuned."
        return page | {"title": title, "parameters": [_declared(i) for i in infos.values()]}
    if name not in SECTIONS:
        return None
    settings = SEARCHED_IN[name]() if name in SEARCHED_IN else {}
    searched = [_declared(info) for info in settings.values()]
    documented = (SECTIONS[name].__doc__ or "").partition("\n")[0]
    parameters = [
        {"name": key.name, "default": key.default, "bounds": key.allowed, "symbol": "",
         "help": key.help}
        for key in keys_of(name)
    ]  # fmt: skip
    return page | {"title": documented, "parameters": [*searched, *parameters]}


def _parameters(kind: str, name: str) -> list[dict[str, str]]:
    from raykd import registry
    from raykd.params import describe

    return [_declared(info) for info in describe(registry.params_of(kind, name))]


def _declared(info: ParamInfo) -> dict[str, str]:
    from raykd.params import show as typed

    return {
        "name": info.name,
        "default": typed(info.default),
        "bounds": info.bounds() + (", null" if info.optional else ""),
        "symbol": info.symbol,
        "help": info.help,
    }


def first_line(kind: str, name: str) -> str:
    """The first line of a module's docstring, read without importing the module."""
    import ast
    import importlib.util

    from raykd import registry

    packages = {
        "families": "raykd.models.families", "methods": "raykd.methods", "loggers": "raykd.loggers"
    }  # fmt: skip
    package = packages.get(kind, f"raykd.search.{kind}")
    spec = importlib.util.find_spec(f"{package}.{name}")
    if spec is None or spec.origin is None:
        return (registry.module(kind, name).__doc__ or "").partition("\n")[0]
    with open(spec.origin, encoding="utf-8") as file:
        text = ast.get_docstring(ast.parse(file.read())) or ""
    return text.partition("\n")[0]


def _task_facts(task: Any) -> dict[str, str]:
    # Tasks on tokens count them; what they predict is a vocabulary, not a number.
    labels = ", ".join(task.labels) or ("tokens" if task.tally_size else "a score")
    return {
        "kind": task.kind,
        "labels": labels,
        "metric": task.metric,
        "all metrics": ", ".join(task.metrics),
    }


def _method_facts(method: Any) -> dict[str, str]:
    return {
        "paper": ", ".join(filter(None, (method.authors, method.reference))) or "none",
        "reads from the teacher": _signals(method.requires),
        "serves": " and ".join(method.kinds) + " tasks",
        "rows without a label": method.use_of_unlabelled(),
    }


def _signals(output_spec: Any) -> str:
    return ", ".join(dict.fromkeys(signal.title for signal in output_spec)) or "nothing"


def _unknown(name: str) -> SpecError:
    from raykd import registry

    if "." in name:  # a module of the user's: why it is no method
        try:
            registry.load("methods", name)
        except SpecError as exc:
            return exc
    every = [*registry.names("methods"), *registry.variants("tasks"), *family_table.family_names()]
    for kind in _NOT_OF_ARMS:
        every += registry.names(kind)
    from raykd.spec.reference import SECTIONS

    every += [*SECTIONS, "train", "finetune"]
    hint = registry.suggestion(name, every) or "raykd ls lists what there is"
    return UnknownName(f"nothing is called '{name}'", hint=hint)
