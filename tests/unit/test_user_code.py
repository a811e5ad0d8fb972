"""Code that a search space names runs only where it was allowed; looking at a file runs none."""

from __future__ import annotations

import sys

import pytest

from raykd import user_code
from raykd.cli.main import main
from raykd.errors import SpecError
from raykd.registry import load
from tests.unit.spec.files import HEAD

METHOD = """
from pathlib import Path
Path({mark!r}).write_text("run")
from raykd.methods.kd import METHOD, Params
"""


@pytest.fixture(autouse=True)
def unlimited():
    yield
    user_code.allow_all()


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A file with a package next to it, another package elsewhere, and the mark both leave."""
    mark = tmp_path / "mark"
    names = f"beside_{tmp_path.name}", f"elsewhere_{tmp_path.name}"
    for name, folder in zip(names, ("here", "there"), strict=True):
        package = tmp_path / folder / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(METHOD.format(mark=str(mark)))
        (package / "method.py").write_text(METHOD.format(mark=str(mark)))
        monkeypatch.syspath_prepend(str(package.parent))
    file = tmp_path / "here" / "file.yaml"
    yield lambda which: (_written(file, f"{names[which]}.method"), mark)
    for name in [n for n in sys.modules if n.partition(".")[0] in names]:
        del sys.modules[name]


def _written(file, method):
    file.write_text(HEAD + f"methods: {{own: {{method: {method}}}}}\n")
    return str(file)


@pytest.mark.parametrize("which", [0, 1], ids=["next to it", "elsewhere"])
@pytest.mark.parametrize("command", ["validate", "data"])
def test_looking_at_a_file_runs_none_of_it(foreign, capsys, command, which):
    file, mark = foreign(which)
    assert main([command, file]) == 2
    assert not mark.exists()
    message = capsys.readouterr().err
    assert "is code, which is in" in message
    assert "--allow-imports" in message


@pytest.mark.parametrize("command", [["sweep"], ["sweep", "--dry-run"], ["trial", "--arm", "own"]])
def test_code_from_elsewhere_is_not_run_without_permission(foreign, capsys, command):
    file, mark = foreign(1)
    assert main([command[0], file, *command[1:]]) == 2
    assert not mark.exists()
    assert "--allow-imports" in capsys.readouterr().err


def test_code_next_to_the_file_is_run_by_a_sweep(foreign):
    file, mark = foreign(0)
    assert main(["sweep", file, "--dry-run", "--no-data"]) == 0
    assert mark.exists()


def test_what_is_allowed_is_run(foreign):
    file, mark = foreign(1)
    assert main(["validate", file, "--no-data", "--allow-imports"]) == 0
    assert mark.exists()


def test_a_metric_of_the_users_is_code_too(foreign):
    from raykd.data.text_scores import user_score

    _, mark = foreign(1)
    user_code.limit_to()
    with pytest.raises(SpecError, match="is code, which is in"):
        user_score(f"elsewhere_{mark.parent.name}.method.score")
    assert not mark.exists()


def test_modules_of_python_are_no_exception():
    sys.modules.pop("antigravity", None)
    user_code.limit_to()
    with pytest.raises(SpecError, match=r"'antigravity\.x' is code"):
        load("methods", "antigravity.x")
    assert "antigravity" not in sys.modules


def test_what_does_not_exist_is_still_an_unknown_name(capsys, tmp_path):
    file = _written(tmp_path / "file.yaml", "no_such_package.method")
    assert main(["validate", file]) == 2
    assert "unknown method 'no_such_package.method'" in capsys.readouterr().err
