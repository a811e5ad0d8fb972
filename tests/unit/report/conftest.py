from pathlib import Path

import pytest

from raykd.results.records import SweepResult
from raykd.results.store import load_results
from tests.synthetic_run import write_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ckd_glue-20260114-093012"
    write_run(folder)
    return folder


@pytest.fixture(scope="session")
def result(run_folder: Path) -> SweepResult:
    return load_results(run_folder)
