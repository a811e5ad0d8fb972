"""How large things in raykd may be: files, functions, and what is written twice."""

import ast
import re
import statistics
from collections import defaultdict
from pathlib import Path

import raykd

ROOT = Path(raykd.__file__).parent
TEXTS = {str(p.relative_to(ROOT)): p.read_text("utf-8") for p in sorted(ROOT.rglob("*.py"))}
FUNCTION_LINES = 60
MEDIAN_FILE_LINES = 120
FILE_LINES = 350
EQUAL_LINES = 6


def _code_lines(text: str) -> list[tuple[int, str]]:
    """Number and text of each line that counts: no blank, comment, punctuation or import line.

    White space is folded, so indentation makes no difference.
    """
    # Imports are statements at the margin, or of one line inside a function.
    text = re.sub(
        r"^from \S+ import \([^)]*\)", lambda m: "\n" * m[0].count("\n"), text, flags=re.M
    )
    lines = enumerate((" ".join(line.split()) for line in text.splitlines()), start=1)
    return [
        (number, line)
        for number, line in lines
        if re.search(r"\w", line) and not re.match(r"#|import |from \S+ import ", line)
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
    pairs = {
        (one, two) for actual in places.values() for one in actual for two in actual if one < two
    }
    later = {(following[one], following[two]) for one, two in pairs}
    return sorted(f"{a}:{i} ~ {b}:{j}" for (a, i), (b, j) in pairs - later)


def test_functions_fit_a_screen():
    """A function has at most so many lines, from ``def`` to its last, docstring included."""
    long = [
        f"{name}:{node.lineno} {node.name}: {lines}"
        for name, text in TEXTS.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_files_are_short():
    lines = {name: len(text.splitlines()) for name, text in TEXTS.items()}
    long = [f"{name}: {count}" for name, count in lines.items() if count > FILE_LINES]
    assert not long, "\n".join(long)
    assert statistics.median(lines.values()) <= MEDIAN_FILE_LINES


def test_no_lines_are_written_twice():
    repeated = _repeated(TEXTS)
    assert not repeated, "\n".join(repeated)


def test_repeated_lines_are_found():
    block = "".join(f"a{i} = {i}\n" for i in range(EQUAL_LINES))
    indented = "def f():\n" + "".join(f"    {line}\n\n" for line in block.splitlines())
    assert _repeated({"one": block, "two": indented}) == ["one:1 ~ two:2"]
    assert _repeated({"one": block + "b = 1\n" + block}) == [f"one:1 ~ one:{EQUAL_LINES + 2}"]
    assert _repeated({"one": block, "two": block.replace("a3", "b3")}) == []
    imports = "".join(f"import a{i}\n" for i in range(EQUAL_LINES))
    assert _repeated({"one": imports, "two": imports}) == []
