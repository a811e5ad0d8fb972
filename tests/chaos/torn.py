"""Files of a run folder, cut and spoilt: `python -m tests.chaos.torn [--every BYTES]`.

Each file is cut at every so many bytes of its last 4 kB, is gone, foreign, of zeros or empty, and
then read by the commands. They continue with what is whole or refuse with a message, and what
refuses leaves every byte as it was. The table is that of docs/explanation/reliability.md.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from raykd.cli.ls import meaning_of
from raykd.cli.main import main as raykd
from tests.chaos.__main__ import head, processor, show
from tests.unit.sweep.test_torn_files import FOREIGN, TAIL, one_run

FILES = (
    "events.jsonl", "studies.journal", "resolved.json", "resolved.yaml", "env.json",
    "trials.parquet",
)  # fmt: skip
COMMANDS: Mapping[str, Sequence[str]] = {
    "report": ("report", "RUN", "--format", "json"),
    "--resume": ("sweep", "--resume", "RUN", "--dry-run", "--no-data"),
    "--resume --trials": ("sweep", "--resume", "RUN", "--dry-run", "--no-data", "--trials", "9"),
}
COLUMNS = ("file", "states", "ls", *COMMANDS, "wrong")


def damaged(content: bytes, every: int) -> Iterator[bytes | None]:
    """What becomes of a file: cut, gone (None), foreign, of zeros, empty."""
    for end in range(max(0, len(content) - TAIL), len(content), every):
        yield content[:end]
    yield from (None, *FOREIGN)


def outcome(run: Path, command: Sequence[str]) -> str:
    """Whether a command continues or refuses; what is wrong begins with ``wrong``."""
    arguments = [str(run) if part == "RUN" else part for part in command]
    before = contents(run)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = raykd(arguments)
    message = err.getvalue()
    if "Traceback" in message or "bug in raykd" in message:
        return f"wrong: {message.strip().splitlines()[-1]}"
    if code and not message.strip():
        return "wrong: refused without a word"
    if contents(run) != before:
        return "wrong: another run folder"
    return "refuses" if code else "continues"


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run folder."""
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def rows(whole: Path, files: Iterable[str], every: int) -> Iterator[tuple[str, ...]]:
    """A row of the table for each file.

    Args:
        whole: A run folder, which stays as it is.
        files: Names of files in it.
        every: Bytes between two cuts.
    """
    for name in files:
        run = Path(shutil.copytree(whole, whole.with_name("torn")))
        content = (run / name).read_bytes()
        counts: dict[str, Counter[str]] = {command: Counter() for command in ("ls", *COMMANDS)}
        states = 0
        for state in damaged(content, every):
            states += 1
            (run / name).unlink(missing_ok=True)
            if state is not None:
                (run / name).write_bytes(state)
            listed = meaning_of("runs", str(run))
            counts["ls"]["refuses" if listed.startswith("cannot be read") else "continues"] += 1
            for command, arguments in COMMANDS.items():
                counts[command][outcome(run, arguments)] += 1
        shutil.rmtree(run)
        wrong = sorted({w for count in counts.values() for w in count if w.startswith("wrong")})
        cells = (
            ", ".join(
                f"{words} {count[words]}" for words in ("continues", "refuses") if count[words]
            )
            for count in counts.values()
        )
        yield name, str(states), *cells, "; ".join(wrong) or "nothing"


def main() -> int:
    """Print the table; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.torn")
    parser.add_argument("--every", type=int, default=1, help="bytes between two cuts")
    every = parser.parse_args().every
    print(f"cut at every {every} of the last {TAIL:,} bytes, {processor()}\n", flush=True)
    head(COLUMNS)
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="raykd-torn-") as folder:
        for row in rows(one_run(Path(folder) / "runs"), FILES, every):
            show(row)
            wrong += row[-1] != "nothing"
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
