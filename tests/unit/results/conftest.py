from pathlib import Path

import pytest

from tests.synthetic_run import Builder, write_run


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return write_run(tmp_path_factory.mktemp("runs") / "full")


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    made = Builder(tmp_path / "run")
    made.start()
    return made
