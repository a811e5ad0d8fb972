from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from raykd import registry
from raykd.data.base import KINDS
from raykd.data.task_kinds import APART_KINDS
from raykd.errors import DataError, SetupError, SpecError
from raykd.models import lora, weights
from raykd.models.checkpoint import read_checkpoint
from raykd.models.dropout import set_dropout
from raykd.models.families.base import family_of
from raykd.models.resolve import resolve
from tests.snippets import run_block
from tests.unit.models.checkpoints import tiny

SIZES = lora.LoraSizes(rank=4, alpha=8.0, dropout=0.0)
LABELS = {"classification": 3, "span": 2}
SHAPE = {"layers": 2, "intermediate": 32, "dropout": 0.0}


def cases():
    for family in registry.names("families"):
        kinds = [kind for kind in KINDS if kind in registry.load("families", family).kinds]
        yield from ((family, kind) for kind in (kinds if family == "bert" else kinds[:1]))


def saved_base(folder: Path, family: str, kind: str) -> lora.LoraPlan:
    base = tiny(kind, LABELS.get(kind, 1), family=family, **SHAPE)
    weights.save(weights.capture(base), folder / "base")
    return lora.LoraPlan(targets=(lora.ALL_LINEAR,), base=str(folder / "base"))


def trained(plan: lora.LoraPlan, family: str, kind: str, sizes: lora.LoraSizes = SIZES):
    """A model whose adapter and head moved, and nothing else."""
    model = tiny(kind, LABELS.get(kind, 1), family=family, **SHAPE)
    lora.attach(model, plan, sizes, seed=3)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    return model.eval()


def output(model, kind: str) -> torch.Tensor:
    ids = torch.randint(5, 60, (3, 7), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if kind == "seq2seq":
        inputs["decoder_input_ids"] = ids
    with torch.no_grad():
        out = model.eval()(**inputs)
    if kind in APART_KINDS:
        return out.last_hidden_state
    return out.start_logits if kind == "span" else out.logits


@pytest.mark.parametrize(("family", "kind"), list(cases()))
def test_a_saved_adapter_says_the_same_in_peft_and_merged_the_same_but_for_rounding(
    tmp_path, family, kind
):
    plan = saved_base(tmp_path, family, kind)
    model = trained(plan, family, kind)
    state = lora.capture(model, plan, SIZES)
    weights.save(state, tmp_path / "adapter")
    base = family_of(model.config).head_class(kind).from_pretrained(tmp_path / "base")
    names = base.state_dict().keys()  # before PEFT changes it
    opened = PeftModel.from_pretrained(base, tmp_path / "adapter")
    expected = output(model, kind)
    assert torch.equal(output(opened, kind), expected)
    assert sum(a.nbytes for a in state.tensors.values()) < sum(
        p.nbytes for n, p in model.named_parameters() if "lora_" not in n
    )
    lora.merge(model)
    assert model.state_dict().keys() == names
    assert torch.allclose(output(model, kind), expected, atol=1e-5)
    again = read_checkpoint(str(tmp_path / "adapter"), kind=kind, num_labels=LABELS.get(kind, 1))
    assert torch.allclose(output(weights.restore(again.state), kind), expected, atol=1e-5)


def test_a_saved_adapter_opens_as_the_document_shows(tmp_path):
    plan = saved_base(tmp_path, "gpt2", "causal_lm")
    model = trained(plan, "gpt2", "causal_lm")
    weights.save(lora.capture(model, plan, SIZES), tmp_path / "adapter")
    links = {
        "Qwen/Qwen2.5-0.5B": tmp_path / "base",
        "runs/RUN/checkpoints/dolly/kd/best": tmp_path / "adapter",
    }
    opened = run_block("docs/how-to/student.md", 2, tmp_path, links)["model"]
    assert torch.equal(output(opened, "causal_lm"), output(model, "causal_lm"))


def test_an_adapter_pools_as_the_model_that_it_belongs_to(tmp_path):
    plan = saved_base(tmp_path, "bert", "embedding")
    state = lora.capture(trained(plan, "bert", "embedding"), plan, SIZES)
    weights.save(state, tmp_path / "adapter")
    (tmp_path / "adapter" / "modules.json").unlink()
    shutil.rmtree(tmp_path / "adapter" / "1_Pooling")
    (tmp_path / "base" / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    with pytest.raises(SpecError, match="with the pooling cls"):
        read_checkpoint(str(tmp_path / "adapter"), kind="embedding", num_labels=1)


def test_the_adapter_and_the_head_are_trained_and_dropout_of_the_two_is_apart():
    plan = lora.LoraPlan(targets=("query", "layer.0.output.dense"), base="")
    model = tiny()
    sizes = lora.LoraSizes(rank=2, alpha=4.0, dropout=0.3)
    before = torch.random.get_rng_state()
    lora.attach(model, plan, sizes, seed=1, dropout=0.2)
    assert torch.equal(before, torch.random.get_rng_state())
    names = {n for n, p in model.named_parameters() if p.requires_grad}
    own = {n for n in names if ".lora_" not in n}
    assert own == {f"{m}.{p}" for m in ("bert.pooler.dense", "classifier")
                   for p in ("weight", "bias")}  # fmt: skip
    assert {n.partition(".lora_")[0].rpartition("layer.")[2] for n in names - own} == {
        "0.output.dense", *(f"{k}.attention.self.query" for k in range(3)),
    }  # fmt: skip
    inside = [m.p for n, m in model.named_modules()
              if isinstance(m, torch.nn.Dropout) and "lora" in n]  # fmt: skip
    assert set(inside) == {0.3}
    plain = tiny()
    set_dropout(plain, 0.2)
    outside = [m.p for n, m in model.named_modules()
               if isinstance(m, torch.nn.Dropout) and "lora" not in n]  # fmt: skip
    assert outside == [m.p for m in plain.modules() if isinstance(m, torch.nn.Dropout)]
    assert len({p.shape[0] for n, p in model.named_parameters() if "lora_A" in n}) == 1


def test_the_seed_decides_the_first_matrices():
    def drawn(seed: int) -> torch.Tensor:
        model = tiny()
        lora.attach(model, lora.LoraPlan(targets=("query",), base=""), SIZES, seed)
        return next(p for n, p in model.named_parameters() if "lora_A" in n)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_targets_that_nothing_is_called_are_refused_with_what_there_is():
    lora.check_targets(tiny(), ("all-linear", "query", "attention.output.dense"))
    with pytest.raises(SpecError) as caught:
        lora.check_targets(tiny(), ("query", "q_proj"))
    (problem,) = caught.value.problems()
    assert problem.path == "student.lora.targets"
    assert problem.message == (
        "no linear layer of a BertForSequenceClassification is called 'q_proj'"
    )
    assert problem.hint == "there are query, key, value, dense; or targets: all-linear"


def test_without_the_package_one_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(SetupError, match="the package peft, which is not installed") as caught:
        lora.check_installed()
    assert caught.value.hint == "pip install 'raykd[peft]'"


def test_a_warning_of_bitsandbytes_is_no_line_of_a_sweep(caplog):
    """PEFT imports it, and it warns of kernels for 4 bits, of which nothing here has use."""
    log = logging.getLogger("bitsandbytes.backends.cpu.ops")
    log.setLevel(logging.NOTSET)
    lora.check_installed()
    log.warning("Failed to load CPU gemm_4bit_forward from kernels-community")
    log.error("what it cannot do")
    assert caplog.messages == ["what it cannot do"]


# Adapters as teachers and students.


@pytest.fixture
def adapter(tmp_path) -> Path:
    """A folder that PEFT would write: nothing but the adapter."""
    plan = saved_base(tmp_path, "bert", "classification")
    state = lora.capture(trained(plan, "bert", "classification"), plan, SIZES)
    weights.save(state, tmp_path / "adapter")
    (tmp_path / "adapter/config.json").unlink()
    (tmp_path / "base/vocab.txt").write_text("[PAD]\n")
    return tmp_path / "adapter"


def changed(folder: Path, **entries: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_an_adapter_is_read_as_the_model_that_it_and_its_base_make(adapter):
    actual = read_checkpoint(str(adapter), kind="classification", num_labels=3)
    plan = lora.LoraPlan(targets=(lora.ALL_LINEAR,), base="")
    expected = output(trained(plan, "bert", "classification"), "classification")
    assert actual.fresh == ()
    assert torch.allclose(output(weights.restore(actual.state), ""), expected, atol=1e-5)
    assert (resolve(str(adapter)) / "vocab.txt").is_file()
    assert resolve(str(adapter)) == resolve(str(adapter))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"base_model_name_or_path": None}, SpecError, "does not say of which model"),
        ({"base_model_name_or_path": "./nowhere"}, SpecError,
         "is an adapter of './nowhere': folder './nowhere' does not exist"),
        ({"task_type": "TOKEN_CLS"}, SpecError, "is for no known task: task_type of its"),
        ({"peft_type": "PREFIX_TUNING"}, DataError, "cannot be merged into"),
        ({"r": 2}, DataError, "cannot be merged into"),
        ({"target_modules": ["nothing"]}, DataError, "cannot be merged into"),
    ],
)  # fmt: skip
def test_an_adapter_that_cannot_be_merged_is_refused_with_the_reason(
    adapter, change, error, message
):
    changed(adapter, **change)
    with pytest.raises(error) as caught:
        resolve(str(adapter))
    assert message in caught.value.message
    assert caught.value.hint


def test_an_adapter_without_a_head_gives_a_model_without_one(adapter):
    path = adapter / "adapter_model.safetensors"
    given = load_file(path)
    save_file({n: t for n, t in given.items() if "classifier" not in n}, path)
    base = adapter.parent / "base/model.safetensors"
    whole = load_file(base)
    save_file({n: t for n, t in whole.items() if "classifier" not in n}, base)
    changed(adapter, modules_to_save=["bert.pooler.dense"], task_type=None)
    (adapter / "config.json").write_text((adapter.parent / "base/config.json").read_text())
    actual = read_checkpoint(str(adapter), kind="classification", num_labels=3)
    assert actual.fresh == ("classifier.weight", "classifier.bias")


def test_an_adapter_of_other_layers_is_refused(adapter):
    path = adapter / "adapter_model.safetensors"
    given = load_file(path)
    extra = next(t for n, t in given.items() if "lora_A" in n).clone()
    save_file(given | {"base_model.model.bert.encoder.layer.9.lora_A.weight": extra}, path)
    with pytest.raises(DataError, match="no place for or value of"):
        resolve(str(adapter))


def test_an_adapter_that_belongs_to_itself_is_refused(adapter):
    other = adapter.parent / "other"
    shutil.copytree(adapter, other)
    changed(adapter, base_model_name_or_path=str(other))
    changed(other, base_model_name_or_path=str(adapter))
    with pytest.raises(SpecError, match="is an adapter that belongs to itself"):
        resolve(str(adapter))


def test_an_adapter_without_weights_is_refused(adapter):
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(DataError, match=r"has no weights: neither of adapter_model\.safetensors"):
        resolve(str(adapter))
