"""Passes without gradient: what they leave of a model, and what may be done with their outputs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raykd.models.inference import batches_by_length, frozen, inference, no_gradient

PASSES = (no_gradient, inference)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9))


def outputs(of: nn.Module, frame: Callable[[nn.Module], AbstractContextManager[None]]) -> Tensor:
    with frame(of):
        result: Tensor = of(torch.ones(2, 4))
    return result


@pytest.mark.parametrize("frame", PASSES)
@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_dropped_or_learnt_and_the_mode_is_left(frame, training):
    net = model().train(training)
    result = outputs(net, frame)
    assert torch.equal(result, net[0](torch.ones(2, 4)))
    assert not result.requires_grad
    assert all(part.training is training for part in net.modules())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("frame", PASSES)
def test_the_mode_is_left_after_an_error(frame):
    net = model()
    with pytest.raises(ValueError, match="a pass"), frame(net):
        raise ValueError("a pass fails")
    assert net.training
    assert torch.is_grad_enabled()


def test_outputs_without_gradient_can_be_a_target_and_those_of_inference_cannot():
    student = model()[0]

    def learn(target: Tensor) -> None:
        (student(torch.ones(2, 4)) * target).sum().backward()

    learn(outputs(model(), no_gradient))
    assert student.weight.grad.abs().sum() > 0
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved"):
        learn(outputs(model(), inference))


def test_a_frozen_model_drops_and_learns_nothing():
    net = frozen(model())
    assert not any(part.training for part in net.modules())
    assert not any(weight.requires_grad for weight in net.parameters())


def test_batches_go_from_short_to_long_rows():
    batches = batches_by_length(np.array([5, 2, 9, 2, 5]), 2)
    assert [batch.tolist() for batch in batches] == [[1, 3], [0, 4], [2]]
