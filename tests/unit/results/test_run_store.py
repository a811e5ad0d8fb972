"""Files of a folder in a store, on this machine and in S3 as moto plays it."""

from __future__ import annotations

import os
import time

import pytest

from raykd.errors import SetupError, SpecError
from raykd.results import run_store
from raykd.results.run_copy import RunCopy, fetch
from raykd.results.run_store import RunStore
from raykd.results.store_address import above, below, is_address, last_part
from raykd.results.store_lease import StoreLease
from tests.s3_server import ENVIRONMENT, s3_bucket


@pytest.fixture(scope="module")
def bucket():
    with s3_bucket() as address:
        yield address


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["file", "s3"])
def store(request, tmp_path):
    if request.param == "file":
        return RunStore(f"file://{tmp_path}/store")
    return RunStore(below(request.getfixturevalue("bucket"), tmp_path.name))


def test_what_was_put_is_listed_read_fetched_and_deleted(store, tmp_path):
    assert store.listed() == {}
    assert store.read("state/a") is None
    file = tmp_path / "a"
    file.write_bytes(b"x" * 1000)
    status = file.stat()
    assert store.put(file, "state/a") == (1000, status.st_mtime_ns)
    store.write("top", b"content")
    listed = store.listed()
    assert {name: stored.size for name, stored in listed.items()} == {"state/a": 1000, "top": 7}
    assert abs(listed["top"].changed - time.time()) < 60
    assert store.changed("top") == pytest.approx(listed["top"].changed, abs=1.0)
    assert store.read("top") == b"content"
    store.get("state/a", tmp_path / "new" / "a", listed["state/a"].changed)
    assert (tmp_path / "new" / "a").read_bytes() == file.read_bytes()
    assert (tmp_path / "new" / "a").stat().st_mtime == pytest.approx(listed["state/a"].changed)
    store.delete("state/a")
    store.delete("state/a")
    assert set(store.listed()) == {"top"}


def test_a_file_is_put_in_pieces_and_as_far_as_wanted(store, tmp_path, monkeypatch):
    monkeypatch.setattr(run_store, "CHUNK", 1000)
    file = tmp_path / "large"
    file.write_bytes(os.urandom(3100))
    store.put(file, "large", 2010)
    assert store.read("large") == file.read_bytes()[:2010]
    assert store.put(tmp_path / "gone", "gone") is None
    assert set(store.listed()) == {"large"}


def test_the_clock_of_the_store_is_read(store):
    assert abs(store.now() - time.time()) < 60
    assert store.listed() == {}


def test_a_run_folder_is_copied_and_fetched(store, tmp_path):
    run = tmp_path / "here"
    (run / "state").mkdir(parents=True)
    (run / "events.jsonl").write_text('{"event": "a"}\n')
    (run / "state" / "a.safetensors").write_text("a")
    copy = RunCopy(store, run, {})
    copy.copy()
    (run / "state" / "a.safetensors").unlink()
    (run / "state" / "b.safetensors").write_text("b")
    with (run / "events.jsonl").open("a") as log:
        log.write('{"event": "b"}\n')
    copy.copy()
    there = tmp_path / "there"
    for _ in range(2):
        fetch(store, there)
        assert (there / "events.jsonl").read_text() == (run / "events.jsonl").read_text()
        assert [file.name for file in (there / "state").iterdir()] == ["b.safetensors"]


def test_a_lease_is_taken_refused_given_back_and_taken(store):
    one, two = (StoreLease(store, 60.0, 0.0) for _ in range(2))
    assert not one.take()
    one.renew()
    with pytest.raises(SetupError, match=r"another sweep is writing .*last heard of \d+ s ago"):
        two.take()
    one.release()
    assert not two.take()
    assert two.last() == two.owner
    assert StoreLease(store, 60.0, 0.0).take((two.owner,))


def test_a_bucket_that_is_not_there_is_reported(bucket):
    store = RunStore(bucket.replace("bucket/runs", "nobucket/runs"))
    with pytest.raises(SetupError, match=r"s3://nobucket/runs.* cannot be .*NO_SUCH_BUCKET"):
        store.now()


def test_names_that_lead_elsewhere_are_refused(tmp_path, monkeypatch):
    store = RunStore(f"file://{tmp_path}/store")
    store.write("state/a", b"x")
    monkeypatch.setattr(run_store, "_relative", lambda path, root: "state/../../out")
    with pytest.raises(SetupError, match="whose name leads elsewhere"):
        store.listed()


def test_a_bucket_alone_is_a_place_and_none_is_not(bucket):
    RunStore(bucket.replace("bucket/runs", "bucket"))
    with pytest.raises(SpecError, match="names no bucket"):
        RunStore("s3://")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("s3://b/x", True), ("gs://b", True), ("file:///x", True), ("runs/x", False), ("/a:b", False)],
)
def test_addresses_are_told_from_paths(text, is_one):
    assert is_address(text) == is_one


def test_options_of_an_address_stay_at_its_end():
    address = "s3://b/runs/?scheme=http&region=x/y"
    assert below(address, "RUN") == "s3://b/runs/RUN?scheme=http&region=x/y"
    assert last_part(below(address, "RUN")) == "RUN"
    assert above(below(address, "RUN")) == "s3://b/runs?scheme=http&region=x/y"
