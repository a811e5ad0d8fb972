"""What is installed: metadata, files and commands of the wheel."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import raykd
from raykd.cli.names import shipped

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
IN_EMPTY = """
import sys
from raykd.cli.main import main
for command in (["--version"], ["init", "quickstart"], ["init", "ckd_glue"], ["ls", "methods"],
                ["validate", "--no-data", "quickstart.yaml", "ckd_glue.yaml"]):
    assert main(command) == 0, command
import raykd
print(raykd.__file__)
"""


def data_files() -> list[Path]:
    """Files of the package that are no code."""
    folders = [(ROOT / "raykd").rglob("*"), (ROOT / "search_spaces").glob("*")]
    paths = [path for folder in folders for path in folder if path.is_file()]
    return [p for p in paths if p.suffix not in (".py", ".pyc")]


def test_every_file_that_is_no_code_is_shipped():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    globs = [f"raykd/{p}" for p in patterns["raykd"]]
    globs += [f"search_spaces/{p}" for p in patterns["raykd.search_spaces"]]
    names = [path.relative_to(ROOT).as_posix() for path in data_files()]
    assert [n for n in names if not any(fnmatch.fnmatch(n, glob) for glob in globs)] == []
    assert [g for g in globs if not any(fnmatch.fnmatch(n, g) for n in names)] == []


def test_the_version_is_written_once():
    assert "version" not in PYPROJECT["project"]
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "raykd.__version__"}


def test_nothing_of_others_is_shipped_without_its_licence():
    """Assets of the report are raykd's own: plotly's script comes from the installed package."""
    names = {path.name for path in (ROOT / "raykd/report/assets").iterdir()}
    assert names == {"charts.js", "report.css", "report.js", "tables.js"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy, as pip does it, without a network."""
    to = tmp_path_factory.mktemp("wheel")
    source = to / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "raykd", "search_spaces"):
        (source / name).symlink_to(ROOT / name)
    build = "import setuptools.build_meta as b; b.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (built,) = to.glob("*.whl")
    return built


def test_the_metadata_says_what_it_is(wheel: Path):
    assert wheel.name == f"raykd-{raykd.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as files:
        (place,) = [n for n in files.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(files.read(place).decode())
        licence = files.read(place.replace("METADATA", "licenses/LICENSE"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text("utf-8").strip()
    assert {*PYPROJECT["project"]["optional-dependencies"]} == {*metadata.get_all("Provides-Extra")}


def test_package_indexes_take_it(wheel: Path):
    """Metadata are valid, and the README is rendered: what `twine upload` looks at before."""
    done = subprocess.run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", str(wheel)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(f"{wheel.name}: PASSED")


@pytest.mark.slow
def test_an_installed_wheel_has_its_search_spaces_in_an_empty_folder(wheel: Path, tmp_path: Path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as files:
        files.extractall(site)
        names = {n.partition("/")[2] for n in files.namelist()}
    assert {f"search_spaces/{name}.yaml" for name in shipped()} <= names
    assert not [n for n in names if "tests/" in n or n.endswith(".pyc")]
    done = subprocess.run(
        [sys.executable, "-c", IN_EMPTY], cwd=empty, env={"PYTHONPATH": str(site)}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(site / "raykd/__init__.py")
    assert {p.name for p in empty.iterdir()} == {"quickstart.yaml", "ckd_glue.yaml", "schema.json"}
