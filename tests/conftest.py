"""How the suite runs: one thread a process, the same examples every time, files dealt to workers.

Workers (`pytest -n 2`, which `make test` gives) take whole files, so that what a file shares is
built once. All that starts Ray is one piece: its clusters would take each other's cores.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings

# Tests send Ctrl-C to processes that they start. A run that was begun in the background ignores it,
# and so would they.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before torch is imported, here and in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test that uses Ray starts it: `ray.put` alone would start a cluster, in whatever folder.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

RAY = ("tests/integration/", "tests/cluster/", "tests/chaos/")
FIRST = ("tests/integration", "tests/cases", "tests/contracts", "tests/golden")
"""Long pieces begin first, so that no worker is left alone with one at the end."""


# `--hypothesis-profile=searching` looks at new examples, and at more where a test names no number.
settings.register_profile("same", derandomize=True, deadline=None, database=None, max_examples=40)
settings.register_profile("searching", deadline=None, database=None, max_examples=1000)
settings.load_profile("same")


def piece(nodeid: str) -> str:
    """What is run by one worker in one go."""
    return "Ray" if nodeid.startswith(RAY) else nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        at = [n for n, folder in enumerate(FIRST) if item.nodeid.startswith(f"{folder}/")]
        return at[0] if at else len(FIRST)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByPiece(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return piece(nodeid)

    config.option.loadscopereorder = False
    return ByPiece(config, log)


@dataclass
class Spent:
    """What the tests of one folder took."""

    tests: int = 0
    skipped: int = 0
    seconds: float = 0.0


class Folders:
    """The time of each folder, at the end of a run of several."""

    def __init__(self) -> None:
        self.spent: dict[str, Spent] = defaultdict(Spent)
        self.began = time.monotonic()
        self.collected: float | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.collected is None:
            self.collected = time.monotonic() - self.began
        of = self.spent[_folder(report.nodeid)]
        of.tests += report.when == "setup"
        of.skipped += report.skipped
        of.seconds += report.duration

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if len(self.spent) < 2:
            return
        terminalreporter.section("seconds of each folder, over all workers")
        for folder, of in sorted(self.spent.items(), key=lambda item: -item[1].seconds):
            skipped = f", {of.skipped} skipped" if of.skipped else ""
            terminalreporter.write_line(f"{of.seconds:8.1f}  {folder}: {of.tests} tests{skipped}")
        terminalreporter.write_line(f"{self.collected or 0.0:8.1f}  until the first test was over")


def _folder(nodeid: str) -> str:
    parts = nodeid.partition("::")[0].split("/")[:-1]
    return "/".join(parts[:3]) or "."


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test, or a library that it uses, sets in the environment goes with the test.

    `monkeypatch.delenv` takes back nothing that is set after it.
    """
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Folders())
