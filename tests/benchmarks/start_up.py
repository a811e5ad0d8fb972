"""From the command to the first training step, against importing what a sweep needs at least.

``python -m tests.benchmarks.start_up [PAIRS]`` (3 unless given). Each pair is ``raykd sweep`` with
the teacher in the cache, ended at the first step of a trial, and one process that imports torch,
transformers and Ray. Next to it, a process imports what raykd's processes that train import, with
the code of a model: a start of raykd takes at least as long. CPU seconds are those of all processes
of the sweep, of Ray's, too; a table has them by process. Compiled modules are read from disk, as in
any installation.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks._meter import family

PAIRS = 3
GOAL = 2.0
LONGEST_S = 300.0
POLL_S = 0.05
SPACE = """
name: start_up
tasks: [toy/sentiment]
data: {student_rows: 200, max_length: 32, select_on: {split: validation},
       report_on: {split: test}}
teacher:
  model: {family: bert, layers: 1, hidden: 32, heads: 2}
  finetune: {epochs: 1, batch_size: 64}
student: {model: {family: bert, layers: 1, hidden: 48, heads: 2}}
train: {epochs: 1, batch_size: 16, lr: {loguniform: [5e-4, 3e-3]}}
methods:
  none: {}
  noted: {method: tests.benchmarks._first_step}
search: {trials: 4, algorithm: random}
confirm: {seeds: []}
"""
BASELINE = "import torch, transformers, ray"
NEEDED = "import raykd.trial.worker; from transformers import BertForSequenceClassification"


def cpu_seconds(processes: set[int]) -> Counter[str]:
    """User and system time of processes that are alive, and of children that they waited for.

    Returns:
        Seconds by name: what Ray calls a worker, else the program or module.
    """
    actual: Counter[str] = Counter()
    for process in processes:
        try:
            stat = Path(f"/proc/{process}/stat").read_text()
            command = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
        except OSError:  # it ended meanwhile
            continue
        ticks = sum(map(int, stat.rpartition(")")[2].split()[11:15]))
        actual[_name(command)] += ticks / os.sysconf("SC_CLK_TCK")  # type: ignore[assignment]
    return actual


def _name(command: list[str]) -> str:
    if command[0].startswith("ray::"):
        return command[0].partition(".")[0]
    if "-m" in command:
        return command[command.index("-m") + 1]
    files = [Path(part).name for part in command if part.endswith(".py")]
    return files[0] if files else Path(command[0]).name


def imports(code: str = BASELINE) -> tuple[float, float]:
    """Wall and CPU seconds of a process that imports."""
    began, before = time.monotonic(), os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    now = os.times()
    used = now.children_user + now.children_system - before.children_user - before.children_system
    return time.monotonic() - began, used


def start(folder: Path, environment: Mapping[str, str]) -> tuple[float, Counter[str]]:
    """Wall seconds of a sweep up to its first step, CPU seconds by process; then it is ended.

    Raises:
        RuntimeError: It ended, or took too long, before that.
    """
    noted = folder / "noted"
    noted.unlink(missing_ok=True)
    began = time.time()
    with (folder / "said").open("w") as message:
        process = subprocess.Popen(
            [sys.executable, "-m", "raykd", "sweep", str(folder / "space.yaml"),
             "--out", str(folder / "runs"), "--format", "plain", "--allow-imports"],
            env={**environment, "RAYKD_FIRST_STEP": str(noted)}, stdout=message, stderr=message,
        )  # fmt: skip
        while not noted.exists():
            if process.poll() is not None or time.time() - began > LONGEST_S:
                raise RuntimeError((folder / "said").read_text())
            time.sleep(POLL_S)
        used = cpu_seconds(family(process.pid))
        process.send_signal(signal.SIGTERM)
        process.wait(LONGEST_S)
    return float(noted.read_text()) - began, used


def main() -> None:
    """Print both and their ratios."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "space.yaml").write_text(SPACE + f"report: {{path: {folder}/report.html}}\n")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        environment = {**os.environ, "RAYKD_CACHE": str(folder / "cache")}
        start(folder, environment)  # fills the cache of teachers and reads files from the disk
        imports()
        actual = [
            (*start(folder, environment), *imports(), imports(NEEDED)[0]) for _ in range(pairs)
        ]
    for wall, cpu, least_wall, least_cpu, needed in actual:
        print(
            f"first step after {wall:.1f} s ({cpu.total():.1f} CPU s); "
            f"imports alone {least_wall:.1f} s ({least_cpu:.1f} CPU s); "
            f"those of a process that trains {needed:.1f} s"
        )
    print("CPU seconds by process: " + ", ".join(f"{n} {s:.1f}" for n, s in cpu.most_common()))
    ratio = statistics.median(wall / least for wall, _, least, _, _ in actual)
    of_cpu = statistics.median(cpu.total() / least for _, cpu, _, least, _ in actual)
    bound = statistics.median(needed / least for _, _, least, _, needed in actual)
    print(f"ratio start / imports: {ratio:.2f} (goal <= {GOAL:g}); of CPU seconds {of_cpu:.2f}")
    print(f"ratio imports of a process that trains / imports: {bound:.2f}")


if __name__ == "__main__":
    main()
