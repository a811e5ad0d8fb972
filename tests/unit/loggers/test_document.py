"""The logger of the document works from a module outside of the package."""

from __future__ import annotations

import sys

import pytest

from raykd.errors import UnknownName
from raykd.spec.load import load_spec
from tests.snippets import python_block
from tests.unit.loggers.messages import SEARCHED, VERDICT, deliver
from tests.unit.spec.files import HEAD


@pytest.fixture
def own(tmp_path, monkeypatch):
    package = tmp_path / "my_loggers"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "printed.py").write_text(python_block("docs/how-to/loggers.md", 0))
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_loggers.printed"
    for name in [n for n in sys.modules if n.partition(".")[0] == "my_loggers"]:
        del sys.modules[name]


def test_it_prints_what_it_receives(own, sweeping, capsys):
    sweeping.first()
    sweeping.second()
    deliver(own, sweeping.run, only="test/")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == sweeping.run.name
    assert f"{SEARCHED} {{'lr': 0.0001, 'temperature': 2}}" in printed
    assert any(VERDICT in line for line in printed)
    assert not any("validation/" in line for line in printed)


def test_a_search_space_names_it_with_its_parameters(own, tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text(f"{HEAD}methods: {{none: {{}}}}\nloggers: [{{{own}: {{only: test/}}}}]\n")
    (named,) = load_spec(file).loggers
    assert (named.name, named.params) == (own, {"only": "test/"})
    with pytest.raises(UnknownName, match=r"unknown logger 'my_loggers\.missing'"):
        deliver("my_loggers.missing", tmp_path)
