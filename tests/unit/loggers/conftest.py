from pathlib import Path

import pytest

from tests.unit.loggers.messages import Sweeping


@pytest.fixture
def sweeping(tmp_path: Path) -> Sweeping:
    return Sweeping(tmp_path)
