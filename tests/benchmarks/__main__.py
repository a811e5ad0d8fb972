"""Runs every benchmark of this folder in turn: `python -m tests.benchmarks [NAME ...]`."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

from tests import benchmarks


def main(wanted: list[str]) -> int:
    found = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__))
    names = [n for n in found if not n.startswith("_")]
    if unknown := [n for n in wanted if n not in names]:
        print(f"unknown benchmarks: {', '.join(unknown)}; there are {', '.join(names)}")
        return 2
    failed = []
    for name in wanted or names:
        print(f"== {name}", flush=True)
        if not hasattr(importlib.import_module(f"tests.benchmarks.{name}"), "main"):
            print("no main() in this module")
            failed.append(name)
            continue
        # A process of its own: no warm caches, no memory and no cluster left by the one before.
        done = subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
