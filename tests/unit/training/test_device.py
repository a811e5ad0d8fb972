import pytest
import torch
from torch import nn

from raykd.errors import SetupError
from raykd.training import device
from raykd.training.device import MIN_CPU_BF16_WIDTH, World, choose_precision, has_bf16, width
from tests.unit.training.toys import CPU, bert

HAS_BF16 = has_bf16(CPU)


def test_one_rank_needs_no_process_group():
    world = World(0, 1, CPU)
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
