from __future__ import annotations

import pytest

from raykd.sweep.micro_batch_notes import micro_batch_notes
from tests.unit.sweep.specs import spec

ARMS = {name: {"name": name, "method": name} for name in ("none", "kd", "sinkd", "one_to_one")}
CHOICE = {"kind": "choice", "choices": ["auto", 4]}


@pytest.mark.parametrize("train", [{}, {"fixed": {"micro_batch": "auto"}}])
def test_batches_that_are_cut_only_in_need_are_no_note(train):
    assert micro_batch_notes(spec(train=train, methods=ARMS)) == ()


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({"fixed": {"micro_batch": 4}}, "train.micro_batch is 4; "),
        ({"domains": {"micro_batch": CHOICE}}, "train.micro_batch is choice [auto, 4]; "),
    ],
)
def test_arms_that_compare_within_a_batch_are_named_where_the_file_cuts_it(train, words):
    found = micro_batch_notes(spec(train=train, methods=ARMS))
    assert len(found) == 2
    assert all(note.startswith(words) for note in found)
    assert "in arm 'sinkd' predictions are transported within each micro batch" in found[0]
    assert "in arm 'one_to_one' neurons are correlated" in found[1]
