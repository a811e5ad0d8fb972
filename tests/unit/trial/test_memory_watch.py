"""A worker that takes too much memory gets a message with the figure."""

from __future__ import annotations

import mmap
import os
import threading

import pytest

from raykd.trial import memory_watch
from raykd.trial.memory_watch import MemoryWatch, own_bytes, too_much

MIB, GIB = 2**20, 2**30


def test_memory_beyond_the_limit_is_reported_once_with_the_figure():
    message, heard = [], threading.Event()

    def passed(why):
        message.append(why)
        heard.set()

    most = own_bytes(os.getpid()) + 64 * MIB
    with MemoryWatch(most, passed) as watch:
        assert not heard.wait(2 * memory_watch.EVERY_S)
        held = b"x" * (128 * MIB)
        assert heard.wait(10)
    assert watch.over
    assert len(held) == 128 * MIB
    (why,) = message
    assert f"GiB of memory, of {most / GIB:.1f} GiB that it may have" in why


def test_what_nobody_has_heard_is_reported_again():
    said, heard = [], threading.Event()

    def passed(why):
        said.append(why)
        if len(said) == 1:
            raise OSError("not now")
        heard.set()

    with MemoryWatch(1, passed):
        assert heard.wait(10)
    assert len(said) == 2


def test_what_processes_share_does_not_count():
    before = own_bytes(os.getpid())
    with mmap.mmap(-1, 64 * MIB) as shared:  # anonymous and shared, as an object store is
        shared.write(b"x" * (64 * MIB))
        assert own_bytes(os.getpid()) - before < 32 * MIB


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node as the kernel describes it: workers by their GiB, this process the first one."""

    def describe(workers, free, total=64, others=(), limit=None, used=0):
        names = [str(os.getpid()), *(str(10**7 + k) for k in range(len(workers) + len(others)))]
        for k, size in enumerate([*workers, *others]):
            folder = tmp_path / names[k]
            folder.mkdir()
            pages = int(size * GIB) // os.sysconf("SC_PAGE_SIZE")
            (folder / "statm").write_text(f"9999999 {pages + 1000} 1000 1 0 1 0")
            name = b"ray::RayTrainWorker" if k < len(workers) else b"ray::Other"
            (folder / "cmdline").write_bytes(name + b"\0" * 9)
        (tmp_path / "meminfo").write_text(
            f"MemTotal: {total * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {free * 2**20:.0f} kB\n"
            "HugePages_Total:       0\n"
        )
        if limit is not None:
            (tmp_path / "memory.max").write_text(f"{limit * GIB}\n")
            (tmp_path / "memory.current").write_text(f"{used * GIB}\n")
            (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {2 * GIB}\n")
        monkeypatch.setattr(memory_watch, "_PROC", tmp_path)
        monkeypatch.setattr(memory_watch, "_CGROUP", tmp_path)

    return describe


def test_where_a_node_runs_out_the_worker_with_most_of_it_is_stopped(node):
    node([40, 5], free=2)
    assert too_much(None) == "took 40.0 GiB of memory, and 2.0 GiB of 64.0 GiB are left on its node"


@pytest.mark.parametrize(
    ("workers", "free", "others"),
    [
        ([40, 5], 20, ()),  # there is enough
        ([5, 40], 2, ()),  # another worker has more
        ([10], 2, (45,)),  # another program has it
        ([8, 7], 2, ()),  # nobody has more than half of a fair share
    ],
)
def test_others_are_left_alone(node, workers, free, others):
    node(workers, free=free, others=others)
    assert too_much(None) == ""


def test_the_limit_of_a_container_counts(node):
    node([12], free=40, limit=16, used=17)  # of which 2 GiB are pages of files
    assert too_much(None).endswith("and 1.0 GiB of 16.0 GiB are left on its node")


def test_a_system_that_does_not_tell_stops_nobody(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_watch, "_PROC", tmp_path)
    assert too_much(1) == ""
