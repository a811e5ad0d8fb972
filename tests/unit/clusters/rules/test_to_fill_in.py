from __future__ import annotations

from raykd.clusters.document import read_documents
from raykd.clusters.rules.to_fill_in import to_fill_in


def test_a_file_that_is_filled_in_is_fine(broken):
    assert broken("to_fill_in") == []


def test_what_is_left_is_named(broken):
    (problem,) = broken("to_fill_in", {"provider/region": "SET-ME"})
    assert (problem.level, problem.path) == ("warning", "provider.region")
    assert problem.message == "still to be filled in: SET-ME"


def test_an_anchor_is_named_once_where_it_is_written(tmp_path):
    file = tmp_path / "f.yaml"
    file.write_text("settings: &all\n  image: &i SET-ME\na: *i\nb: {<<: *all}\n")
    (document,) = read_documents(str(file))
    (problem,) = to_fill_in(document)
    assert (problem.path, problem.line) == ("settings.image", 2)
