"""Weights that are split into several files are the same model to the library, to the last bit."""

import json

import torch
import transformers

from raykd.models.shards import SAFE_INDEX, Shards
from raykd.models.weight_files import SAFE, is_whole_model, read_tensors
from tests.cases.model_folders import bpe_tokenizer, write_decoder

LIMIT = 20_000


def saved(folder):
    write_decoder(folder, bpe_tokenizer(["the film was good"]), seed=1)
    return folder


def test_the_library_opens_the_same_model(tmp_path):
    one = saved(tmp_path / "one")
    shards = Shards(one, LIMIT)
    several = tmp_path / "several"
    several.mkdir()
    (several / "config.json").write_bytes((one / "config.json").read_bytes())
    shards.write(several)
    sizes = {p.name: p.stat().st_size for p in several.iterdir() if p.name != "config.json"}
    assert sizes == shards.sizes()
    files = sorted(sizes.keys() - {SAFE_INDEX})
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    index = json.loads((several / SAFE_INDEX).read_text())
    before = read_tensors(one).tensors
    assert index["weight_map"].keys() == before.keys()
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in before.values())
    for name, tensor in read_tensors(several).tensors.items():  # as a teacher, say
        assert torch.equal(tensor, before[name])
        assert tensor.dtype == before[name].dtype
    ids = torch.tensor([[1, 2, 3, 1]])
    logits = [transformers.AutoModelForCausalLM.from_pretrained(folder)(ids).logits
              for folder in (one, several)]  # fmt: skip
    assert torch.equal(*logits)


def test_numbers_of_two_bytes_keep_their_type(tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = {f"w{k}": torch.randn(64, 8).to(torch.bfloat16) for k in range(5)}
    save_file(tensors, tmp_path / SAFE)
    Shards(tmp_path, 2100).write(tmp_path)
    read = [load_file(p) for p in sorted(tmp_path.glob("model-*"))]
    assert [list(of) for of in read] == [["w0", "w1"], ["w2", "w3"], ["w4"]]
    assert all(torch.equal(of[name], tensors[name]) for of in read for name in of)


def test_small_models_and_single_tensors_stay_one_file(tmp_path):
    one = saved(tmp_path / "one")
    assert not Shards(one)
    assert Shards(one).sizes() == {}
    assert not Shards(tmp_path)  # an adapter has other files
    assert is_whole_model(one)
