"""A LAN for each test, and the proof that nothing of it is left."""

from collections.abc import Iterator

import pytest

from tests.cluster.lan import Lan, members, missing


@pytest.fixture
def can_pretend() -> None:
    reason = missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def lan(can_pretend: None) -> Iterator[Lan]:
    with Lan() as made:
        yield made
        namespaces = made.namespaces()
    assert not made.folder.exists()
    assert members(namespaces) == {}
