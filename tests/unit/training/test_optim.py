import pytest
import torch
from torch import nn

from raykd.training.optim import Optimizer, Schedule, decay_groups
from raykd.training.settings import TrainSettings
from tests.unit.training.toys import bert


def rates(**changes):
    schedule = Schedule.of(TrainSettings(**({"lr": 8.0} | changes)), total=10)
    return [schedule.rate(step) for step in range(10)]


def test_linear_schedule_by_hand():
    # Warm-up of 4 steps to 8, then down over the 6 others in equal parts, never quite 0.
    assert rates(warmup_ratio=0.4) == pytest.approx(
        [2, 4, 6, 8, 8, 8 * 5 / 6, 8 * 4 / 6, 8 * 3 / 6, 8 * 2 / 6, 8 / 6]
    )


def test_constant_schedule_by_hand():
    assert rates(warmup_ratio=0.2, schedule="constant") == [4.0] + [8.0] * 9


def test_warm_up_over_everything_or_nothing():
    assert rates(warmup_ratio=1.0)[-1] == 8.0
    assert rates(warmup_ratio=0.0)[0] == 8.0


def test_biases_and_normalisation_do_not_decay():
    model = bert()
    decayed, plain = decay_groups(model.parameters(), 0.1)
    name_of = {id(p): name for name, p in model.named_parameters()}
    names = {name_of[id(p)] for p in plain["params"]}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert names == {n for n in name_of.values() if n.endswith("bias") or "LayerNorm" in n}
    assert len(decayed["params"]) + len(names) == len(name_of)


def test_decay_pulls_matrices_and_leaves_biases():
    layer = nn.Linear(3, 3)
    before = {n: p.detach().clone() for n, p in layer.named_parameters()}
    optimizer = Optimizer(layer, TrainSettings(lr=0.1, weight_decay=0.5, warmup_ratio=0.0), 10)
    (layer.weight.sum() * 0 + layer.bias.sum() * 0).backward()
    optimizer.step(0)
    torch.testing.assert_close(layer.weight, before["weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(layer.bias, before["bias"])


def test_frozen_parameters_are_left_out():
    layer = nn.Linear(3, 3)
    layer.bias.requires_grad_(False)
    (group,) = decay_groups(layer.parameters(), 0.1)
    assert group["params"] == [layer.weight]


@pytest.mark.parametrize(("max_norm", "expected"), [(1.0, (0.6, 0.8)), (None, (3.0, 4.0))])
def test_gradients_are_clipped_by_their_common_norm(max_norm, expected):
    module = nn.ParameterList([torch.zeros(1), torch.zeros(1)])
    settings = TrainSettings(max_grad_norm=max_norm)
    optimizer = Optimizer(module, settings, 10)
    (3 * module[0] + 4 * module[1]).sum().backward()
    optimizer.step(0)
    # The first moment after one step is (1 - 0.9) times the gradient that AdamW saw.
    seen = [optimizer.parts[0].state[p]["exp_avg"].item() / 0.1 for p in module]
    assert seen == pytest.approx(expected, rel=1e-4)
    assert all(p.grad is None for p in module)


def test_moments_of_large_matrices_take_a_byte_each_and_move_them_alike():
    """Held against AdamW; what is small is kept in float32 and is the same."""
    models = [nn.Linear(128, 64), nn.Linear(128, 64)]
    models[1].load_state_dict(models[0].state_dict())
    before = models[0].weight.detach().clone()
    optimizers = [
        Optimizer(model, TrainSettings(optimizer=name, lr=1e-2, weight_decay=0.1), 40)
        for name, model in zip(("adamw_8bit", "adamw"), models, strict=True)
    ]
    for step in range(20):
        rows = torch.randn(8, 128, generator=torch.Generator().manual_seed(step))
        for model, optimizer in zip(models, optimizers, strict=True):
            model(rows).square().mean().backward()
            optimizer.step(step)
    actual, reference = (model.weight - before for model in models)
    assert (actual - reference).norm() < 0.05 * reference.norm()
    assert torch.allclose(models[0].bias, models[1].bias, atol=1e-2)
    matrix, bias = optimizers[0].moments().values()
    assert matrix["state1"].dtype == matrix["state2"].dtype == torch.uint8
    assert bias["state1"].dtype == torch.float32
    # A training that continues from them is the same to the bit.
    again = nn.Linear(128, 64)
    again.load_state_dict(models[0].state_dict())
    resumed = Optimizer(again, TrainSettings(optimizer="adamw_8bit", lr=1e-2, weight_decay=0.1), 40)
    resumed.restore({n: {k: v.clone() for k, v in m.items()}
                     for n, m in optimizers[0].moments().items()})  # fmt: skip
    rows = torch.randn(8, 128, generator=torch.Generator().manual_seed(99))
    for model, optimizer in ((models[0], optimizers[0]), (again, resumed)):
        model(rows).square().mean().backward()
        optimizer.step(20)
    assert torch.equal(again.weight, models[0].weight)
