"""Generated pages are current, all pages are in the navigation, and the glossary is complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import raykd
from docs_pages import search_space
from docs_pages.__main__ import stale
from docs_pages.count_tests import counted
from docs_pages.wrap import wrapped
from raykd.spec.reference import SECTIONS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

HOUSE = (
    "arm", "baseline", "caveat", "confirm", "coordinator", "derived teacher", "driver",
    "encoded row", "feature transform", "gap recovered", "job", "lease", "offline teacher",
    "online teacher", "role", "row", "run folder", "search space", "signal", "slot", "study",
    "subnet", "sweep", "teacher cache", "teacher store", "test split", "trial", "validation split",
    "verdict",
)  # fmt: skip
"""Words that have a sense of their own in YAML, messages, report and documents."""


def rows_of_glossary() -> list[tuple[str, str, str]]:
    text = (DOCS / "glossary.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    return [row for row in rows if row[0] != "term" and set(row[0]) != {"-"}]


def test_the_generated_pages_are_current():
    assert stale() == [], "run: make docs-pages"


def test_wrapping_changes_paragraphs_and_items_only():
    long = "word " * 30
    kept = f"# {long}\n\n| {long}|\n\n```text\n{long}\n```\n"
    text = f"{kept}\n{long}\n\n- {long}`{'code ' * 4}`\n1. [ ] {long}\n"
    done = wrapped(text)
    assert done.startswith(kept)
    prose = done.removeprefix(kept)
    assert max(map(len, prose.splitlines())) <= 100
    assert prose.split() == text.removeprefix(kept).split()
    assert f"`{'code ' * 4}`" in prose
    assert "\n  word" in prose  # the second line of an item is indented
    assert wrapped(done) == done


def test_the_page_of_the_search_space_has_every_section():
    assert search_space.missing_sections() == set()
    text = search_space.text()
    assert [name for name in SECTIONS if search_space.TITLES[name] not in text] == []


def test_the_page_of_the_search_space_has_the_bounds_of_unions():
    text = search_space.text()
    assert "| `fraction` |" in text
    assert "a number > 0 < 1 or null" in text
    assert "a number > 0 <= 1 |" in text  # data.augment.probability


def test_the_glossary_defines_public_names_and_the_words_of_the_house():
    terms = [term for term, _, _ in rows_of_glossary()]
    assert {*HOUSE, *(f"`{name}`" for name in raykd.__all__)} - set(terms) == set()
    assert len(terms) == len(set(terms))


def test_the_glossary_has_one_sentence_and_an_existing_file_for_each_term():
    for term, meaning, where in rows_of_glossary():
        assert re.fullmatch(r"[A-Z][^.]*(\.\w+[^.]*)*\.", meaning), term
        assert (ROOT / where.strip("`")).exists(), where


def test_the_names_of_code_in_the_glossary_are_defined_where_it_says():
    for term, _, where in rows_of_glossary():
        name = term.strip("`")
        if term.startswith("`") and name not in raykd.__all__:
            text = (ROOT / where.strip("`")).read_text()
            assert re.search(rf"^(class|def) {name}\b|^{name} = ", text, re.MULTILINE), term


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text()
    named = re.findall(r"([\w/-]+\.md)$", text, re.MULTILINE)
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md")}
    assert sorted(named) == sorted({*pages, "source/CONTRIBUTING.md"})


def test_the_greps_of_contributing_find_something():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    lines = re.findall(r"^grep .*?(?=\s+#)", text, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True)
        assert done.stdout.strip(), line


def test_every_key_of_a_search_space_is_found_by_those_greps():
    schema = "".join(p.read_text() for p in ROOT.glob("raykd/spec/schema*.py"))
    code = "\n".join(p.read_text() for p in ROOT.glob("raykd/**/*.py") if p.stem != "reference")
    tests = "\n".join(p.read_text() for p in ROOT.glob("tests/**/*.py"))
    keys = {field for section in SECTIONS.values() for field in section.model_fields}
    assert [k for k in keys if not re.search(rf" {k}:", schema)] == []
    assert [k for k in keys if not re.search(rf"\.{k}\b", code)] == []
    assert [k for k in keys if not re.search(rf"\b{k}\b", tests)] == []


def test_the_hooks_of_the_document_are_those_of_methods():
    text = (DOCS / "how-to/add-a-method.md").read_text()
    cells = re.findall(r"^\| (`.*?`) \|", text.partition("| override |")[2], re.MULTILINE)
    hooks = {name for cell in cells for name in re.findall(r"`(\w+)(?:\(\))?`", cell)}
    assert len(hooks) > 10
    assert [name for name in hooks if not hasattr(raykd.Method, name)] == []


def test_attributes_that_documents_name_exist():
    """`Class.attribute` in the text: the file that holds the class has the attribute, too."""
    files = [path.read_text() for f in ("raykd", "tests") for path in (ROOT / f).rglob("*.py")]
    for path in DOCS.glob("**/*.md"):
        for owner, name in re.findall(r"`([A-Z]\w+)\.([a-z_]\w*)`", path.read_text()):
            homes = [text for text in files if f"class {owner}" in text]
            assert any(re.search(rf"\b{name}\b", text) for text in homes), f"{owner}.{name}"


def test_environment_variables_of_the_documents_are_read_somewhere():
    named = {
        name for path in DOCS.glob("**/*.md") for name in re.findall(r"RAYKD_\w+", path.read_text())
    }
    code = "".join(
        p.read_text() for folder in ("raykd", "tests") for p in (ROOT / folder).rglob("*.py")
    )
    assert [name for name in named if f'"{name}"' not in code] == []


def test_tests_and_assertions_are_counted_by_folder():
    source = "def test_a():\n    assert 1\n    with pytest.raises(KeyError):\n        {}[1]\n"
    helper = "def made():\n    assert 2\n    with open('x'):\n        pass\n"
    counts = counted([("tests/unit/data/test_x.py", source), ("tests/made.py", helper)])
    assert counts == {
        "tests/unit": {"tests": 1, "assertions": 2}, "tests": {"assertions": 1},
        "all": {"tests": 1, "assertions": 3},
    }  # fmt: skip


@pytest.mark.slow
def test_the_site_builds_strictly_and_asks_nothing_of_the_network(tmp_path):
    pytest.importorskip("mkdocs", reason="the packages of the extra 'docs' are not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=\"?(\S+?)[\"> ]", text)
        loaded += re.findall(r"<link[^>]* href=\"?(\S+?)[\"> ]", text)
        assert not [url for url in loaded if url.startswith(("http", "//"))], page
        if (
            'class="mermaid"' in text
        ):  # the theme fetches it from elsewhere only where it is missing
            assert "assets/mermaid.min.js" in text
    assert (tmp_path / "assets/mermaid.min.js").stat().st_size > 1_000_000
