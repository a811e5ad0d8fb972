"""Whose classes are counted by what they are taken for."""

from __future__ import annotations

import pytest

from raykd import registry
from raykd.data.confusion import counted_classes


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("glue/rte", ("entailment", "not_entailment")),
        ("super_glue/copa", ()),  # a row is one of two choices: its place is no class
        ("super_glue/multirc", ()),
        ("super_glue/record", ()),
        ("glue/stsb", ()),
    ],
)
def test_only_classes_of_rows_are_counted(name, classes):
    assert counted_classes(registry.load("tasks", name)) == classes
