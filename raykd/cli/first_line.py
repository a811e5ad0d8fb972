"""What an extension is, in one line: the first one of its module."""

from __future__ import annotations


def first_line(kind: str, name: str) -> str:
    """The first line of a module's docstring, read without importing the module."""
    import ast
    import importlib.util

    from raykd import registry

    packages = {"families": "raykd.models.families", "methods": "raykd.methods"}
    package = packages.get(kind, f"raykd.search.{kind}")
    spec = importlib.util.find_spec(f"{package}.{name}")
    if spec is None or spec.origin is None:
        return (registry.module(kind, name).__doc__ or "").partition("\n")[0]
    with open(spec.origin, encoding="utf-8") as file:
        text = ast.get_docstring(ast.parse(file.read())) or ""
    return text.partition("\n")[0]
