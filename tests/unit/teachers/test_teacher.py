from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd.data.collate import Collator
from raykd.methods.ckd import WordGram
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.features import Transformed
from raykd.models.signals.hidden_states import HiddenState, hidden_states
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.teacher import OfflineTeacher, OnlineTeacher
from tests.unit.teachers import tiny

ROWS = np.array([3, 17, 0, 31])


def batch():
    prepared, _ = tiny.ready()
    collate = Collator(
        prepared.pad_id, max_length=tiny.LENGTH, context_padding=tiny.OUTPUT_SPEC.context_padding
    )
    return collate(prepared.splits["train"], ROWS)


def teachers():
    """The same teacher, offline and online."""
    prepared, state = tiny.ready()
    online = replace(
        prepared, cached_outputs=None, teacher=replace(tiny.given().teacher, state=state)
    )
    return open_teacher(prepared, tiny.WORLD), open_teacher(online, tiny.WORLD)


@pytest.fixture(params=["offline", "online"])
def teacher(request):
    return dict(zip(["offline", "online"], teachers(), strict=True))[request.param]


def test_the_two_ways_of_serving_say_the_same():
    offline, online = teachers()
    assert isinstance(offline, OfflineTeacher)
    assert isinstance(online, OnlineTeacher)
    here = batch()
    one, two = (t.outputs_fn(tiny.OUTPUT_SPEC)(here) for t in (offline, online))
    assert torch.allclose(one.logits, two.logits, atol=1e-5)
    lengths = here.attention_mask.sum(1) + tiny.OUTPUT_SPEC.context_padding
    for layer in (0, 2):
        assert one.hidden(layer).shape == two.hidden(layer).shape
        for i, length in enumerate(lengths):
            mine, expected = (o.hidden(layer)[i, :length] for o in (one, two))
            assert torch.allclose(mine, expected, atol=1e-5)


def test_nothing_is_given_that_was_not_requested(teacher):
    out = teacher.outputs_fn(OutputSpec(*hidden_states((2,))))(batch())
    assert out.hidden(2).shape[0] == len(ROWS)
    with pytest.raises(LookupError, match="hidden_states/0 was not declared"):
        out.hidden(0)
    with pytest.raises(LookupError, match="attentions/0 was not declared"):
        out.attention(0)


def test_recorded_logits_are_not_given_unless_declared():
    out = teachers()[0].outputs_fn(OutputSpec(*hidden_states((2,))))(batch())
    with pytest.raises(LookupError, match="logits were not declared"):
        _ = out.logits


def test_a_method_that_reads_no_outputs_gets_nothing(teacher):
    out = teacher.outputs_fn(OutputSpec())(batch())
    with pytest.raises(LookupError, match="logits were not declared"):
        _ = out.logits
    with pytest.raises(LookupError, match="hidden_states/0"):
        out.hidden(0)


def test_no_gradient_reaches_the_teacher(teacher):
    out = teacher.outputs_fn(tiny.OUTPUT_SPEC)(batch())
    assert not out.logits.requires_grad
    assert not out.hidden(2).requires_grad


def test_the_live_teacher_has_no_dropout():
    read = teachers()[1].outputs_fn(tiny.OUTPUT_SPEC)
    assert torch.equal(read(batch()).logits, read(batch()).logits)


def test_what_a_trial_does_to_a_batch_of_outputs_leaves_the_record_alone():
    prepared, _ = tiny.ready()
    read = teachers()[0].outputs_fn(tiny.OUTPUT_SPEC)
    before = [part.chunks[0].copy() for part in prepared.cached_outputs.parts.values()]
    out = read(batch())
    out.logits.add_(1)
    out.hidden(2).mul_(0)
    for part, was in zip(prepared.cached_outputs.parts.values(), before, strict=True):
        assert np.array_equal(part.chunks[0], was)


def test_feature_transforms_are_read_in_place_of_hidden_states():
    words = WordGram((0, 2), tiny.OUTPUT_SPEC.context_padding)
    output_spec = tiny.OUTPUT_SPEC.without(HiddenState).union(OutputSpec(Transformed(words)))
    transformed, _ = tiny.prepared(output_spec=output_spec)
    assert set(transformed.cached_outputs.stored()) == {"logits", "feature_transforms"}
    mask = batch().attention_mask
    read = open_teacher(transformed, tiny.WORLD).outputs_fn(tiny.OUTPUT_SPEC, (words,))
    kept = read(batch()).transformed(words, mask)
    for teacher in teachers():
        want = teacher.outputs_fn(tiny.OUTPUT_SPEC, (words,))(batch()).transformed(words, mask)
        tokens = mask.bool().repeat(2, 1)[:, : want.inner.shape[1]]
        both = tokens[:, :, None] & tokens[:, None, :]
        assert torch.allclose(kept.inner * both, want.inner * both, atol=1e-4)
    with pytest.raises(LookupError):
        read(batch()).hidden(0)


def test_a_live_teacher_on_the_cpu_reads_the_shared_weights_themselves():
    _, state = tiny.ready()
    model = replace(tiny.given().teacher, state=state).frozen()
    where = {p.data_ptr() for p in model.parameters()}
    assert where <= {array.ctypes.data for array in state.tensors.values()}
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.training
