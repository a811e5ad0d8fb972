"""How large things in raykd may be: files, functions, and what is written twice."""

import ast
import re
import statistics
from collections import defaultdict
from pathlib import Path

import raykd

ROOT = Path(raykd.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FUNCTION_LINES = 60
MEDIAN_FILE_LINES = 120
FILE_LINES = 350
EQUAL_LINES = 6


def _names(problems: list[str]) -> str:
    return "\n".join(problems)


def _code_lines(text: str) -> list[tuple[int, str]]:
    """Number and text of each line that counts: no blank, comment, punctuation or import line.

    White space is folded, so indentation makes no difference.
    """
    imports = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    lines = enumerate((" ".join(line.split()) for line in text.splitlines()), start=1)
    return [
        (number, line)
        for number, line in lines
        if number not in imports and re.search(r"\w", line) and not line.startswith("#")
    ]


def _repeated(texts: dict[str, str]) -> list[str]:
    """``FILE:LINE ~ FILE:LINE``: where each pair of equal runs of lines begins."""
    places = defaultdict(list)
    following = {}
    for name, text in texts.items():
        lines = _code_lines(text)
        for start in range(len(lines) - EQUAL_LINES + 1):
            run = tuple(line for _, line in lines[start : start + EQUAL_LINES])
            places[run].append(place := (name, lines[start][0]))
            following[place] = (name, lines[start + 1][0])
    pairs = {(one, two) for found in places.values() for one in found for two in found if one < two}
    later = {(following[one], following[two]) for one, two in pairs}
    return sorted(f"{a}:{i} ~ {b}:{j}" for (a, i), (b, j) in pairs - later)


def test_functions_fit_a_screen():
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert not long, _names(long)


def test_files_are_short():
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    long = [f"{name}: {count}" for name, count in lines.items() if count > FILE_LINES]
    assert not long, _names(long)
    assert statistics.median(lines.values()) <= MEDIAN_FILE_LINES


def test_no_six_equal_lines():
    repeated = _repeated({str(path.relative_to(ROOT)): path.read_text() for path in FILES})
    assert not repeated, _names(repeated)


def test_repeated_lines_are_found():
    block = "".join(f"a{i} = {i}\n" for i in range(EQUAL_LINES))
    indented = "def f():\n" + "".join(f"    {line}\n\n" for line in block.splitlines())
    assert _repeated({"one": block, "two": indented}) == ["one:1 ~ two:2"]
    assert _repeated({"one": block + "b = 1\n" + block}) == [f"one:1 ~ one:{EQUAL_LINES + 2}"]
    assert _repeated({"one": block, "two": block.replace("a3", "b3")}) == []
    imports = "".join(f"import a{i}\n" for i in range(EQUAL_LINES))
    assert _repeated({"one": imports, "two": imports}) == []
