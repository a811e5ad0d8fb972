"""Runs every benchmark of this folder in turn: `python -m tests.benchmarks [--tiny] [NAME ...]`.

With ``--tiny`` at a size that proves its path, and nothing else.
"""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks import _tiny


def main(wanted: list[str]) -> int:
    is_tiny = "--tiny" in wanted
    wanted = [name for name in wanted if name != "--tiny"]
    names = _tiny.names()
    if unknown := [n for n in wanted if n not in names]:
        print(f"unknown benchmarks: {', '.join(unknown)}; there are {', '.join(names)}")
        return 2
    failed = []
    for name in wanted or names:
        print(f"== {name}", flush=True)
        # A process of its own: no warm caches, no memory and no cluster left by the one before.
        command = ["tests.benchmarks._tiny", name] if is_tiny else [f"tests.benchmarks.{name}"]
        done = subprocess.run([sys.executable, "-m", *command], check=False)
        if done.returncode not in (0, _tiny.NO_DATA):
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
