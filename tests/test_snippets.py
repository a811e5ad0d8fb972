"""What the documents show is run: every block of Python, and the commands that train nothing."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.main import get_command

from raykd.cli.ending import show_end
from raykd.cli.main import _app, main
from raykd.cli.output import Format, Output
from raykd.results.records import Status
from raykd.results.row_outcomes import write_row_outcomes
from raykd.spec.load import load_spec
from tests.cases.model_folders import write_encoder
from tests.snippets import (
    DOCUMENTS,
    ROOT,
    blocks,
    commands_in_text,
    commands_of_blocks,
    link,
    python_block,
)
from tests.synthetic_run import Builder
from tests.synthetic_run import spec as search_space
from tests.unit.export.test_export import with_students

OWN_DATA = ROOT / "docs/start/own-data.md"
QUICKSTART = ROOT / "docs/start/quickstart.md"


def page_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# Blocks of Python.


def blocks_with_a_test(source: str) -> Iterator[tuple[str, int]]:
    """Page and number of each block that a file of tests runs; -1 stands for all of a page."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id="run_block" | "python_block"),
                args=[ast.Constant(value=str(page)), ast.Constant(value=int(number)), *_],
            ):
                yield page, number
            case ast.Call(func=ast.Name(id="run_page"), args=[ast.Constant(value=str(page)), *_]):
                yield page, -1


def test_every_block_of_python_is_run_by_a_test():
    tests = (path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    users = (text for text in tests if "from tests.snippets import" in text)
    has_test = {block for text in users for block in blocks_with_a_test(text)}
    counts = {page_of(path): len(blocks(path, "python")) for path in DOCUMENTS}
    shown = {(page, number) for page, count in counts.items() for number in range(count)}
    of_pages = {(page, number) for page, number in shown if (page, -1) in has_test}
    without = shown - has_test - of_pages
    assert not without, "run them with tests/snippets.py where a test has what they need"
    gone = {(page, number) for page, number in has_test if number >= counts.get(page, 0)}
    assert not gone


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ('run_block("docs/a.md", 1, tmp_path)', [("docs/a.md", 1)]),
        ('text = python_block("docs/a.md", 0)', [("docs/a.md", 0)]),
        ('run_page("docs/a.md", tmp_path)', [("docs/a.md", -1)]),
        ("run_block(page, number, tmp_path)", []),
        ('other("docs/a.md", 1)', []),
    ],
)
def test_a_test_of_a_block_names_its_page_and_number(call, expected):
    assert [*blocks_with_a_test(call)] == expected


# Commands.

NOT_RUN = {
    r"^(sweep|trial) ": "trains: tests/integration, tests/cases",
    r"^eval .* -- ": "runs lm-evaluation-harness: tests/unit/harness",
    r"^eval .* --predictions ": "reads a run that trained: tests/integration/test_sweep.py",
    r"--(onnx|int8)$": "writes a graph: tests/unit/export/test_onnx.py",
    r"--push-to-hub \S+$": "sends to a hub: tests/unit/export/test_hub.py",
    r"^cluster check ": "the file has places to fill in: tests/test_docs.py",
    r"^--(install|show)-completion": "changes the shell: tests/unit/cli/test_completions.py",
    r"^--version": "tests/unit/cli/test_main.py",
}
"""Commands in blocks that are parsed only, and where what they do is tested."""

LONG = r"^report (?!.*--format csv)|^validate .*quickstart.yaml"
"""Commands of seconds: reports and their figures, a search space whose rows are generated."""


def reason_not_to_run(words: list[str]) -> str:
    return next((why for of, why in NOT_RUN.items() if re.search(of, " ".join(words))), "")


def parse(words: list[str], app: Any, context: Any) -> None:
    """Parse a command line as Typer does, down to the options of a command of a group."""
    name, command, rest = app.resolve_command(context, words)
    if rest and hasattr(command, "resolve_command"):
        parse(rest, command, command.make_context(name, rest, parent=context))
    elif rest:  # a bare name in the text, as in "`raykd sweep`"
        command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("path", DOCUMENTS, ids=page_of)
def test_commands_parse(path):
    app = get_command(_app())
    context = app.make_context("raykd", [], resilient_parsing=True)
    for words in [*commands_of_blocks(path), *commands_in_text(path)]:
        if not words[0].startswith("--") and not words[0].isupper():  # raykd COMMAND --help
            parse(words, app, context)


@pytest.mark.parametrize("wrong", ["cluster check a.yaml --nosuch", "cluster nosuch", "ls --x"])
def test_a_wrong_option_of_a_command_of_a_group_is_noticed(wrong):
    app = get_command(_app())
    context = app.make_context("raykd", [], resilient_parsing=True)
    with pytest.raises(typer.TyperException):
        parse(wrong.split(), app, context)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one task with students, and the models that the documents name."""
    folder = tmp_path_factory.mktemp("assets")
    one_task = search_space("quickstart", trials=4).model_copy(update={"tasks": ("glue/rte",)})
    with_students(folder / "run", search_space=one_task)
    classes = dict(enumerate(["billing", "bug", "other"]))
    write_encoder(
        folder / "bert", num_hidden_layers=12, num_labels=3, id2label=classes,
        label2id={name: k for k, name in classes.items()},
    )  # fmt: skip
    return folder


@pytest.fixture
def desk(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a reader types the commands of a page; the current one."""
    for name in ("search_spaces", "cluster"):
        link(tmp_path / name, ROOT / name)
    for name in ("RUN", "RUN1", "RUN2", "runs/RUN", "runs/quickstart-20260101-120000"):
        link(tmp_path / name, assets / "run")
    for name in ("google-bert/bert-base-uncased", "models/my-teacher", "models/mine"):
        link(tmp_path / name, assets / "bert")
    head, *rows = blocks(OWN_DATA, "text")[1].splitlines()
    numbered = [row.replace('"', f'"No. {n}: ', 1) for n in range(20) for row in rows]
    table = "\n".join([head, *numbered]) + "\n"
    (tmp_path / "data/tickets").mkdir(parents=True)
    for name in ("data/tickets.csv", "data/tickets/train.csv", "data/tickets/validation.csv",
                 "reviews.csv"):  # fmt: skip
        (tmp_path / name).write_text(table)
    for name in ("tickets.yaml", "my.yaml"):
        text = next(b for b in blocks(OWN_DATA, "yaml") if b.startswith("name:"))
        (tmp_path / name).write_text(text)
    own_method(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("raykd.hub.reachable", lambda: False)
    return tmp_path


def own_method(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The method of the page on methods, and the quickstart with it."""
    (folder / "my_methods").mkdir()
    (folder / "my_methods/__init__.py").touch()
    source = python_block("docs/how-to/add-a-method.md", 0)
    (folder / "my_methods/logit_matching.py").write_text(source)
    (arms,) = blocks(ROOT / "docs/how-to/add-a-method.md", "yaml")
    whole = (ROOT / "search_spaces/quickstart.yaml").read_text()
    before, _, after = whole.partition("methods:\n")
    after = after.partition("\nsearch:\n")[2]
    (folder / "quickstart.yaml").write_text(f"{before}{arms}\nsearch:\n{after}")
    monkeypatch.syspath_prepend(folder)
    for name in [n for n in sys.modules if n.partition(".")[0] == "my_methods"]:
        monkeypatch.delitem(sys.modules, name)


RUN = {path: [w for w in commands_of_blocks(path) if not reason_not_to_run(w)]
       for path in DOCUMENTS}  # fmt: skip
EACH = [
    pytest.param(path, is_long, id=page_of(path), marks=pytest.mark.slow if is_long else ())
    for path, of_page in RUN.items()
    for is_long in sorted({bool(re.search(LONG, " ".join(words))) for words in of_page})
]


@pytest.mark.parametrize(("path", "is_long"), EACH)
def test_commands_end_well(path, is_long, desk, monkeypatch, capsys):
    monkeypatch.setattr(typer, "launch", lambda page: None)  # report --open
    for words in RUN[path]:
        if bool(re.search(LONG, " ".join(words))) != is_long:
            continue
        shutil.rmtree("student", ignore_errors=True)  # of the command before
        if words[0] == "init":  # which writes the file that later commands read
            Path("tickets.yaml").unlink()
        assert main(words) == 0, f"raykd {' '.join(words)}\n{capsys.readouterr().err}"


def test_every_reason_not_to_run_a_command_is_needed():
    reasons = {reason_not_to_run(w) for path in DOCUMENTS for w in commands_of_blocks(path)}
    assert reasons - {""} == set(NOT_RUN.values())


# Outputs.


def recorded_quickstart(folder: Path) -> Path:
    """A run of the quickstart in which kd wins and each arm had trials pruned."""
    spec = load_spec(ROOT / "search_spaces/quickstart.yaml")
    builder, (task,) = Builder(folder, spec), spec.tasks
    builder.start()
    rows = {"teacher": 10_000, "train": 1_000, "validation": 2_000, "test": 2_000}
    builder.teacher(task, score=0.986, rows=rows)
    draw = np.random.default_rng(0)
    for arm, mean in (("none", 0.62), ("kd", 0.76), ("ckd", 0.70)):
        for number in range(spec.search.trials):
            status = Status.PRUNED if number % 3 == 1 else Status.COMPLETED
            builder.trial(task, arm, number, status, mean - number / 100)
        best = builder.trials[-spec.search.trials].params
        for seed in spec.confirm.seeds:
            right = (draw.random(2_000) < mean + draw.normal(0, 0.01)).astype(np.float32)
            name = f"toy-sentiment.{arm}.c0.{seed}"
            place = write_row_outcomes(folder, name, best, right)
            builder.trial(task, arm, 0, objective=mean, params=best, confirm_seed=seed,
                          test=float(right.mean()), row_outcomes=place)  # fmt: skip
    builder.finish()
    return folder


def shape(text: str) -> list[str]:
    """The words of an output; figures and the date of a run are left out."""
    plain = re.sub(r"[\w/-]*quickstart-(DATE-TIME|\w+)", "RUN", " ".join(text.split()))
    return re.sub(r"\d[\d.,]*\b", "N", plain).split()


def test_the_output_of_the_quickstart_has_the_words_that_the_pages_show(tmp_path, capsys):
    run = recorded_quickstart(tmp_path / "quickstart-1")
    show_end(run, "reports/quickstart.html", Output(format=Format.PLAIN))
    printed = shape(capsys.readouterr().out)
    (shown,) = blocks(QUICKSTART, "text")
    assert shape(shown) == printed
    (end,) = blocks(ROOT / "README.md", "text")
    assert shape(end) == printed[-4:]
