"""Text files are UTF-8, whatever the locale of the machine is: every opening says so."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "raykd"
OPENERS = {"open", "read_text", "write_text", "NamedTemporaryFile", "TextIOWrapper"}


def unsaid(source: str) -> list[int]:
    """Lines that open a file as text without saying the encoding."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and _opens_text(node)
        if not any(keyword.arg in ("encoding", None) for keyword in node.keywords)
    ]


def _opens_text(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    is_method = isinstance(call.func, ast.Attribute)
    if name not in OPENERS or (name.endswith("_text") and not is_method):
        return False  # `read_text(path)` is a function of the package, whose own opening counts
    if is_method and ast.unparse(call.func.value) in (
        "os", "tarfile", "zipfile", "webbrowser", "Image",
    ):  # fmt: skip
        return False
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    modes = [a.value for a in given if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return name in ("read_text", "write_text") or not any("b" in m and len(m) < 4 for m in modes)


def test_every_text_file_is_opened_as_utf_8():
    actual = {
        f"{path.relative_to(PACKAGE.parent)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in unsaid(path.read_text(encoding="utf-8"))
    }
    assert not actual


def test_an_opening_without_an_encoding_is_found():
    assert unsaid("path.read_text()\nopen(p)\nopen(p, 'w')\npath.open()\np.write_text(t)") == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
    assert unsaid("path.read_text(encoding='utf-8')\nopen(p, 'rb')\npath.open('ab')\n") == []
