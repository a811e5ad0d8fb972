"""What the cache keeps comes back with its type, whatever a configuration holds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig

from raykd.models import weights
from raykd.models.weights import ModelState
from raykd.teachers.cache import _flatten, _restore
from tests.unit.models.checkpoints import tiny

TYPES = (
    "bert", "roberta", "distilbert", "deberta", "deberta-v2", "gpt2", "gpt_neo", "llama", "qwen2",
    "t5", "albert", "electra", "xlm-roberta", "camembert", "mpnet", "modernbert", "bart", "mbart",
    "pegasus", "mistral", "mixtral", "gemma", "gemma2", "gemma3_text", "qwen3", "qwen3_moe", "phi",
    "phi3", "olmo2", "gpt_neox", "opt", "bloom", "falcon", "gptj", "longformer", "xlnet", "mt5",
    "smollm3", "cohere", "granite",
)  # fmt: skip


def again(value):
    """A value, written and read as the cache does."""
    arrays: dict[str, np.ndarray] = {}
    return _restore(json.loads(json.dumps(_flatten(value, arrays))), arrays)


def same(one, two) -> bool:
    """Equal, and of the same types all the way down; NaN is NaN, and 0.0 is not -0.0."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        keys = zip(one, two, strict=False)
        return len(one) == len(two) and all(same(a, b) and same(one[a], two[b]) for a, b in keys)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return repr(one) == repr(two)


SINGLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(),
    st.sampled_from(["bfloat16", "float32", "$list", "$tuple", "$map", "$array", "$type"]),
)  # fmt: skip
KEYS = st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text()))
VALUES = st.recursive(
    SINGLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_every_plain_value_comes_back_with_its_type(value):
    assert same(again(value), value)


def test_the_comparison_of_this_file_can_tell_types_apart():
    assert not same((1,), [1])
    assert not same({1: "a"}, {"1": "a"})
    assert not same([1.0], [1])
    assert not same([True], [1])
    assert not same(-0.0, 0.0)
    assert same([float("nan")], [float("nan")])


@pytest.mark.parametrize("model_type", TYPES)
def test_the_configuration_of_a_model_type_comes_back_and_makes_the_same_one(model_type):
    config = AutoConfig.for_model(model_type)
    plain = json.loads(config.to_json_string(use_diff=False))
    actual = again(plain)
    assert same(actual, plain)
    made = type(config).from_dict(actual)
    assert made.to_dict() == type(config).from_dict(plain).to_dict()


def test_a_model_state_with_lists_in_its_configuration_can_be_built_again():
    """Llama 3.1 has several tokens that end a text, Qwen2 a type of attention for each block."""
    state = weights.capture(tiny())
    config = {**state.config, "eos_token_id": [3, 4], "nested": {"rates": (0.1, [2, None])}}
    actual = again(replace(state, config=config))
    assert isinstance(actual, ModelState)
    assert same(dict(actual.config), config)
    assert weights.restore(actual).config.eos_token_id == [3, 4]


@pytest.mark.parametrize("number", [np.float32(0.1), np.float64(-0.0), np.int64(7), np.bool_(True)])
def test_single_numbers_of_numpy_keep_their_type(number):
    actual = again({"value": (number,)})["value"][0]
    assert type(actual) is type(number)
    assert repr(actual) == repr(number)


def test_what_has_no_form_in_the_cache_is_refused_by_name():
    with pytest.raises(TypeError, match=r"\{1\} of type set cannot be kept in the cache"):
        again({"value": {1}})
