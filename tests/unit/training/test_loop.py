import dataclasses
import os
import random

import numpy as np
import pytest
import torch
from torch import nn

from raykd.errors import TrialError
from raykd.models.base import Outputs
from raykd.training.device import has_bf16
from raykd.training.loop import train_model
from raykd.training.pace import PACE
from raykd.training.settings import TrainSettings
from tests.unit.training.toys import CPU, Plain, encoded, job, numbers


class Interrupted(Exception):
    pass


def test_training_learns_the_task():
    result = train_model(job(rows=600, epochs=4, lr=5e-3, hidden=32, method=Plain))
    first, last = result.history[0], result.history[-1]
    assert last.metrics["accuracy"] > 0.9
    assert last.terms["loss"] < first.terms["loss"] / 2
    assert (result.steps, result.stopped) == (4 * 38, False)


def test_evaluations_come_at_least_once_an_epoch_and_at_the_end():
    def steps(**changes):
        return [(e.step, e.epoch) for e in train_model(job(rows=70, **changes)).history]

    assert steps() == [(5, 1.0), (10, 2.0)]
    assert [s for s, _ in steps(evals_per_epoch=2)] == [2, 5, 7, 10]
    assert [s for s, _ in steps(evals_per_epoch=99, epochs=1)] == [1, 2, 3, 4, 5]


def test_every_step_is_a_sign_of_progress(monkeypatch):
    made = []
    monkeypatch.setattr(PACE, "made", lambda: made.append(1))
    assert train_model(job()).steps <= len(made)


def test_terms_are_means_and_add_up():
    evaluation = train_model(job()).history[0]
    terms = dict(evaluation.terms)
    assert set(terms) == {"loss", "task", "soft", "hidden"}
    assert terms.pop("loss") == pytest.approx(sum(terms.values()))


def test_the_methods_modules_are_trained_along():
    made = job()
    before = made.method.projection.weight.detach().clone()
    train_model(made)
    assert not torch.equal(made.method.projection.weight, before)


def test_without_select_split_there_are_terms_only():
    evaluation = train_model(job(validation=None)).history[-1]
    assert evaluation.metrics == {}
    assert evaluation.terms["loss"] > 0


def test_the_same_seed_gives_the_same_bits_whatever_ran_before():
    first = train_model(job())
    again = train_model(job())
    train_model(job(seed=8, hidden=32, lr=5e-2))  # another model in between
    random.random(), np.random.rand(), torch.rand(3)
    third = train_model(job())
    assert numbers(first.history) == numbers(again.history) == numbers(third.history)
    assert numbers(train_model(job(seed=6)).history) != numbers(first.history)


def test_generators_used_between_building_and_training_do_not_matter():
    made = job()
    torch.rand(100)
    assert numbers(train_model(made).history) == numbers(train_model(job()).history)


@pytest.mark.parametrize("evals_per_epoch", [1, 3])
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, evals_per_epoch):
    whole_model = job().model
    settings = {"epochs": 3, "evals_per_epoch": evals_per_epoch}
    whole = job(model=whole_model, **settings)
    expected = train_model(whole)

    path = tmp_path / "trial" / "state.safetensors"
    saved = []

    def interrupt(evaluation):
        saved.append(path.exists())
        if len(saved) == 3:
            raise Interrupted
        return False

    with pytest.raises(Interrupted):
        train_model(job(state_path=path, state_every_s=0.0, on_evaluation=interrupt, **settings))
    assert saved == [False, True, True]

    # Another process would start with other generators and other initial weights.
    random.seed(1), np.random.seed(1)
    reported = []
    resumed = job(
        state_path=path, model=job(seed=77).model,
        on_evaluation=lambda evaluation: bool(reported.append(evaluation)), **settings,
    )  # fmt: skip
    result = train_model(resumed)
    assert reported == list(result.history), "who listens now hears of the whole training"
    assert numbers(result.history) == numbers(expected.history)
    assert result.steps == expected.steps
    for name, weight in whole_model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weight), name
    for one, two in zip(
        resumed.method.modules().parameters(), whole.method.modules().parameters(), strict=True
    ):
        assert torch.equal(one, two)


def test_a_training_that_has_ended_can_end_again_from_its_last_state(tmp_path):
    path = tmp_path / "state.safetensors"
    settings = {"epochs": 3, "state_path": path, "state_every_s": 0.0}
    first = train_model(job(**settings))
    # Its process dies before the end is on record: only what follows the state is computed again.
    again = train_model(job(**settings, model=job(seed=77).model))
    assert numbers(again.history) == numbers(first.history)
    assert [e.seconds for e in again.history[:2]] == [e.seconds for e in first.history[:2]]


def test_a_stop_on_an_evaluation_before_the_saved_state_stops_a_resumed_training(tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        train_model(
            job(state_path=path, state_every_s=0.0, epochs=4, on_evaluation=_raise_at_the_end)
        )
    reported = []
    result = train_model(
        job(
            state_path=path,
            epochs=4,
            on_evaluation=lambda e: bool(reported.append(e)) or e.epoch == 1,
        )
    )
    assert result.stopped
    assert [e.epoch for e in reported] == [1]


def test_resumed_time_counts_on(tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        train_model(job(state_path=path, state_every_s=0.0, on_evaluation=_raise_at_the_end))
    seconds = [e.seconds for e in train_model(job(state_path=path)).history]
    assert seconds == sorted(seconds)


def _raise_at_the_end(evaluation):
    if evaluation.epoch == 2:
        raise Interrupted
    return False


def test_states_are_not_saved_more_often_than_asked(tmp_path):
    path = tmp_path / "state.safetensors"
    train_model(job(state_path=path, state_every_s=3600.0, on_evaluation=lambda _: path.exists()))
    assert not path.exists()


@pytest.mark.parametrize(
    ("lr", "left", "why"),
    [
        (0.5, 1.0, "holds the state of a training with other settings, seed or rows"),
        (1e-3, 0.9, "cannot be read as a saved state"),
        (1e-3, 0.0, "cannot be read as a saved state"),
    ],
)
def test_a_state_that_is_cut_or_of_another_training_is_left_out(tmp_path, lr, left, why):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Interrupted):
        train_model(job(state_path=path, state_every_s=0.0, on_evaluation=_raise_at_the_end))
    os.truncate(path, int(path.stat().st_size * left))
    notes = []
    result = train_model(job(state_path=path, lr=lr, note=notes.append))
    assert numbers(result.history) == numbers(train_model(job(lr=lr)).history)
    (note,) = notes
    assert why in note
    assert note.endswith("; the training starts again")


def test_a_training_whose_state_cannot_be_saved_continues_and_says_so_once(tmp_path):
    (tmp_path / "file").write_text("")
    path, notes = tmp_path / "file" / "state.safetensors", []
    result = train_model(job(state_path=path, state_every_s=0.0, epochs=3, note=notes.append))
    assert numbers(result.history) == numbers(train_model(job(epochs=3)).history)
    (note,) = notes
    assert note.startswith("cannot write ")
    assert note.endswith("; the training continues without it")


@pytest.mark.parametrize(("scale", "word"), [(float("nan"), "NaN"), (float("inf"), "infinite")])
def test_a_loss_that_is_not_finite_ends_the_trial(scale, word):
    reports = []
    with pytest.raises(TrialError, match=f"loss became {word} at step 1 "):
        train_model(job(method=Plain, scale=scale, on_evaluation=lambda e: bool(reports.append(e))))
    assert reports == []


def test_the_step_at_which_the_loss_diverged_is_named():
    def poison(batch):
        steps.append(1)
        if len(steps) == 4:
            made.model.classifier.bias.data.fill_(float("nan"))
        return Outputs()

    steps: list[int] = []
    made = dataclasses.replace(job(method=Plain), teacher=poison)
    # Teacher after student: the poison of step 4 shows in step 5.
    with pytest.raises(TrialError, match="loss became NaN at step 5 "):
        train_model(made)


def test_on_evaluation_can_stop_the_training():
    seen = []
    result = train_model(
        job(epochs=5, on_evaluation=lambda e: bool(seen.append(e)) or e.epoch == 2)
    )
    assert result.stopped
    assert result.steps == 10
    assert result.history == tuple(seen)


def test_a_stop_at_the_last_evaluation_is_a_completed_training():
    assert not train_model(job(on_evaluation=lambda e: e.epoch == 2)).stopped


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_precisions_learn(precision):
    if precision == "bf16" and not has_bf16(CPU):
        pytest.skip("this CPU has no bf16 instructions")
    history = train_model(
        job(rows=600, epochs=4, lr=5e-3, hidden=32, method=Plain, precision=precision)
    ).history
    assert history[-1].metrics["accuracy"] > 0.9


def test_dropout_is_overridden_everywhere():
    made = job(dropout=0.0)
    train_model(made)
    dropouts = [m for m in made.model.modules() if isinstance(m, nn.Dropout)]
    assert dropouts
    assert all(m.p == 0.0 for m in dropouts)
    assert TrainSettings().dropout is None


def test_without_gradient_clipping_large_losses_still_train():
    assert train_model(job(max_grad_norm=None, rows=32, validation=encoded(4))).steps == 4
