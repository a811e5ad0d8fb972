"""A journal that was cut at any byte is opened again, and loses no whole line."""

from __future__ import annotations

import os
import resource
import signal

import optuna
import pytest
from optuna.storages import JournalStorage

from raykd.errors import SetupError
from raykd.search.study import StudySearch
from raykd.search.study_journal import StudyJournal, open_journal, repair
from tests.unit.search.studies import space


def opened(path):
    return StudySearch(
        space(),
        JournalStorage(StudyJournal(path)),
        lambda existing: optuna.samplers.RandomSampler(0),
    )


def one_trial(path, value=0.5):
    search = opened(path)
    search.suggest("a")
    search.report("a", 1.0, value)
    search.complete("a", [value])
    return search


@pytest.mark.parametrize("cut", [1, 2, 17, 40, 41, 90, 200])
def test_a_journal_that_was_cut_continues_again_and_again(tmp_path, cut):
    path = tmp_path / "studies.journal"
    for value in (0.1, 0.2, 0.3):
        one_trial(path, value)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    for value in (0.4, 0.5, 0.6):
        one_trial(path, value)
    assert path.read_bytes().startswith(whole[: whole.rindex(b"\n", 0, len(whole) - cut) + 1])
    values = [t.value for t in opened(path).study.get_trials() if t.value is not None]
    assert values[:2] == [0.1, 0.2]
    assert values[-3:] == [0.4, 0.5, 0.6]


def test_a_line_that_an_earlier_raykd_appended_to_a_cut_one_is_kept(tmp_path):
    path = tmp_path / "studies.journal"
    one_trial(path, 0.1)
    before = path.read_bytes()
    one_trial(path, 0.2)
    appended = path.read_bytes()[len(before) :]
    path.write_bytes(before + b'{"op_code":5,"worker_id":"x","trial_i' + appended)
    assert repair(path) == 1
    assert path.read_bytes() == before + appended
    assert [t.value for t in opened(path).study.get_trials()] == [0.1, 0.2]


def test_a_whole_journal_is_left_as_it_is(tmp_path):
    path = tmp_path / "studies.journal"
    one_trial(path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert repair(path) == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert repair(tmp_path / "none.journal") == 0


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0\0\0", b'{"op_c'])
def test_what_was_cut_to_nothing_is_dropped(tmp_path, content):
    path = tmp_path / "studies.journal"
    path.write_bytes(content)
    one_trial(path)
    assert [t.value for t in opened(path).study.get_trials()] == [0.5]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe garbage", b"[1]\n3\n", b'{"a": 1}\n', b'{"op_code": 99}\n']
)
def test_another_file_is_moved_aside_and_not_lost(tmp_path, content):
    path = tmp_path / "studies.journal"
    path.write_bytes(content)
    storage, dropped = open_journal(path)
    assert "is now studies.journal.unreadable" in dropped
    assert (tmp_path / "studies.journal.unreadable").read_bytes() == content
    assert storage.get_all_studies() == []
    one_trial(path)
    assert open_journal(path)[1] == ""


def test_the_lock_of_a_killed_driver_is_not_waited_for(tmp_path):
    path = tmp_path / "studies.journal"
    one_trial(path)
    os.symlink(path, f"{path}.lock")
    one_trial(path)
    assert not os.path.lexists(f"{path}.lock")


def test_a_full_disk_is_reported_and_leaves_whole_lines(tmp_path):
    """In a child: a limit on the size of files cannot be taken back in this process."""
    path = tmp_path / "studies.journal"
    one_trial(path)
    whole = path.read_bytes()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 40, len(whole) + 40))
        try:
            one_trial(path)
        except SetupError as exc:
            os._exit(0 if "cannot write" in exc.message and "--resume" in exc.hint else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == whole
    one_trial(path, 0.7)
    assert [t.value for t in opened(path).study.get_trials()] == [0.5, 0.7]
