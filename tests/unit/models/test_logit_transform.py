"""What models do to the outputs of their LM heads is known from their configurations."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from raykd.losses.vocabulary import UNCHANGED, LazyLogits
from raykd.models.logit_transform import logit_transform
from raykd.models.output_layer import head_inputs

SIZES = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "intermediate_size": 32, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip
CASES = {
    "llama": {},
    "gemma2": {"final_logit_softcapping": 0.05},
    "gemma3_text": {"final_logit_softcapping": None},
    "cohere": {"logit_scale": 0.0625},
    "cohere2": {"logit_scale": 0.3},
    "granite": {"logits_scaling": 6.0},
    "recurrent_gemma": {"logits_soft_cap": 0.05, "lru_width": 16},
    "falcon_h1": {"lm_head_multiplier": 0.7, "mamba_d_ssm": 16, "mamba_n_heads": 2},
}


@pytest.mark.parametrize("model_type", CASES)
def test_lazy_logits_are_those_of_the_model(model_type):
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **SIZES, **CASES[model_type])
    model = AutoModelForCausalLM.from_config(config).eval()
    ids = torch.randint(1, 40, (2, 5))
    with torch.no_grad():
        want = model(input_ids=ids, use_cache=False).logits
        with head_inputs(model) as states:
            model(input_ids=ids, use_cache=False)
        transform = logit_transform(vars(model.config))
        head = model.lm_head
        lazy = LazyLogits(states[-1].flatten(0, 1), head.weight, head.bias, transform=transform)
    assert torch.allclose(lazy.chunk(), want.flatten(0, 1), atol=1e-6)
    assert (transform == UNCHANGED) == (model_type in ("llama", "gemma3_text"))
    assert model.lm_head is head
