from pathlib import Path

import pytest

from tests.unit.loggers.told import Sweeping


@pytest.fixture
def sweeping(tmp_path: Path) -> Sweeping:
    return Sweeping(tmp_path)
