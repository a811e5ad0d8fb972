"""What raykd saves is opened by the library's automatic classes and says what was scored."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from raykd import registry
from raykd.data.base import NO_LABEL, TEXT_KINDS, Batch
from raykd.data.collate import Collator
from raykd.data.prompts import id_count, joined_row, of_rows
from raykd.data.task_kinds import APART_KINDS, task_kind
from raykd.models import weights
from raykd.models.base import RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.forward import forward
from raykd.models.generation import GenerationSettings, generate, until_end
from raykd.models.layer_selection import select_layers
from raykd.models.load import build_model
from raykd.models.tokenizers import save_tokenizer, train_tokenizer
from tests.checkpoint_models import load_model

AUTO = {
    "classification": AutoModelForSequenceClassification,
    "multi_label": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "regression": AutoModelForSequenceClassification,
    "embedding": AutoModel,
    "span": AutoModelForQuestionAnswering,
    "masked_lm": AutoModelForMaskedLM,
    "causal_lm": AutoModelForCausalLM,
    "seq2seq": AutoModelForSeq2SeqLM,
}
LABELS = ("bad", "so so", "good")
PAIRS = [
    (name, kind)
    for name in registry.variants("families")
    for kind in registry.load("families", name).kinds
]
WRITERS = [(name, kind) for name, kind in PAIRS if kind in TEXT_KINDS]
TEXTS = ["the cat sat on the mat", "dogs and cats", "a mat for the dog and a cat"] * 3


def tokenizer_for(family: str):
    specials = registry.load("families", family).specials
    return train_bpe(TEXTS, 300, specials) if specials else train_tokenizer(TEXTS, 60)


def model_of(family: str, kind: str, tokenizer, seed: int = 0, layers: int = 2):
    random_init = RandomInitConfig(
        family=family, layers=layers, hidden=16, heads=2, max_positions=32
    )
    is_named = task_kind(kind).has_class_names
    count = len(LABELS) if is_named else {"span": 2}.get(kind, 1)
    return build_model(
        random_init, vocabulary=id_count(tokenizer), kind=kind, num_labels=count, seed=seed,
        labels=LABELS if is_named else (),
    ).eval()  # fmt: skip


def batch_of(tokenizer, kind: str) -> Batch:
    """Two texts as rows of a kind of task; every token of a text has a label where tokens have."""
    read = tokenizer(TEXTS[:2], padding=True, return_tensors="pt")
    if kind in TEXT_KINDS:
        parts = [
            tuple(np.asarray(tokenizer(text)["input_ids"]) for text in ("the cat", response))
            for response in TEXTS[:2]
        ]
        apart = kind == "seq2seq"
        rows = parts if apart else [joined_row(p, r, 32) for p, r in parts]
        return Collator(tokenizer.pad_token_id, max_length=32)(
            of_rows(rows, apart=apart), np.arange(2)
        )
    labels = torch.zeros(2, dtype=torch.long)
    if task_kind(kind).labels_of == "token":
        labels = read["input_ids"].masked_fill(read["attention_mask"] == 0, NO_LABEL)
    second = (torch.arange(read["input_ids"].shape[1]) > 1) & (kind in APART_KINDS)
    return Batch(
        input_ids=read["input_ids"], attention_mask=read["attention_mask"],
        token_type_ids=second * read["attention_mask"], labels=labels, index=torch.arange(2),
    )  # fmt: skip


def saved(model, tokenizer, folder: Path) -> Path:
    weights.save(weights.capture(model), folder)
    save_tokenizer(tokenizer, folder)
    return folder


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize(("family", "kind"), PAIRS)
def test_the_library_opens_it_and_predicts_the_same_bits(family, kind, tmp_path):
    tokenizer = tokenizer_for(family)
    model = model_of(family, kind, tokenizer)
    wanted = forward(model, batch_of(tokenizer, kind)).logits
    folder = saved(model, tokenizer, tmp_path / "saved")
    opened = AUTO[kind].from_pretrained(folder).eval()
    batch = batch_of(AutoTokenizer.from_pretrained(folder), kind)
    assert opened.dtype == torch.float32
    if kind in APART_KINDS:
        of, read = task_kind(kind), batch.texts_apart(tokenizer.pad_token_id)
        message = opened(input_ids=read.input_ids, attention_mask=read.attention_mask)
        assert torch.equal(of.logits(of.by_row(message, read), batch), wanted)
        return
    assert torch.equal(forward(opened, batch).logits, wanted)
    if kind in ("classification", "multi_label", "regression"):
        plain = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        assert torch.equal(opened(**plain).logits, wanted)


@pytest.mark.parametrize(("family", "kind"), PAIRS)
def test_what_it_says_of_itself_is_true(family, kind, tmp_path):
    tokenizer = tokenizer_for(family)
    stated = config_of(saved(model_of(family, kind, tokenizer), tokenizer, tmp_path / "saved"))
    assert stated["dtype"] == "float32"
    assert "torch_dtype" not in stated
    named = {"0": "bad", "1": "so so", "2": "good"}
    opened = AUTO[kind].from_pretrained(tmp_path / "saved").config
    if task_kind(kind).has_class_names:
        assert stated["id2label"] == named
        assert stated["label2id"] == {"bad": 0, "so so": 1, "good": 2}
        assert opened.id2label == {0: "bad", 1: "so so", 2: "good"}
    else:
        assert all(name.startswith("LABEL_") for name in opened.id2label.values())
    assert (tmp_path / "saved" / "generation_config.json").exists() == (kind in TEXT_KINDS)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_every_saved_file_has_the_permissions_of_a_new_file(mask, tmp_path):
    before = os.umask(mask)
    try:
        tokenizer = tokenizer_for("gpt2")
        folder = saved(model_of("gpt2", "causal_lm", tokenizer), tokenizer, tmp_path / "saved")
    finally:
        os.umask(before)
    modes = {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir()}
    assert set(modes) >= {"model.safetensors", "config.json", "generation_config.json"}
    assert set(modes.values()) == {0o666 & ~mask}


@pytest.mark.parametrize(("family", "kind"), WRITERS)
def test_generate_stops_at_the_token_that_it_was_trained_to_end_with(family, kind, tmp_path):
    """The tokenizer's, whatever the configuration of the model it began from said."""
    tokenizer = tokenizer_for(family)
    # A prompt after which this model does not write one and the same token.
    for seed in range(40):
        model = model_of(family, kind, tokenizer, seed=seed)
        prompt = np.asarray(tokenizer("the dog and a cat")["input_ids"])
        free = GenerationSettings(max_new_tokens=8, end=9999, pad=tokenizer.pad_token_id)
        actual = generate(model, [prompt], free)[0].tolist()
        if actual[3] not in actual[:3] and actual[3] not in tokenizer.all_special_ids:
            break
    else:
        pytest.fail("no seed gives a text in which the fourth token is new")
    end = actual[3]
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    folder = saved(model, tokenizer, tmp_path / "saved")
    opened = AUTO[kind].from_pretrained(folder)
    made = opened.generate(torch.from_numpy(prompt)[None], max_new_tokens=8)[0].tolist()
    made = made[1:] if kind == "seq2seq" else made[len(prompt) :]
    assert made == actual[:4]
    result = GenerationSettings(max_new_tokens=8, end=end, pad=tokenizer.pad_token_id)
    assert until_end(generate(model, [prompt], result), end)[0].tolist() == actual[:3]
    stated = json.loads((folder / "generation_config.json").read_text())
    assert stated["eos_token_id"] == config_of(folder)["eos_token_id"] == end
    assert stated["pad_token_id"] == tokenizer.pad_token_id


def test_a_token_that_stands_in_for_padding_is_not_named_in_the_configuration(tmp_path):
    """Named there, its vector would not learn when the folder is trained on."""
    tokenizer = tokenizer_for("llama")
    tokenizer.pad_token = tokenizer.eos_token = "the"
    model = model_of("llama", "causal_lm", tokenizer)
    model.config.pad_token_id = None
    folder = saved(model, tokenizer, tmp_path)
    assert config_of(folder)["pad_token_id"] is None
    stated = json.loads((folder / "generation_config.json").read_text())
    assert stated["pad_token_id"] == stated["eos_token_id"] == tokenizer.eos_token_id


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_checkpoint_in_half_precision_is_saved_as_it_was_scored(family, tmp_path):
    kind = "causal_lm" if family == "llama" else "classification"
    tokenizer = tokenizer_for(family)
    saved(model_of(family, kind, tokenizer).to(torch.bfloat16), tokenizer, tmp_path / "half")
    assert config_of(tmp_path / "half")["dtype"] == "bfloat16"
    model = load_model(str(tmp_path / "half"), kind=kind, num_labels=3).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
    wanted = forward(model, batch_of(tokenizer, kind)).logits
    opened = AUTO[kind].from_pretrained(saved(model, tokenizer, tmp_path / "student")).eval()
    assert opened.dtype == torch.float32
    assert torch.equal(forward(opened, batch_of(tokenizer, kind)).logits, wanted)


@pytest.mark.parametrize(("family", "kind"), [p for p in PAIRS if p[1] != "regression"])
def test_an_output_matrix_of_its_own_stays_one(family, kind, tmp_path):
    """As in T5 1.1 and Flan-T5, whose configuration says that it is the word embedding."""
    tokenizer = tokenizer_for(family)
    model = model_of(family, kind, tokenizer)
    head = model.get_output_embeddings()
    if head is None:
        assert kind in (
            "classification", "embedding", "multi_label", "token_classification", "span"
        )  # fmt: skip
        return
    with torch.no_grad():
        head.weight = torch.nn.Parameter(torch.randn_like(head.weight))
    wanted = forward(model, batch_of(tokenizer, kind)).logits
    folder = saved(model, tokenizer, tmp_path / "saved")
    result = load_model(str(folder), kind=kind, num_labels=1).eval()
    assert not torch.equal(
        result.get_output_embeddings().weight, result.get_input_embeddings().weight
    )
    for opened in (result, AUTO[kind].from_pretrained(folder).eval()):
        assert torch.equal(forward(opened, batch_of(tokenizer, kind)).logits, wanted)


def types_of(model) -> list[str]:
    config = model.config.to_dict()
    return config.get("attention_layers") or config.get("layer_types") or []


@pytest.mark.parametrize("family", ["gpt_neo", "qwen2"])
def test_blocks_that_are_taken_keep_their_kind_of_attention(family):
    tokenizer = tokenizer_for(family)
    model = model_of(family, "causal_lm", tokenizer, layers=5)
    state = weights.capture(model)
    if family == "qwen2":
        kinds = ["sliding_attention" if k % 2 else "full_attention" for k in range(5)]
        windowed = {"use_sliding_window": True, "sliding_window": 4, "layer_types": kinds}
        state = replace(state, config={**state.config, **windowed})
    whole = weights.restore(state).eval()
    taken = weights.restore(select_layers(state, (0, 2, 3, 4), keep_head=True)).eval()
    assert types_of(taken) == [types_of(whole)[k] for k in (0, 2, 3, 4)]
    assert len(set(types_of(taken))) == 2


def test_a_global_block_of_a_gpt_neo_sees_everything_wherever_it_is_put():
    """Blocks 0 and 2 see all tokens; by its new number block 2 would see a window of two only."""
    tokenizer = tokenizer_for("gpt_neo")
    model = model_of("gpt_neo", "causal_lm", tokenizer, layers=3)
    config = {**weights.capture(model).config, "window_size": 2}
    whole = replace(weights.capture(model), config=config)
    second = weights.restore(select_layers(whole, (0, 2), keep_head=True)).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    seen = second(ids, output_attentions=False).logits[0, -1]
    other = second(torch.cat([torch.tensor([[50]]), ids[:, 1:]], 1)).logits[0, -1]
    local = weights.restore(select_layers(whole, (1,), keep_head=True)).eval()
    assert not torch.equal(seen, other)
    alike = [local(torch.tensor([[first, 6, 7, 8, 9, 10]])).logits[0, -1] for first in (5, 50)]
    assert torch.equal(*alike)
