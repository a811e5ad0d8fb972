"""``cluster/slurm.sh`` with pretended Slurm, Ray and raykd: who is called, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "cluster" / "slurm.sh"

COMMANDS = {
    "scontrol": 'printf "one\\ntwo\\n"',
    "getent": 'echo "10.0.0.1 STREAM one"',
    "ray": 'echo "ray $*" >> "$CALLS"',
    "srun": 'echo "srun $*" >> "$CALLS"',
    # It waits for the other machines.
    "python": 'cat > /dev/null; until [ "$2" = 1 ] || grep -q ^srun "$CALLS"; do sleep 0.02; done',
    "raykd": 'echo "raykd $*" >> "$CALLS"; exit "${CODE:-0}"',
}
SLURM = {"SLURM_JOB_ID": "123456", "SLURM_JOB_NODELIST": "one,two", "SLURM_JOB_NUM_NODES": "2",
         "SLURM_CPUS_PER_TASK": "16", "SLURM_GPUS_ON_NODE": "4"}  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def surroundings(tmp_path):
    """The environment of the script, and the file that calls are written to."""

    def make(**commands: str):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, body in (COMMANDS | commands).items():
            (folder / name).write_text(f"#!/bin/bash\n{body}\n")
            (folder / name).chmod(0o755)
        calls = tmp_path / "calls"
        path = f"{folder}:{os.environ['PATH']}"
        return {**os.environ, **SLURM, "PATH": path, "CALLS": str(calls)}, calls

    return make


def run(tmp_path, env, *arguments):
    given = arguments or ("space.yaml",)
    return subprocess.run(
        ["bash", str(SCRIPT), *given], env=env, cwd=tmp_path, capture_output=True, timeout=60
    )


def test_ray_on_every_machine_then_the_sweep(tmp_path, surroundings):
    env, calls = surroundings()
    assert run(tmp_path, env).returncode == 0
    message = calls.read_text().splitlines()
    holds, address = "--num-cpus 16 --num-gpus 4", "10.0.0.1:23456"
    assert message[0] == "ray get-auth-token --generate"
    assert message[1] == (
        "ray start --head --node-ip-address 10.0.0.1 --port 23456 "
        f"--dashboard-host 127.0.0.1 {holds}"
    )
    assert set(message[2:4]) == {
        f"srun --nodes 1 --ntasks 1 --exclude one ray start --block --address {address} {holds}",
        "raykd sweep space.yaml --address auto --out runs --format plain",
    }
    assert message[-1] == "ray stop --force"


def test_one_machine_needs_no_others(tmp_path, surroundings):
    env, calls = surroundings()
    assert run(tmp_path, env | {"SLURM_JOB_NUM_NODES": "1"}).returncode == 0
    assert "srun" not in calls.read_text()


def test_a_run_continues_in_a_new_job(tmp_path, surroundings):
    env, calls = surroundings()
    assert run(tmp_path, env, "--resume", "runs/a").returncode == 0
    assert "raykd sweep --resume runs/a --address auto" in calls.read_text()


def test_the_exit_code_is_that_of_the_sweep(tmp_path, surroundings):
    env, calls = surroundings()
    assert run(tmp_path, env | {"CODE": "3"}).returncode == 3
    assert calls.read_text().splitlines()[-1] == "ray stop --force"


def test_the_signal_before_the_end_lets_the_sweep_write_its_report(tmp_path, surroundings):
    body = (
        'trap \'sleep 0.2; echo "raykd saved" >> "$CALLS"; exit 130\' INT\n'
        'echo "raykd began" >> "$CALLS"; for _ in {1..300}; do sleep 0.1; done'
    )
    env, calls = surroundings(raykd=body)
    with subprocess.Popen(["bash", str(SCRIPT), "space.yaml"], env=env, cwd=tmp_path) as job:
        until = time.monotonic() + 30
        while not (calls.exists() and "raykd began" in calls.read_text()):
            assert time.monotonic() < until
            time.sleep(0.05)
        job.send_signal(signal.SIGINT)
        assert job.wait(timeout=30) == 130
    assert calls.read_text().splitlines()[-2:] == ["raykd saved", "ray stop --force"]
