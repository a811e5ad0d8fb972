"""A file appears whole under its name, or what was there before stays."""

import errno
import os
from pathlib import Path

import pytest

from raykd.whole_file import whole_file


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_appears_when_all_of_it_is_there(tmp_path: Path, durable: bool):
    target = tmp_path / "file"
    target.write_text("old")
    with whole_file(target, durable=durable) as part:
        part.write_text("new")
        assert target.read_text() == "old"
        assert part.parent == tmp_path  # another file system could not take its place
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_what_was_there_stays_when_writing_ends_early(tmp_path: Path, error: BaseException):
    target = tmp_path / "file"
    target.write_text("old")

    def cut_short() -> None:
        with whole_file(target) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(type(error)):
        cut_short()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_missing_is_the_error_that_is_seen(tmp_path: Path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "gone" / "file") as part:
        part.write_text("new")


def test_a_durable_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch):
    synced: list[str] = []
    names = {"fsync": os.fsync, "replace": os.replace}
    for name, real in names.items():
        monkeypatch.setattr(
            os, name, lambda *args, real=real, name=name: (synced.append(name), real(*args))[1]
        )
    with whole_file(tmp_path / "file") as part:
        part.write_text("new")
    with whole_file(tmp_path / "help", durable=False) as part:
        part.write_text("new")
    assert synced == ["fsync", "replace", "replace"]


def test_processes_write_under_names_of_their_own(tmp_path: Path):
    target = tmp_path / "file"
    with whole_file(target) as part:
        part.write_text("mine")
        if not os.fork():
            try:
                with whole_file(target) as other:
                    other.write_text("theirs")
            finally:
                os._exit(0)
        os.wait()
        assert target.read_text() == "theirs"
        assert part.read_text() == "mine"
    assert target.read_text() == "mine"


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "there" / "report.html", tmp_path / "report.html"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    with whole_file(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_what_is_no_plain_file_is_written_to_as_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR)
    with whole_file(pipe) as part:
        part.write_text("new")
    assert os.read(end, 9) == b"new"
    os.close(end)
    assert pipe.is_fifo()
