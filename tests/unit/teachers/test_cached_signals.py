from __future__ import annotations

import itertools

import numpy as np
import pytest

from raykd.methods.base import OutputSpec
from raykd.models.signals import ragged
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.models.signals.ragged import one_chunk
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.cached_signals import merge_signals, split_signals
from raykd.teachers.recording import kept
from raykd.teachers.vocab_cache.signal import VocabularyScores
from tests.unit.teachers.gathering import states_of
from tests.unit.teachers.same import same

LENGTHS = (3, 1, 4, 1, 5, 2, 6)
OUTPUT_SPEC = OutputSpec(
    Logits(), *hidden_states((0, 2, 5)), *attention_maps((1, 3)), context_padding=1
)


def numbers(count: int, *shape: int) -> np.ndarray:
    return np.arange(count * int(np.prod(shape)), dtype=np.float32).reshape(count, *shape)


def recorded(cuts: tuple[int, ...]) -> CachedOutputs:
    """Outputs on seven rows with known values, in blocks that end at some rows."""

    def part(lengths, width, first=0):
        whole = first + numbers(sum(lengths), width)
        rows = np.split(whole, np.cumsum(lengths)[:-1])
        ends = (0, *cuts, len(lengths))
        return ragged.joined([one_chunk(rows[a:b]) for a, b in itertools.pairwise(ends)])

    states, maps = [n + 1 for n in LENGTHS], [n * n for n in LENGTHS]
    parts = {
        "attentions/1": part(maps, 2),
        "attentions/3": part(maps, 2, 500),
        "hidden_states/0": part(states, 2),
        "hidden_states/2": part(states, 2, 100),
        "hidden_states/5": part(states, 2, 200),
        "logits": part((1,) * len(LENGTHS), 3),
    }
    return CachedOutputs(
        signals=OUTPUT_SPEC.cacheable,
        parts=parts,
        dtype="fp32",
        context_padding=1,
        labels_of="row",
        rounding={"hidden_states/0": (1.0, 4.0), "hidden_states/2": (2.0, 5.0),
                  "hidden_states/5": (0.0, 6.0), "attentions/1": (0.5, 1.0),
                  "attentions/3": (0.0, 2.0)},
    )  # fmt: skip


def blocks(*ends: int) -> list[np.ndarray]:
    starts = (0, *ends)
    return [np.arange(a, b) for a, b in zip(starts, (*ends, len(LENGTHS)), strict=True)]


@pytest.mark.parametrize("before", [(), (2,), (1, 2, 5)])
@pytest.mark.parametrize("after", [(), (3,), (1, 2, 5), (1, 2, 3, 4, 5, 6)])
def test_what_is_taken_apart_goes_together_again_in_any_blocks(before, after):
    bare, values = merge_signals(
        split_signals(recorded(before)), OUTPUT_SPEC, "fp32", blocks(*after)
    )
    assert same(bare.with_chunks(values), recorded(after))


def test_a_signal_is_read_without_its_values_at_hand():
    whole = recorded((2, 4))
    every = list(whole.chunks())
    requested = []

    def block(number):
        requested.append(number)
        return every[number]

    signals = split_signals(whole.with_chunks(()), block)
    assert requested == []
    actual = signals["hidden_states/2"].read(1, 3)["hidden_states/2"]
    assert requested == [0, 1]
    assert np.array_equal(
        actual, np.concatenate(whole.parts["hidden_states/2"].rows(np.asarray([1, 2])))
    )


def test_signals_of_two_recordings_go_together():
    one = split_signals(recorded((2,)))
    two = split_signals(recorded((3, 5)))
    mixed = {**{n: two[n] for n in two if n.startswith("hidden")},
             **{n: one[n] for n in one if not n.startswith("hidden")}}  # fmt: skip
    bare, values = merge_signals(mixed, OUTPUT_SPEC, "fp32", blocks(4))
    assert same(bare.with_chunks(values), recorded((4,)))


def test_some_of_the_signals_are_a_recording_of_their_own():
    whole = recorded((2,))
    few = OutputSpec(Logits(), *hidden_states((5,)), context_padding=1)
    bare, values = merge_signals(split_signals(whole), few, "fp32", blocks(3))
    actual = bare.with_chunks(values)
    assert actual.names == ("hidden_states/5", "logits")
    assert actual.rounding == {"hidden_states/5": (0.0, 6.0)}
    rows = np.arange(len(LENGTHS))
    result, expected = (states_of(r, rows, 7, (5,))[5].numpy() for r in (actual, whole))
    assert np.array_equal(result, expected)


def test_rounding_of_layers_adds_up_to_that_of_the_signal():
    assert recorded(()).error() == {
        "hidden_states": (3.0 / 15.0) ** 0.5, "attentions": (0.5 / 3.0) ** 0.5
    }  # fmt: skip


@pytest.mark.parametrize("token_labels", [True, False])
def test_names_of_signals_are_those_of_what_is_recorded(token_labels):
    assert kept(OUTPUT_SPEC, token_labels=token_labels) == recorded(()).signals
    plain = OutputSpec(*hidden_states((1,)))
    assert (Logits() in kept(plain, token_labels=token_labels)) == (not token_labels)


def test_only_some_signals():
    some = OUTPUT_SPEC.only(["hidden_states/2", "attentions/3"])
    assert some == OutputSpec(*hidden_states((2,)), *attention_maps((3,)), context_padding=1)
    tokens = OutputSpec(Logits(), VocabularyScores("sampled:8"), *hidden_states((1,)))
    assert tokens.only(["tokens/sampled:8"]) == OutputSpec(VocabularyScores("sampled:8"))
    assert tokens.only(["hidden_states/1"]) == OutputSpec(*hidden_states((1,)))
