import pytest
import torch

from raykd.training.arithmetic import set_arithmetic


@pytest.fixture(autouse=True)
def _as_before():
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.mark.parametrize("has_gpu", [False, True])
def test_kernels_of_one_order_are_chosen_where_there_is_a_gpu(monkeypatch, has_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    set_arithmetic()
    assert torch.are_deterministic_algorithms_enabled() is has_gpu


def test_an_operation_without_such_a_kernel_is_used_as_it_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    set_arithmetic()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory


def test_products_of_float32_are_those_of_float32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    torch.set_float32_matmul_precision("high")
    set_arithmetic()
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.backends.cudnn.allow_tf32 is False
