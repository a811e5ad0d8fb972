from __future__ import annotations

from pathlib import Path

import pytest

from raykd.errors import SetupError
from raykd.results.run_archive import BEGIN, END, pack, unpack


def run_folder(folder: Path) -> Path:
    run = folder / "tiny-1"
    for name in ("report.html", "teachers/a.json", "checkpoints/b/model.bin", "state/c", "ray/d"):
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    return run


def test_a_run_folder_comes_through_a_log_without_what_is_large(tmp_path):
    text = "a warning\n" + pack(run_folder(tmp_path)) + "\nanother\n"
    assert max(map(len, text.splitlines())) <= 120
    actual = unpack(text, tmp_path / "here")
    assert actual == tmp_path / "here" / "tiny-1"
    files = {str(p.relative_to(actual)) for p in actual.rglob("*") if p.is_file()}
    assert files == {"report.html", "teachers/a.json"}
    assert (actual / "report.html").read_text() == "report.html" * 100


@pytest.mark.parametrize("text", ["", f"{BEGIN}\nAAAA", f"{BEGIN}\n!!\n{END}", f"{BEGIN}\n{END}"])
def test_what_is_no_whole_run_folder_is_refused(text, tmp_path):
    with pytest.raises(SetupError, match="the cluster sent"):
        unpack(text, tmp_path)
