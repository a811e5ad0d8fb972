"""Models whose weights are in files: in the types of numbers they have there, read when used."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from raykd.errors import SetupError
from raykd.models import weights
from raykd.models.file_arrays import FileArrays, FilePart, digest_of, nbytes, scan, where
from raykd.models.files import write_aligned
from raykd.models.layer_selection import select_layers
from raykd.models.model_factory import factory_from_state
from raykd.models.weights import WEIGHTS_FILE
from tests.checkpoint_models import load_state
from tests.unit.models.checkpoints import save_tiny, tiny

KIND = {"kind": "classification", "num_labels": 3}
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def rewritten(folder, dtype):
    save_tiny(folder)
    tensors = {n: t.to(dtype) for n, t in load_file(folder / WEIGHTS_FILE).items()}
    save_file(tensors, folder / WEIGHTS_FILE, {"format": "pt"})
    return tensors


def in_one_old_file(folder, tensors):
    torch.save({"model": tensors}, folder / "pytorch_model.bin")


def in_shards(folder, tensors):
    names = sorted(tensors)
    halves = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, some in halves.items():
        save_file({n: tensors[n] for n in some}, folder / file, {"format": "pt"})
    index = {"weight_map": {n: file for file, some in halves.items() for n in some}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def is_in_files(state):
    return all(isinstance(where(state.tensors, n), FilePart) for n in state.tensors)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_checkpoint_keeps_its_type_of_number_and_stays_in_its_file(tmp_path, dtype):
    tensors = rewritten(tmp_path, dtype)
    state = load_state(str(tmp_path), **KIND)
    assert is_in_files(state)
    assert nbytes(state.tensors) == sum(t.nbytes for t in tensors.values())
    assert len(pickle.dumps(state)) < nbytes(state.tensors) or dtype != torch.float32
    assert state.config["dtype"] == str(dtype).removeprefix("torch.")
    again = weights.restore(pickle.loads(pickle.dumps(state))).state_dict()
    assert all(torch.equal(again[n], t) for n, t in tensors.items())


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_trained_in_float32_and_frozen_in_the_type_that_is_requested(tmp_path, dtype):
    tensors = rewritten(tmp_path, dtype)
    factory = factory_from_state(load_state(str(tmp_path), **KIND), **KIND)
    built = factory.build(0).state_dict()
    assert all(torch.equal(built[n], t.float()) for n, t in tensors.items())
    for wanted in DTYPES:
        frozen = factory.frozen(wanted)
        assert {p.dtype for p in frozen.parameters()} == {wanted}
        actual = frozen.state_dict()
        assert all(torch.equal(actual[n], t.to(wanted)) for n, t in tensors.items())


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_layout_of_the_files_decides_nothing(tmp_path, dtype):
    tensors = rewritten(tmp_path, dtype)
    states = [load_state(str(tmp_path), **KIND)]
    for write in (in_one_old_file, in_shards):
        folder = tmp_path / write.__name__
        folder.mkdir()
        shutil.copy(tmp_path / "config.json", folder)
        write(folder, tensors)
        states.append(load_state(str(folder), **KIND))
        assert is_in_files(states[-1])
    whole = weights.from_tensors(tensors, states[0].config)
    assert not is_in_files(whole)
    assert len({digest_of(state.tensors) for state in (whole, *states)}) == 1


def test_an_old_file_of_another_format_is_read_whole(tmp_path):
    tensors = rewritten(tmp_path, torch.bfloat16)
    (tmp_path / WEIGHTS_FILE).unlink()
    file = tmp_path / "pytorch_model.bin"
    torch.save(tensors, file, _use_new_zipfile_serialization=False)
    state = load_state(str(tmp_path), **KIND)
    assert not is_in_files(state)
    assert digest_of(state.tensors) == digest_of(
        weights.from_tensors(tensors, state.config).tensors
    )


def test_equal_arrays_have_equal_digests_and_others_do_not(tmp_path):
    state = save_tiny(tmp_path)
    assert digest_of(weights.load(tmp_path).tensors) == digest_of(dict(state.tensors))
    changed = {n: np.array(a) for n, a in state.tensors.items()}
    changed["classifier.bias"][1] += 1e-3
    assert digest_of(changed) != digest_of(state.tensors)
    named = {n + "x": a for n, a in state.tensors.items()}
    assert digest_of(named) != digest_of(state.tensors)


def test_what_is_written_to_a_mapped_array_reaches_no_file(tmp_path):
    save_tiny(tmp_path)
    before = (tmp_path / WEIGHTS_FILE).read_bytes()
    state = weights.load(tmp_path)
    state.tensors["classifier.bias"][:] = 7.0
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == before
    assert (state.tensors["classifier.bias"] == 7.0).all()  # and others in this process see it


def test_a_file_that_changed_meanwhile_is_refused(tmp_path):
    save_tiny(tmp_path)
    state = pickle.loads(pickle.dumps(weights.load(tmp_path)))
    save_tiny(tmp_path, seed=1)
    with pytest.raises(SetupError, match="was changed while it was in use"):
        weights.restore(state)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(SetupError, match="No such file"):
        weights.restore(state)


def test_a_frozen_model_shares_the_pages_of_its_file(tmp_path):
    save_tiny(tmp_path)  # aligned, as raykd writes it
    state = weights.load(tmp_path)
    model = factory_from_state(state, **KIND).frozen()
    name = "bert.pooler.dense.weight"
    assert model.get_parameter(name).data_ptr() == state.tensors[name].ctypes.data


def test_layers_of_a_mapped_model_are_its_files_under_other_names(tmp_path):
    save_tiny(tmp_path)
    once, twice = weights.load(tmp_path), weights.capture(tiny())
    cut = select_layers(once, (2, 0), keep_head=True)
    assert is_in_files(cut)
    assert digest_of(cut.tensors) == digest_of(select_layers(twice, (2, 0), keep_head=True).tensors)


def test_a_mapped_model_is_saved_from_file_to_file(tmp_path):
    rewritten(tmp_path / "one", torch.bfloat16)
    state = load_state(str(tmp_path / "one"), **KIND)
    weights.save(state, tmp_path / "two")
    assert digest_of(weights.load(tmp_path / "two").tensors) == digest_of(state.tensors)


def test_weights_are_counted_without_building_a_model():
    for state in (
        weights.capture(tiny()),
        select_layers(weights.capture(tiny()), (1,), keep_head=False),
    ):
        built = factory_from_state(state, **KIND)
        assert built.parameters() == sum(p.numel() for p in built.build(0).parameters())


def test_numbers_that_are_not_finite_are_counted_in_every_type(tmp_path):
    values = torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), 1e4])
    tensors = {str(d): values.to(d) for d in (*DTYPES, torch.float64)} | {"ids": torch.arange(3)}
    arrays = weights.from_tensors(tensors, {"model_type": "bert"})
    write_aligned(tmp_path / WEIGHTS_FILE, arrays.tensors, frozenset(arrays.bf16))
    (tmp_path / "config.json").write_text(json.dumps(dict(arrays.config)))
    actual = weights.load(tmp_path).tensors
    assert isinstance(actual, FileArrays)
    counts = {name: scan(actual.where(name)).not_finite for name in actual}
    assert counts == {name: 0 if name == "ids" else 3 for name in tensors}
