"""The table of torn files: what it says of a few cuts (`python -m tests.chaos.torn` takes all)."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.torn import FILES, rows
from tests.unit.sweep.test_torn_files import one_run


def test_commands_continue_or_refuse_and_change_nothing(tmp_path: Path) -> None:
    table = {name: cells for name, *cells in rows(one_run(tmp_path / "runs"), FILES, 3_000)}
    assert [cells[-1] for cells in table.values()] == ["nothing"] * len(FILES)
    states, _, _, resumed, *_ = table["resolved.yaml"]
    assert resumed == f"continues {states}"
    assert "refuses" in table["resolved.json"][3]
