"""Models of the hub by name and revision, from a local cache without a network."""

import json

import pytest
import torch
from safetensors.torch import load_file

from raykd.errors import SpecError, Unreachable
from raykd.models import lora, weights
from raykd.models.resolve import hub_commit, resolve
from raykd.sweep.input_hashes import hub_commits
from tests.unit.models.checkpoints import save_tiny, tiny
from tests.unit.sweep.specs import spec

NAME = "someone/tiny-bert"
OLD, NEW, ADAPTED = "a1" * 20, "b2" * 20, "c3" * 20


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Two commits of a model, as the hub's client lays them out; ``main`` is the second."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--someone--tiny-bert"
    for seed, commit in enumerate((OLD, NEW)):
        save_tiny(model / "snapshots" / commit, seed=seed)
    for ref, commit in (("main", NEW), ("before", OLD), ("pr/1", OLD)):
        place = model / "refs" / ref
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(commit)
    return tmp_path


@pytest.mark.parametrize(
    ("requested", "commit"),
    [
        (NAME, NEW),
        (f"{NAME}@main", NEW),
        (f"{NAME}@before", OLD),
        (f"{NAME}@pr/1", OLD),
        (f"{NAME}@{OLD}", OLD),
        (f"{NAME}@{NEW}", NEW),
    ],
)
def test_a_revision_names_its_commit(requested, commit):
    assert resolve(requested).name == commit
    assert hub_commit(requested) == commit


@pytest.mark.parametrize("revision", ["gone", "d4" * 20])
def test_a_revision_that_is_not_in_the_cache_says_which_are(revision):
    with pytest.raises(Unreachable, match=f"'{NAME}@{revision}' is not a folder here") as caught:
        resolve(f"{NAME}@{revision}")
    assert caught.value.hint == (
        f"the local cache has of it: before, main, pr/1, {OLD}, {NEW}; "
        "or download it once with network"
    )


def test_the_commits_of_a_sweep_are_those_of_its_models_from_the_hub():
    both = spec(teacher__model=NAME, student__model=f"{NAME}@before")
    assert hub_commits(both) == {NAME: NEW, f"{NAME}@before": OLD}
    assert hub_commits(spec()) == {}


def test_an_empty_revision_is_refused():
    with pytest.raises(SpecError, match=f"'{NAME}@' names no revision after '@'"):
        resolve(f"{NAME}@")


def test_a_folder_has_no_commit_whatever_its_name(tmp_path):
    folder = tmp_path / "model@old"
    save_tiny(folder)
    assert resolve(str(folder)) == folder
    assert hub_commit(str(folder)) is None


@pytest.fixture
def adapter(cache):
    """An adapter of the model, a commit of a name of its own."""
    snapshot = cache / "models--someone--adapter" / "snapshots" / ADAPTED
    plan = lora.LoraPlan(targets=(lora.ALL_LINEAR,), base=NAME, revision="before")
    sizes = lora.LoraSizes(rank=2, alpha=2.0, dropout=0.0)
    model = tiny()
    lora.attach(model, plan, sizes, seed=0)
    weights.save(lora.capture(model, plan, sizes), snapshot)
    (snapshot / "config.json").unlink()
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text(ADAPTED)
    return snapshot


def test_an_adapter_on_the_hub_is_merged_into_the_revision_that_it_names(adapter, cache):
    merged = resolve("someone/adapter@main")
    base = cache / "models--someone--tiny-bert/snapshots" / OLD / "model.safetensors"
    name = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(load_file(merged / "model.safetensors")[name], load_file(base)[name])
    assert hub_commit("someone/adapter") == ADAPTED
    with pytest.raises(Unreachable, match="'someone/adapter@gone' is not a folder here"):
        resolve("someone/adapter@gone")


def test_an_adapter_on_the_hub_without_its_base_says_which_is_lacking(adapter):
    path = adapter / "adapter_config.json"
    stated = json.loads(path.read_text()) | {"base_model_name_or_path": "someone/else"}
    path.write_text(json.dumps(stated))
    with pytest.raises(Unreachable, match="is an adapter of 'someone/else@before'"):
        resolve("someone/adapter")
