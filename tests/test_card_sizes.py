"""The arithmetic of memory in docs/reference/models.md, against models as they are."""

from __future__ import annotations

import pytest
import torch

from docs_pages import card_sizes
from raykd.models import lora
from raykd.models.families.base import family_of
from raykd.models.task_head import with_task
from raykd.training.optim import Optimizer
from raykd.training.settings import TrainSettings

SHAPE = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3, "vocab_size": 200}
KINDS = {"bert": "classification", "modernbert": "classification"}


def tiny(model_type: str, **changes):
    family, kind = family_of(model_type), KINDS.get(model_type, "causal_lm")
    entries = {"model_type": model_type, **SHAPE, "intermediate_size": 384, "pad_token_id": 0}
    entries |= changes
    if kind == "causal_lm":
        entries |= {"num_key_value_heads": 2, "head_dim": 32}
    config = with_task(family.config_class().from_dict(entries), kind, 2)
    return family.head_class(kind)(config).train()


def test_published_sizes_have_as_many_weights_as_their_publishers_say():
    actual = {name: sizes.parameters for name, sizes in card_sizes.published().items()}
    assert actual["BERT base"] == 109_482_240 + 2 * 768 + 2
    assert actual["Qwen3 0.6B"] == 596_049_920
    assert actual["Llama 3.2 1B"] == 1_235_814_400
    assert actual["Llama 3.2 3B"] == 3_212_749_824
    assert actual["Qwen3 4B"] == 4_022_468_096
    assert actual["Llama 3.1 8B"] == 8_030_261_248


def test_bytes_of_eight_bits_have_a_scale_and_small_parameters_have_none():
    sizes = card_sizes.Sizes(
        shapes=((64, 65), (10,)), adapters=0, blocks=1, width=64, intermediate=64
    )
    assert card_sizes.optimizer(sizes, "adamw_8bit") == 2 * (4160 + 4 * 17) + 8 * 10


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_an_optimizer_keeps_what_the_table_counts(name):
    model = tiny("llama", tie_word_embeddings=True)
    sizes = card_sizes.sizes_of(model)
    assert sizes.parameters == sum(p.numel() for p in model.parameters())
    assert card_sizes.weights(sizes) == sum(p.numel() * 4 for p in model.parameters())
    optimizer = Optimizer(model, TrainSettings(optimizer=name), 2)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(0)
    kept = sum(
        value.numel() * value.element_size()
        for moments in optimizer.moments().values()
        for key, value in moments.items()
        if key != "step"
    )
    assert kept == card_sizes.optimizer(sizes, name)


@pytest.mark.parametrize("model_type", ["bert", "qwen3"])
def test_adapters_have_as_many_weights_as_the_table_counts(model_type):
    model = tiny(model_type)
    sizes = card_sizes.sizes_of(model)
    plan = lora.LoraPlan(targets=(lora.ALL_LINEAR,), base="")
    lora.attach(model, plan, lora.LoraSizes(rank=card_sizes.RANK, alpha=1.0, dropout=0.0), seed=0)
    adapters = [p.numel() for n, p in model.named_parameters() if ".lora_" in n]
    assert sum(adapters) == sizes.adapters > 0


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "llama", "qwen3"])
def test_the_backward_pass_reads_at_most_what_the_table_counts(model_type):
    """Without computing blocks again; the difference of two depths is that of the blocks."""
    per_token = {}
    for layers in (2, 6):
        model = tiny(model_type, num_hidden_layers=layers)
        weights = [p.shape for p in model.parameters()]
        copies = {tuple(shape) for shape in weights} | {tuple(shape[::-1]) for shape in weights}
        own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        kept = {}

        def keep(tensor, own=own, copies=copies, kept=kept):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own and tuple(tensor.shape) not in copies:
                kept[storage.data_ptr()] = (storage.nbytes(), tensor)
            return tensor

        ids = torch.randint(5, 200, (15, 4))
        with (
            torch.autocast("cpu", dtype=torch.bfloat16),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
        per_token[layers] = sum(count for count, _ in kept.values()) / ids.numel()
    sizes = card_sizes.sizes_of(model)
    measured = (per_token[6] - per_token[2]) / 4
    assert 0.5 < measured / card_sizes.inside_of_block(sizes) <= 1.0


def test_the_smallest_card_has_a_part_to_spare():
    assert card_sizes.smallest_card(int(14.3 * card_sizes.GIB)) == "16"
    assert card_sizes.smallest_card(int(14.5 * card_sizes.GIB)) == "24"
    assert card_sizes.smallest_card(200 * card_sizes.GIB) == "-"
