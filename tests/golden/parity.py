"""Compares raykd with numbers of the original implementations.

`python -m tests.golden.parity DIR [--only PREFIX]` checks every ``.npz`` and ``.json`` file of a
folder with the checker its name begins with (`tests.golden.checkers`) and prints a line per file.
It exits 1 when a number is off, a key is not understood, a file cannot be read, or nothing was
compared.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from tests.golden import checkers
from tests.golden.comparison import Comparison, NotOffered, Unknown

_SHOWN = 10


def checker_for(path: Path) -> str | None:
    """The checker whose name the file's name begins with; the longest one counts."""
    names = [m.name for m in pkgutil.iter_modules(checkers.__path__)]
    fitting = [n for n in names if path.stem == n or path.stem.startswith(n + "_")]
    return max(fitting, key=len, default=None)


def check_file(path: Path, checker: str) -> tuple[int, bool]:
    """Check and describe one file: how many numbers were compared, and whether all is well."""
    module = importlib.import_module(f"tests.golden.checkers.{checker}")
    try:
        actual = list(module.check(path))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, json.JSONDecodeError) as exc:
        print(f"{path.name}: cannot be read: {exc}")
        return 0, False
    compared = [f for f in actual if isinstance(f, Comparison)]
    unknown = [f for f in actual if isinstance(f, Unknown)]
    wrong = [c for c in compared if not c.passes]
    parts = [_worst([c for c in compared if c.kind == k], k) for k in _kinds(compared)]
    print(f"{path.name}: " + ("; ".join(parts) or "nothing compared"))
    lines = [f"{c.key}: {c.kind} error {c.error:.2e} > {c.tolerance:.0e}" for c in wrong]
    lines += [f"{u.key}: not understood: {u.why}" for u in unknown]
    left = [f.why for f in actual if isinstance(f, NotOffered)]
    for why in dict.fromkeys(left):
        print(f"  {left.count(why)} numbers left out: {why}")
    for line in lines[:_SHOWN]:
        print(f"  FAIL {line}")
    if len(lines) > _SHOWN:
        print(f"  FAIL ... and {len(lines) - _SHOWN} more")
    return len(compared), bool(compared) and not lines


def _kinds(compared: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(c.kind for c in compared))


def _worst(compared: Sequence[Comparison], kind: str) -> str:
    worst = max(compared, key=lambda c: c.error / c.tolerance if c.tolerance else c.error)
    noun = {
        "index": "index lists",
        "value": "values",
        "gradient": "gradients",
        "zero": "zeros",
    }.get(kind, kind)
    return f"{len(compared)} {noun}, worst error {worst.error:.2e} ({worst.key})"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden.parity", description=__doc__)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--only", metavar="PREFIX", default="", help="files that begin with this")
    args = parser.parse_args(argv)
    if not args.folder.is_dir():
        print(f"{args.folder}: there is no such folder")
        return 1
    files = sorted(p for p in args.folder.iterdir() if p.suffix in (".npz", ".json"))
    files = [p for p in files if p.name.startswith(args.only)]
    total, well = 0, True
    for path in files:
        checker = checker_for(path)
        if checker is None:
            print(f"{path.name}: no checker yet")
            well = well and not args.only
            continue
        count, passed = check_file(path, checker)
        total, well = total + count, well and passed
    if total == 0:
        print("nothing was compared")
    print(f"{total} numbers compared: {'all agree' if well and total else 'FAILED'}")
    return 0 if well and total else 1


if __name__ == "__main__":
    sys.exit(main())
