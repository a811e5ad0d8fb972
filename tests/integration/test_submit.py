"""A sweep sent to a cluster's job server, followed from here and fetched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import ray

from raykd.cli.main import main
from raykd.clusters.connection import connected
from raykd.clusters.job_submission import Submission
from raykd.errors import SetupError
from raykd.results.records import Status
from raykd.results.store import load_results

HEAD = """
import sys, time, ray
found = ray.init(address="local", num_cpus=1, include_dashboard=True, dashboard_port=0,
                 object_store_memory=200 * 2**20)
print("http://" + found.dashboard_url, flush=True)
print(found.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""
WHERE = """
import sys, ray
from raykd.clusters.connection import connected
with connected("auto"):
    print("connected to", ray.get_runtime_context().gcs_address)
"""
SPACE = """
name: tiny
tasks: [toy/sentiment]
data: {limit: 240, max_length: 32, student_rows: 96,
       select_on: {split: validation}, report_on: {split: test}}
teacher:
  model: {family: bert, layers: 1, hidden: 32, heads: 2, vocabulary: 400, max_positions: 64}
  finetune: {epochs: 1}
student:
  model: {family: bert, layers: 1, hidden: 16, heads: 2, vocabulary: 400, max_positions: 64}
train: {epochs: 1, precision: fp32}
methods: {none: {}, kd: {alpha: {uniform: [0.1, 0.9]}}}
search: {trials: 9, algorithm: random}
confirm: {seeds: [1]}
"""


class Head(NamedTuple):
    """A cluster with a job server.

    Attributes:
        url: Of the job server.
        address: Of the cluster.
    """

    url: str
    address: str


@pytest.fixture(scope="module")
def head(cluster: None) -> Iterator[Head]:
    """A cluster with a job server, besides the one that all tests here share."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ,
             "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
             "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    lines = iter(process.stdout.readline, "")
    url = next(line.strip() for line in lines if line.startswith("http"))
    yield Head(url, next(lines).strip())
    process.stdin.close()
    process.wait(60)


@pytest.mark.slow
def test_a_submitted_sweep_comes_back_with_its_report(
    head: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(SPACE)
    code = main(["sweep", "tiny.yaml", "--submit", head.url, "--trials", "2", "--format", "plain",
                 "--out", str(tmp_path / "runs")])  # fmt: skip
    out, err = capsys.readouterr()
    assert code == 0, err
    (run,) = (tmp_path / "runs").iterdir()
    result = load_results(run)
    assert {t.status for t in result.trials} == {Status.COMPLETED}
    assert len(result.trials) == 2 * (2 + 1)
    assert (tmp_path / "reports" / "tiny.html").read_text().startswith("<!doctype html>")
    assert f"run: {run}" in out
    assert "toy-sentiment.kd.s000 completed" in err


@pytest.mark.slow
def test_a_job_finds_its_own_cluster_among_those_of_the_machine(head: Head, tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(WHERE)
    other = ray.get_runtime_context().gcs_address
    submission = Submission(head.url)
    lines: list[str] = []
    # What Ray itself tells a job where it takes the wrong one of several.
    job = submission.start(f"RAY_ADDRESS={other} {sys.executable} {tmp_path}/where.py")
    submission.follow(job, lambda event: None, lines.append)
    assert submission.exit_code(job) == 0, lines
    assert f"connected to {head.address}" in lines
    assert head.address != other


@pytest.mark.slow
def test_another_token_is_one_message(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(SetupError, match="asks for another token"):
        Submission(head.url)


def test_a_cluster_that_does_not_answer_is_one_message() -> None:
    with pytest.raises(SetupError, match=r"cluster at http://127\.0\.0\.1:9 does not answer"):
        Submission("http://127.0.0.1:9")


def test_an_environment_that_cannot_be_set_up_is_one_message(cluster: None) -> None:
    gone = {"working_dir": "gcs://_ray_pkg_0123456789abcdef.zip"}
    ask = ray.remote(num_cpus=0, runtime_env=gone)(lambda: None)
    with (
        pytest.raises(SetupError, match=r"cannot set up the environment of the job: \S") as caught,
        connected(None),
    ):
        ray.get(ask.remote())
    (problem,) = caught.value.problems()
    assert "_ray_pkg_0123456789abcdef.zip" in problem.message
    assert "\n" not in problem.message
