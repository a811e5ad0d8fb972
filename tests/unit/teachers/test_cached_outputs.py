from __future__ import annotations

import itertools
from itertools import pairwise

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.base import PADDED
from raykd.data.collate import Collator
from raykd.errors import TeacherError
from raykd.methods.base import OutputSpec
from raykd.models.base import ModelDims, RandomInitConfig
from raykd.models.forward import forward
from raykd.models.load import build_model, model_dims
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.teachers.cached_outputs import checksum, joined
from raykd.teachers.recording import BLOCK_BYTES, Recording, estimate_bytes, record, row_bytes
from tests.unit.teachers.gathering import logits_of, maps_of, states_of
from tests.unit.training.toys import CLASSES, CPU, VOCABULARY, FirstToken, bert, encoded

ROWS = 37
TASK = FirstToken()
LENGTH = 30
LAYERS = (0, 1, 2)
OUTPUT_SPEC = OutputSpec(Logits(), *hidden_states(LAYERS), context_padding=3)
ENCODED = encoded(ROWS, longest=LENGTH - 1)
# Relative size of the last bit of a value, halved by rounding.
ROUNDING = {"fp32": 2**-22, "fp16": 2**-11, "bf16": 2**-8}


def teacher():
    return bert(seed=1, layers=2)


def what(*, output_spec=OUTPUT_SPEC, dtype="fp32", batch_size=8, row_bytes=0):
    return Recording(
        encoded=ENCODED, output_spec=output_spec, pad_id=0, max_length=LENGTH, dtype=dtype,
        batch_size=batch_size, row_bytes=np.broadcast_to(np.asarray(row_bytes), ROWS),
    )  # fmt: skip


def recording(model=None, *, progress=lambda done: None, **changes):
    return record(model or teacher(), what(**changes), CPU, progress)


def direct(rows, context_padding=OUTPUT_SPEC.context_padding):
    batch = Collator(0, max_length=LENGTH, context_padding=context_padding)(ENCODED, rows)
    with torch.inference_mode():
        return batch, forward(teacher().eval(), batch, output_spec=hidden_states(LAYERS))


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("layers", [LAYERS, (2, 0), (1,)])
def test_gathered_outputs_are_those_of_a_forward_of_the_same_rows(dtype, layers):
    kept = recording(dtype=dtype)
    rows = np.array([30, 2, 2, 17, 36, 0])
    batch, out = direct(rows)
    actual = states_of(kept, rows, batch.input_ids.shape[1], layers)
    assert torch.allclose(logits_of(kept, rows, 0), out.logits, atol=1e-5)
    length = ENCODED.lengths()[rows]
    recorded_to = np.minimum(length + OUTPUT_SPEC.context_padding, LENGTH)
    assert (recorded_to > length).all()
    for layer in layers:
        assert actual[layer].dtype == torch.float32
        for i, count in enumerate(recorded_to):
            want = out.hidden(layer)[i, :count]
            tolerance = want.abs().max().item() * ROUNDING[dtype] + 2e-6
            assert torch.allclose(actual[layer][i, :count], want, rtol=0, atol=tolerance)
            assert not actual[layer][i, count:].any()


def test_fewer_positions_than_recorded_can_be_requested():
    kept = recording()
    rows = np.array([5, 6])
    short = states_of(kept, rows, 4, LAYERS)
    long = states_of(kept, rows, LENGTH, LAYERS)
    assert all(torch.equal(short[k], long[k][:, :4]) for k in LAYERS)


def test_rows_at_the_maximum_length_have_as_much_margin_as_there_is():
    kept = recording(output_spec=OutputSpec(*hidden_states((2,)), context_padding=50))
    assert np.array_equal(np.diff(kept.parts["hidden_states/2"].offsets), np.full(ROWS, LENGTH))


@pytest.mark.parametrize(("rows_of_a_block", "blocks"), [(8, 5), (20, 2), (36, 2)])
def test_blocks_hold_whole_rows_and_give_the_same(rows_of_a_block, blocks):
    whole, cut = recording(), recording(row_bytes=BLOCK_BYTES // rows_of_a_block)
    part = cut.parts["hidden_states/0"]
    assert {len(p.chunks) for p in whole.parts.values()} == {1}
    assert {len(p.chunks) for p in cut.parts.values()} == {blocks}
    assert (part.starts[0], part.starts[-1]) == (0, ROWS)
    sizes = [part.offsets[b] - part.offsets[a] for a, b in pairwise(part.starts)]
    assert sizes == [len(c) for c in part.chunks]
    rows = np.random.default_rng(0).permutation(ROWS)
    one, two = (states_of(k, rows, LENGTH, LAYERS) for k in (whole, cut))
    assert all(torch.allclose(one[k], two[k], atol=1e-5) for k in LAYERS)
    assert np.allclose(whole.all_logits(), cut.all_logits(), atol=1e-5)


def test_blocks_do_not_depend_on_who_records_them():
    plan = what(row_bytes=BLOCK_BYTES // 10)
    pieces = [plan.run(teacher(), rows, CPU) for rows in reversed(plan.blocks())]
    by_others, alone = joined(pieces[::-1]), record(teacher(), plan, CPU)
    assert checksum(by_others.arrays()) == checksum(alone.arrays())
    assert by_others.rounding == alone.rounding


def test_a_block_is_never_larger_than_its_bytes_unless_a_row_is():
    assert [len(b) for b in what(row_bytes=BLOCK_BYTES).blocks()] == [1] * ROWS
    assert [len(b) for b in what(row_bytes=2 * BLOCK_BYTES).blocks()] == [1] * ROWS
    assert [len(b) for b in what(row_bytes=BLOCK_BYTES // 30).blocks()] == [30, 7]
    assert [len(b) for b in what().blocks()] == [ROWS]


def test_blocks_of_rows_of_all_sizes_hold_as_many_as_fit():
    random = np.random.default_rng(0)
    for _ in range(50):
        sizes = (random.pareto(1.0, ROWS) * BLOCK_BYTES / 20).astype(np.int64)
        blocks = what(row_bytes=sizes).blocks()
        assert np.array_equal(np.concatenate(blocks), np.arange(ROWS))
        for block, after in itertools.zip_longest(blocks, blocks[1:]):
            assert sizes[block].sum() <= BLOCK_BYTES or len(block) == 1
            if after is not None:
                assert sizes[block].sum() + sizes[after[0]] > BLOCK_BYTES


def test_no_block_of_attention_maps_is_larger_than_its_bytes():
    output_spec = OutputSpec(
        *attention_maps(tuple(range(12))), *hidden_states((0, 1)), context_padding=2
    )
    sizes = ModelDims(layers=12, hidden=768, heads=12, vocabulary=30_522)
    rows = row_bytes(ENCODED, output_spec, sizes, kind="classification", num_labels=2, wide=False)
    lengths = ENCODED.lengths()
    assert np.array_equal(rows, 8 + 2 * (12 * 12 * lengths**2 + 2 * 768 * (lengths + 2)))
    assert all(rows[block].sum() <= BLOCK_BYTES for block in what(row_bytes=rows * 50).blocks()
               if len(block) > 1)  # fmt: skip


@pytest.mark.parametrize("dtype", ROUNDING)
def test_what_rounding_loses_is_measured(dtype):
    exact, kept = recording(dtype="fp32"), recording(dtype=dtype)
    rows = np.arange(ROWS)
    one, two = (states_of(k, rows, LENGTH, LAYERS) for k in (exact, kept))
    lost = sum((one[k] - two[k]).square().sum() for k in LAYERS)
    size = sum(one[k].square().sum() for k in LAYERS)
    assert kept.error()["hidden_states"] == pytest.approx(float((lost / size).sqrt()), rel=1e-2)
    assert (kept.error()["hidden_states"] > 0) == (dtype != "fp32")


def test_logits_of_rows_are_read_from_one_piece():
    cut = recording(row_bytes=BLOCK_BYTES // 10)
    whole = cut.with_one_chunk_of_logits()
    rows = np.array([36, 0, 5, 5, 30])
    assert len(whole.parts["logits"].chunks) == 1 < len(cut.parts["logits"].chunks)
    assert torch.equal(logits_of(whole, rows, 0), logits_of(cut, rows, 0))


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("blocks", [(0, 1), (1,), (1, 0)])
def test_recorded_attentions_are_those_of_a_forward(dtype, blocks):
    kept = recording(dtype=dtype, output_spec=OutputSpec(Logits(), *attention_maps((0, 1))))
    rows = np.array([30, 2, 17])
    batch = Collator(0, max_length=LENGTH)(ENCODED, rows)
    with torch.inference_mode():
        out = forward(teacher().eval(), batch, output_spec=attention_maps((0, 1)))
    actual = maps_of(kept, rows, batch.input_ids.shape[1], blocks)
    mask = batch.attention_mask.bool()
    pairs = (mask[:, :, None] & mask[:, None, :])[:, None]
    for block in blocks:
        want = out.attention(block) * pairs
        assert torch.allclose(actual[block], want, atol=ROUNDING[dtype] + 2e-6)


def test_spans_have_logits_for_every_token():
    random_init = RandomInitConfig(family="bert", layers=1, hidden=16, heads=2)
    model = build_model(random_init, vocabulary=VOCABULARY, kind="span", num_labels=2, seed=0)
    kept = recording(model, output_spec=OutputSpec(Logits()))
    rows = np.array([4, 20, 9])
    batch = Collator(0, max_length=LENGTH)(ENCODED, rows)
    with torch.inference_mode():
        out = forward(model.eval(), batch)
    assert out.logits.shape == (3, 2, batch.input_ids.shape[1])
    assert (out.logits[batch.attention_mask[:, None].expand_as(out.logits) == 0] == PADDED).all()
    assert torch.allclose(logits_of(kept, rows, out.logits.shape[2]), out.logits, atol=1e-5)
    assert kept.all_logits().shape == (ROWS, 2, ENCODED.lengths().max())
    squad = registry.load("tasks", "squad")
    size = estimate_bytes(ENCODED, OutputSpec(Logits()), model_dims(model), squad, wide=True)
    assert kept.stored() == {"logits": size}


def test_a_row_of_a_batch_is_the_same_in_a_batch_of_its_own():
    one, many = recording(batch_size=1), recording(batch_size=64)
    assert np.allclose(one.all_logits(), many.all_logits(), atol=1e-5)
    assert np.array_equal(
        one.parts["hidden_states/2"].offsets, many.parts["hidden_states/2"].offsets
    )


def test_only_logits_are_kept_when_only_logits_are_read():
    kept = recording(output_spec=OutputSpec(Logits()))
    assert kept.names == ("logits",)
    assert kept.stored() == {"logits": ROWS * CLASSES * 4}


@pytest.mark.parametrize("dtype", ROUNDING)
def test_the_size_is_known_before(dtype):
    output_spec = OutputSpec(*hidden_states((0, 2)), *attention_maps((1,)), context_padding=1)
    kept = recording(dtype=dtype, output_spec=output_spec)
    model = teacher()
    estimate = estimate_bytes(ENCODED, output_spec, model_dims(model), TASK, wide=dtype == "fp32")
    assert estimate == sum(kept.stored().values())


def test_dropout_is_off_and_the_model_keeps_no_gradient():
    model = teacher().train()
    assert np.array_equal(recording(model).all_logits(), recording(model).all_logits())
    assert all(p.grad is None for p in model.parameters())


def test_progress_counts_rows_up_to_all_of_them():
    done = []
    recording(batch_size=10, progress=done.append, row_bytes=BLOCK_BYTES // 20)
    assert done == [10, 20, 30, 37]


def test_hidden_states_too_large_for_fp16_are_refused_with_a_way_out():
    model = teacher()
    with torch.no_grad():
        model.bert.encoder.layer[1].output.LayerNorm.weight.mul_(1e6)
    with pytest.raises(TeacherError, match="larger than fp16 can hold") as caught:
        recording(model, dtype="fp16")
    assert caught.value.hint == "set teacher.dtype: bf16 or fp32"
    states = states_of(recording(model, dtype="bf16"), np.arange(ROWS), 3, (2,))[2]
    assert states.abs().max() > 1e5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("output_spec", [OUTPUT_SPEC, OutputSpec(Logits())])
def test_logits_that_are_not_finite_are_refused(value, output_spec):
    model = teacher()
    with torch.no_grad():
        model.classifier.bias[1] = value
    with pytest.raises(TeacherError, match="logits are not finite"):
        recording(model, output_spec=output_spec)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("which", ["logits", "hidden_states/2"])
def test_a_write_through_torch_is_noticed(which):
    kept = recording()
    before = checksum(kept.arrays())
    assert checksum(kept.arrays()) == before
    array = kept.parts[which].chunks[0]
    # As in the object store; torch does not mind.
    array.setflags(write=False)
    torch.from_numpy(array)[-1].add_(1)
    assert checksum(kept.arrays()) != before


def test_a_write_to_a_large_array_is_noticed():
    array = np.zeros((600, 1000), np.float32)
    before = checksum(iter([array]))
    torch.from_numpy(array)[::7].add_(1)
    assert checksum(iter([array])) != before


def test_the_order_of_arrays_counts():
    one, two = np.arange(3), np.arange(4)
    assert checksum(iter([one, two])) != checksum(iter([two, one]))


def test_what_was_not_recorded_is_missed_by_its_number():
    kept = recording(output_spec=OutputSpec(*hidden_states((0, 2)), *attention_maps((1,))))
    with pytest.raises(LookupError, match="hidden_states/1 of the teacher was not recorded, only"):
        states_of(kept, np.arange(2), LENGTH, (0, 1))
    with pytest.raises(
        LookupError, match="attentions/0 of the teacher was not recorded, only attentions/1"
    ):
        maps_of(kept, np.arange(2), LENGTH, (0,))
