"""The documents are true: links lead somewhere, commands parse, files shown can be used."""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from raykd import registry
from raykd.cli.main import _app
from raykd.spec.load import load_spec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from tests import method_tables
from tests.contracts import test_methods as contract
from tests.test_layering import LAYERS

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PICTURE = "docs/report.png"
OWN = "my_methods.logit_matching"
TINY = (
    "teacher.model.layers=1", "teacher.model.hidden=16", "teacher.finetune.epochs=1",
    "student.model.hidden=16", "train.epochs=1", "data.limit=64", "data.student_rows=32",
    "train.precision=fp32",
)  # fmt: skip

INVENTED = re.compile(r"NAME|logit_matching|^glue/")
"""Names of files that a reader has, or is to write."""

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a document in one language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def command_lines(path: Path) -> Iterator[list[str]]:
    """Every ``raykd`` command of a document: in blocks, and in backticks in the text."""
    lines = "".join(blocks(path, "bash")).replace("\\\n", " ").splitlines()
    lines += re.findall(r"`(raykd [^`]+)`", prose(path))
    for line in lines:
        words = shlex.split(line, comments=True)
        if words and Path(words[0]).name == "raykd":
            yield words[1:]


def test_the_documents_are_all_here():
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert names >= {
        "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
        "docs/architecture.md", "docs/adding-a-method.md", "docs/methods.md",
    }  # fmt: skip


@each_document
def test_links_lead_to_files(path):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    targets = [link.partition("#")[0] for link in links if not link.startswith(("http", "#"))]
    missing = {t for t in targets if not (path.parent / t).exists()}
    waived = {t for t in missing if (path.parent / t).resolve() == ROOT / PICTURE}
    assert missing == waived
    if waived:
        pytest.skip(f"{PICTURE} is not there yet: take a picture of a report")


@each_document
def test_files_that_are_named_exist(path):
    named = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|ya?ml|md|toml|parquet))`", prose(path))
    wrong = [
        name
        for name in named
        if not INVENTED.search(name)
        and not any((base / name).exists() for base in (ROOT, path.parent, ROOT / "raykd"))
    ]
    assert not wrong


@each_document
def test_commands_parse(path):
    app = get_command(_app())
    root = app.make_context("raykd", [], resilient_parsing=True)
    for words in command_lines(path):
        if words == ["--help"]:
            continue
        name, command, rest = app.resolve_command(root, words)
        if words != [name]:  # a bare name in the text, as in "`raykd sweep`"
            command.make_context(name, rest, parent=root)


@each_document
def test_overrides_fit_the_shipped_search_spaces(path):
    for words in command_lines(path):
        files = [w for w in words if w.startswith("search_spaces/")]
        overrides = [words[k + 1] for k, w in enumerate(words) if w == "--set"]
        for file in files:
            load_spec(ROOT / file, overrides)


@each_document
def test_whole_search_spaces_are_valid(path, tmp_path):
    for k, text in enumerate(blocks(path, "yaml")):
        if text.startswith("name:"):
            file = tmp_path / f"{k}.yaml"
            file.write_text(text)
            load_spec(file)


def test_the_table_of_layers_is_the_one_that_is_enforced():
    text = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|([^|]*)\|$", text, re.MULTILINE)
    shown = {name: [set(re.findall(r"[^\s,]+", cell)) for cell in cells] for name, *cells in rows}
    enforced = {
        name: [
            (layer.raykd - {"__init__"}) | {f"({module})" for module in layer.types},
            layer.packages,
            layer.later,
        ]
        for name, layer in LAYERS.items()
        if not name.startswith("__")
    }
    assert shown == enforced


def test_the_table_of_layers_says_what_each_owns_as_its_docstring_does():
    text = (ROOT / "docs/architecture.md").read_text()
    shown = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", text, re.MULTILINE))
    for name in (layer for layer in LAYERS if not layer.startswith("__")):
        docstring = importlib.import_module(f"raykd.{name}").__doc__ or ""
        assert shown[name].lower() == docstring.partition("\n")[0].rstrip(".").lower(), name


def test_make_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        text = path.read_text()
        named = re.findall(r"^make ([a-z -]+)$|`make ([a-z -]+)`", text, re.MULTILINE)
        used = {word for pair in named for words in pair for word in words.split()}
        assert used <= targets, path.name


def test_the_tables_of_methods_are_current():
    assert method_tables.FILE.read_text() == method_tables.text(), "run: make docs"


def test_the_readme_lists_the_methods_there_are():
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == list(registry.names("methods"))


@pytest.fixture
def own_method(tmp_path, monkeypatch) -> Path:
    """The method of docs/adding-a-method.md in a package outside raykd, with its test."""
    source, test = blocks(ROOT / "docs/adding-a-method.md", "python")
    package = tmp_path / "my_methods"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "logit_matching.py").write_text(source)
    (package / "test_logit_matching.py").write_text(test)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in importlib.sys.modules if n.partition(".")[0] == "my_methods"]:
        del importlib.sys.modules[name]
    return tmp_path


def search_space(folder: Path) -> Path:
    """The quickstart with the methods of the document."""
    (text,) = blocks(ROOT / "docs/adding-a-method.md", "yaml")
    yaml = YAML()
    whole = yaml.load((ROOT / "search_spaces/quickstart.yaml").read_text())
    whole["methods"] = yaml.load(text)["methods"]
    file = folder / "quickstart.yaml"
    with file.open("w") as stream:
        yaml.dump(whole, stream)
    return file


def test_the_method_of_the_document_trains(own_method):
    spec = load_spec(search_space(own_method), TINY)
    config = trial_of(spec, own_method / "run", "toy/sentiment", "match", {"alpha": 0.9})
    setup, prepared, _ = prepare_task(spec, "toy/sentiment", own_method / "cache", lambda *_: None)
    outcome = run_in_process(config, prepared, setup.task, lambda evaluation: None)
    assert set(outcome.evaluation.terms) == {"task", "match", "loss"}
    assert outcome.evaluation.terms["match"] > 0
    assert 0 <= outcome.metrics["test/accuracy"] <= 1


def test_the_test_of_the_document_passes(own_method):
    module = importlib.import_module("my_methods.test_logit_matching")
    cases = itertools.product(
        *(mark.args[1] for mark in module.test_the_distance_by_hand.pytestmark)
    )
    for ((distance, expected),) in cases:
        module.test_the_distance_by_hand(distance, expected)


def contract_tests() -> list[str]:
    return [n for n, f in inspect.getmembers(contract, inspect.isfunction) if n.startswith("test_")]


@pytest.mark.parametrize("name", contract_tests())
def test_the_method_of_the_document_keeps_the_contract(name, own_method):
    function = getattr(contract, name)
    for arguments in cases_of(function):
        function(**arguments)


def test_the_contract_looks_at_the_method_of_the_document(own_method):
    seen = [n for n in contract_tests() if list(cases_of(getattr(contract, n)))]
    # It reads no hidden states, so nothing is kept in place of them.
    assert {n for n in contract_tests() if n not in seen} == {
        n for n in contract_tests() if "in_place_of_hidden_states" in n
    }


def cases_of(function: Any) -> Iterator[dict[str, Any]]:
    """The arguments a contract test gets, with our method in place of the package's."""
    marks = [m for m in function.pytestmark if m.name == "parametrize" and "name" not in m.args[0]]
    axes = [[{m.args[0]: value} for value in m.args[1]] for m in marks]
    for parts in itertools.product(function.cases((OWN,)), *axes):
        yield {key: value for part in parts for key, value in part.items()}
