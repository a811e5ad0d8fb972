from __future__ import annotations

import sys

import pytest

from raykd import registry
from raykd.errors import SetupError, SpecError, UnknownName


@pytest.fixture
def extensions(tmp_path, monkeypatch):
    """A package of the user's own, outside of raykd."""
    package = tmp_path / "my_extensions"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plain.py").write_text("METHOD = 'plain'\nclass Params: ...\n")
    (package / "several.py").write_text("TASK = {'one': 1, 'two': 2}\n")
    (package / "empty.py").write_text("")
    (package / "needy.py").write_text("import no_such_package_of_mine\n")
    (package / "older.py").write_text("import raykd.data.writing\n")
    (package / "broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [n for n in sys.modules if n.partition(".")[0] == "my_extensions"]:
        del sys.modules[name]


def test_shipped_names_are_the_files_but_not_the_contracts():
    assert {"none", "kd", "ckd"} <= set(registry.names("methods"))
    assert "base" not in registry.names("methods")
    assert "base" not in registry.names("families")
    assert {"tpe", "random", "grid"} <= set(registry.names("algorithms"))
    assert {"none", "asha"} <= set(registry.names("schedulers"))


@pytest.mark.parametrize("kind", registry.kinds())
def test_everything_shipped_loads(kind):
    assert registry.variants(kind)
    for name in registry.variants(kind):
        assert registry.load(kind, name) is not None


def test_variants_of_a_module_are_spelled_out():
    assert {"glue/rte", "glue/sst2", "toy/sentiment"} <= set(registry.variants("tasks"))
    assert registry.load("tasks", "glue/rte").name == "glue/rte"


def test_params_are_those_of_the_module():
    from raykd.methods import kd

    assert registry.params_of("methods", "kd") is kd.Params


def test_a_dotted_name_reaches_a_module_outside(extensions):
    assert registry.load("methods", "my_extensions.plain") == "plain"
    assert registry.load("tasks", "my_extensions.several/two") == 2


def test_a_file_of_the_users_is_named_with_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chats.py").write_text("")
    with pytest.raises(UnknownName) as caught:
        registry.load("tasks", "chats")
    assert caught.value.hint.startswith("put chats.py into a folder, and name both: my_folder.ch")
    (tmp_path / "mine").mkdir()
    (tmp_path / "chats.py").rename(tmp_path / "mine" / "chats.py")
    with pytest.raises(UnknownName) as caught:
        registry.load("tasks", "chats")
    assert caught.value.hint == "is it mine.chats? (all of them: raykd ls tasks)"


@pytest.mark.parametrize(
    ("kind", "name", "output", "hinted"),
    [
        ("methods", "ckdd", "unknown method 'ckdd'", "did you mean 'ckd'? (all of them: raykd ls "),
        ("methods", "zzz", "unknown method 'zzz'", "(all of them: raykd ls methods)"),
        ("tasks", "glue/rtee", "unknown task 'glue/rtee'", "did you mean 'glue/rte'?"),
        ("tasks", "glue", "unknown task 'glue'", "raykd ls tasks"),
        ("methods", "kd/soft", "unknown method 'kd/soft'", "raykd ls methods"),
        ("families", "brt", "unknown model family 'brt'", "did you mean 'bert'?"),
        ("methods", "my_extensions.nothing", "unknown method 'my_extensions.nothing'", ""),
        ("methods", "no_such_package.kd", "unknown method 'no_such_package.kd'", ""),
    ],
)
def test_an_unknown_name_is_reported_with_near_ones(extensions, kind, name, output, hinted):
    with pytest.raises(UnknownName) as caught:
        registry.load(kind, name)
    assert caught.value.message == output
    assert hinted in caught.value.hint


def test_a_module_without_the_object_is_reported(extensions):
    with pytest.raises(UnknownName, match=r"'my_extensions.empty' defines no METHOD"):
        registry.load("methods", "my_extensions.empty")


def test_a_missing_package_is_a_matter_of_setup(extensions):
    with pytest.raises(SetupError, match="needs the package 'no_such_package_of_mine'") as caught:
        registry.load("methods", "my_extensions.needy")
    assert caught.value.hint == "install it: pip install no_such_package_of_mine"


def test_a_module_of_another_version_of_raykd_is_no_package_to_install(extensions):
    with pytest.raises(SpecError, match=r"older' imports raykd.data.writing, which is not a mod"):
        registry.load("tasks", "my_extensions.older")


def test_an_error_in_an_extension_is_not_hidden(extensions):
    with pytest.raises(SpecError, match=r"broken' cannot be imported: ZeroDivisionError: division"):
        registry.load("methods", "my_extensions.broken")


@pytest.mark.parametrize(
    ("name", "candidates", "output"),
    [
        ("tempurature", ["temperature", "alpha"], "did you mean 'temperature'?"),
        ("xyz", ["temperature", "alpha"], ""),
        ("alpha", [], ""),
    ],
)
def test_suggestions_are_close_or_none(name, candidates, output):
    assert registry.suggestion(name, candidates) == output
