"""The documents are true: links lead somewhere, commands parse, files shown can be used."""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import raykd
from raykd.cli.main import main
from raykd.data.table import Table
from raykd.spec.load import load_spec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from tests.contracts import test_methods as contract
from tests.contracts.matrix import each
from tests.snippets import (
    DOCUMENTS,
    ROOT,
    blocks,
    commands_in_text,
    commands_of_blocks,
    prose,
    python_block,
    run_block,
)
from tests.test_layering import LAYERS

ADD_A_METHOD = ROOT / "docs/how-to/add-a-method.md"
OWN_DATA = ROOT / "docs/start/own-data.md"
OWN = "my_methods.logit_matching"
TINY = (
    "teacher.model.layers=1", "teacher.model.hidden=16", "teacher.finetune.epochs=1",
    "student.model.hidden=16", "train.epochs=1", "data.limit=64", "data.student_rows=32",
    "train.precision=fp32",
)  # fmt: skip

INVENTED = re.compile(r"NAME|logit_matching|^glue/|^data/|^checkpoints/")
"""Names of files that a reader has, or is to write."""

SCREEN = 40
"""Lines of a source that a screen holds."""

UNBREAKABLE = re.compile(r"\s*(\||!\[|\S+$)")
"""Lines that may be longer than 100 columns: rows of tables, pictures, one long word."""

SKIPS = re.compile(r"\bskipif\(|pytest\.skip\(|importorskip\(")

each_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda p: p.relative_to(ROOT).as_posix()
)


def test_the_documents_are_all_here():
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert names >= {
        "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
        "docs/index.md", "docs/start/quickstart.md", "docs/start/own-data.md",
        "docs/how-to/add-a-method.md", "docs/reference/search-space.md",
        "docs/explanation/architecture.md", "docs/faq.md", "docs/glossary.md",
    }  # fmt: skip


@each_document
def test_links_lead_to_files(path):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(path))
    targets = [link.partition("#")[0] for link in links if not link.startswith(("http", "#"))]
    assert not {t for t in targets if not (path.parent / t).exists()}


@each_document
def test_anchors_of_links_exist(path):
    for target, anchor in re.findall(r"\]\(([^)\s#]*)#([^)\s]+)\)", prose(path)):
        if target.startswith("http"):
            continue
        document = (path.parent / target).resolve() if target else path
        assert anchor in anchors(document), f"{target}#{anchor}"


def anchors(path: Path) -> set[str]:
    """The anchors of the headings of a document, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s+", "-", heading) for heading in plain}


@each_document
def test_lines_wrap_at_100_columns(path):
    """Rows of tables, and lines without a place to break at, are excepted."""
    lines = enumerate(path.read_text().splitlines(), 1)
    assert not [n for n, line in lines if len(line) > 100 and not UNBREAKABLE.match(line)]


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
def test_overrides_fit_the_shipped_search_spaces(path):
    for words in [*commands_of_blocks(path), *commands_in_text(path)]:
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


def test_a_section_of_the_readme_fits_a_screen():
    sections = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert len(sections) > 5
    long = {s.partition("\n")[0]: s.count("\n") for s in sections if s.count("\n") > SCREEN}
    assert not long


def test_the_table_of_layers_is_the_one_that_is_enforced():
    text = (ROOT / "docs/explanation/architecture.md").read_text()
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
    text = (ROOT / "docs/explanation/architecture.md").read_text()
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


@pytest.fixture
def own_method(tmp_path, monkeypatch) -> Path:
    """The method of the document in a package outside raykd, with its test."""
    package = tmp_path / "my_methods"
    package.mkdir()
    (package / "__init__.py").touch()
    source = python_block("docs/how-to/add-a-method.md", 0)
    (package / "logit_matching.py").write_text(source)
    test = python_block("docs/how-to/add-a-method.md", 1)
    (package / "test_logit_matching.py").write_text(test)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in importlib.sys.modules if n.partition(".")[0] == "my_methods"]:
        del importlib.sys.modules[name]
    return tmp_path


def quickstart_with(text: str, folder: Path) -> Path:
    """The quickstart with the sections of a document in the place of its own."""
    yaml = YAML()
    whole = yaml.load((ROOT / "search_spaces/quickstart.yaml").read_text())
    sections = yaml.load(text)
    if "teachers" in sections:
        del whole["teacher"]
    file = folder / "quickstart.yaml"
    with file.open("w") as stream:
        yaml.dump({**whole, **sections}, stream)
    return file


@each_document
def test_sections_of_search_spaces_are_valid(path, own_method):
    for text in blocks(path, "yaml"):
        if not text.startswith("name:"):
            load_spec(quickstart_with(text, own_method))


def search_space(folder: Path) -> Path:
    """The quickstart with the methods of the document."""
    (text,) = blocks(ADD_A_METHOD, "yaml")
    return quickstart_with(text, folder)


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


def test_the_own_data_of_the_document_trains(tmp_path, monkeypatch):
    """The rows and the file of the document, with a teacher small enough for a test."""
    monkeypatch.chdir(tmp_path)
    head, *rows = blocks(OWN_DATA, "text")[1].splitlines()
    Path("data/tickets").mkdir(parents=True)
    for split, copies in (("train", 12), ("validation", 4)):
        numbered = [row.replace("The", f"No. {n}: the") for n in range(copies) for row in rows]
        Path(f"data/tickets/{split}.csv").write_text("\n".join([head, *numbered]) + "\n")
    file = Path("tickets.yaml")
    file.write_text(next(b for b in blocks(OWN_DATA, "yaml") if b.startswith("name:")))
    small = (
        "teacher.model={family: bert, layers: 2, hidden: 16, heads: 2}",
        "teacher.finetune.epochs=1", "student.from_teacher.layers=[0]", "train.epochs=1",
        "train.precision=fp32",
    )  # fmt: skip
    spec = load_spec(file, small)
    config = trial_of(spec, tmp_path / "run", "tickets", "kd", {})
    setup, prepared, _ = prepare_task(spec, "tickets", tmp_path / "cache", lambda *_: None)
    outcome = run_in_process(config, prepared, setup.task, lambda evaluation: None)
    assert set(outcome.metrics) >= {"f1_macro", "test/f1_macro"}


def test_the_output_that_the_documents_show_is_what_validate_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("tickets.yaml").write_text(
        next(b for b in blocks(OWN_DATA, "yaml") if b.startswith("name:"))
    )
    assert main(["validate", "tickets.yaml", "--no-data"]) == 0
    (shown,) = [b for b in blocks(OWN_DATA, "text") if b.startswith("tickets.yaml: valid")]
    assert shown.strip() in capsys.readouterr().out


def test_the_output_that_the_documents_show_is_that_of_cluster_check(tmp_path, monkeypatch, capsys):
    """The shipped file with its places filled in, on a machine with a wheel and a token."""
    pytest.importorskip("boto3", reason="the provider's package is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (f"dist/raykd-{raykd.__version__}-py3-none-any.whl", ".ray/auth_token"):
        Path(name).parent.mkdir()
        Path(name).write_text("a" * 40)
    Path("cluster").mkdir()
    filled = re.sub("SET-ME", "0123456789abcdef0", (ROOT / "cluster/aws.yaml").read_text())
    own = "{}.{}".format(*sys.version_info)  # another one than that of the machines is a warning
    Path("cluster/aws.yaml").write_text(filled.replace("--python 3.11", f"--python {own}"))
    assert main(["cluster", "check", "cluster/aws.yaml"]) == 0
    assert blocks(ROOT / "docs/how-to/clusters/index.md", "text") == [capsys.readouterr().out]


def test_the_task_of_the_document_reads_chats(tmp_path):
    module = run_block("docs/how-to/add-a-task.md", 0, tmp_path)
    chat = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    rows = module["TASK"].read_table(Table(columns={"messages": [chat]}, origin="chats"))
    assert len(rows) == 1


def test_the_signals_of_the_document_are_those_that_it_names(tmp_path):
    requires = run_block("docs/how-to/add-a-method.md", 2, tmp_path)["requires"]
    assert requires.names == (
        "attention_projections/value/3", "hidden_states/2", "hidden_states/4", "logits",
    )  # fmt: skip


def contract_tests() -> list[str]:
    return [n for n, f in inspect.getmembers(contract, inspect.isfunction) if n.startswith("test_")]


def test_the_method_of_the_document_keeps_the_contract(own_method):
    for name in contract_tests():
        test = getattr(contract, name)
        each(test.check, test.cases((OWN,)))


def test_the_contract_looks_at_the_method_of_the_document(own_method):
    unseen = {n for n in contract_tests() if not list(getattr(contract, n).cases((OWN,)))}
    # It reads no hidden states, so nothing is kept in place of them.
    assert unseen == {n for n in contract_tests() if "in_place_of_hidden_states" in n}


def test_the_table_of_reasons_to_skip_has_every_file_that_may_and_no_other():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| skipped where")[2]
    named = set(re.findall(r"`([\w/]+\.py)`", table.partition("\n\n")[0]))
    skipping = {path for path in ROOT.glob("tests/**/*.py") if SKIPS.search(path.read_text())}
    unnamed = [p for p in skipping if not any(p.as_posix().endswith(f"/{n}") for n in named)]
    never = [n for n in named if not any(p.as_posix().endswith(f"/{n}") for p in skipping)]
    assert (unnamed, never) == ([], [])
