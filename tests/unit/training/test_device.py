import pytest
import torch
from torch import nn

from raykd import registry
from raykd.errors import SetupError
from raykd.models.base import RandomInitConfig
from raykd.models.model_factory import factory_from_random_init
from raykd.training import device
from raykd.training.device import (
    MIN_CPU_BF16_WIDTH,
    Ability,
    DistributedContext,
    choose_precision,
    has_bf16,
    resolve_precision,
    width,
)
from tests.unit.training.toys import CPU, bert

HAS_BF16 = has_bf16(CPU)


def test_one_rank_needs_no_process_group():
    world = DistributedContext(0, 1, CPU)
    assert world.broadcast("x") == "x"
    assert world.gather(3) == [3]
    assert world.sum(torch.ones(2)).tolist() == [1, 1]


def test_width_is_that_of_most_layers():
    assert width(bert(hidden=24, layers=2)) == 24
    assert width(nn.ReLU()) == 0


def test_auto_takes_bf16_only_for_wide_models():
    narrow = choose_precision("auto", CPU, nn.Linear(MIN_CPU_BF16_WIDTH - 1, 2))
    wide = choose_precision("auto", CPU, nn.Linear(MIN_CPU_BF16_WIDTH, 2))
    assert narrow.name == "fp32"
    assert wide.name == ("bf16" if HAS_BF16 else "fp32")


def test_fp32_is_always_there():
    precision = choose_precision("fp32", CPU, nn.Linear(999, 2))
    with precision.autocast():
        assert nn.Linear(4, 4)(torch.zeros(1, 4)).dtype == torch.float32


@pytest.mark.skipif(not HAS_BF16, reason="this CPU has no bf16 instructions")
def test_bf16_computes_in_bf16():
    precision = choose_precision("bf16", CPU, nn.Linear(4, 4))
    with precision.autocast():
        assert nn.Linear(4, 4)(torch.zeros(1, 4)).dtype == torch.bfloat16


def test_bf16_without_hardware_is_refused(monkeypatch):
    monkeypatch.setattr(device.torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(SetupError, match="has no bf16 instructions") as caught:
        choose_precision("bf16", CPU, nn.Linear(4, 4))
    assert "auto or fp32" in caught.value.hint
    assert choose_precision("auto", CPU, nn.Linear(999, 4)).name == "fp32"


def test_auto_is_one_format_for_all_devices_of_a_sweep():
    can, cannot = (Ability("cpu", bf16=b) for b in (True, False))
    assert resolve_precision("auto", can, MIN_CPU_BF16_WIDTH) == "bf16"
    assert resolve_precision("auto", can, MIN_CPU_BF16_WIDTH - 1) == "fp32"
    assert resolve_precision("auto", cannot, 4096) == "fp32"
    # On GPUs narrow models, too.
    assert resolve_precision("auto", Ability("cuda", bf16=True), 8) == "bf16"
    assert resolve_precision("auto", Ability("cuda", bf16=False), 4096) == "fp32"


@pytest.mark.parametrize("requested", ["fp32", "bf16"])
def test_what_is_requested_is_what_it_is(requested):
    for can in (True, False):
        assert resolve_precision(requested, Ability("cpu", bf16=can), 8) == requested


@pytest.mark.parametrize("family", registry.names("families"))
def test_the_width_that_decides_is_that_of_hidden_states_in_every_family(family):
    """The driver knows the sizes of a model, a worker has the model: both decide the same."""
    random_init = RandomInitConfig(family=family, layers=2, hidden=24, heads=2, max_positions=32)
    kind = "classification" if registry.load("families", family).text_kind() == "" else "causal_lm"
    if family == "t5":
        kind = "seq2seq"
    factory = factory_from_random_init(random_init, vocabulary=50, kind=kind, num_labels=2)
    assert width(factory.build(0)) == factory.dims.hidden == 24
