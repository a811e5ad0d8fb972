"""What a sweep writes to its run folder is known before it starts."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from raykd.errors import SetupError
from raykd.sweep import disk_need as module
from raykd.sweep.disk_need import DiskNeed, disk_need, look_for_room
from raykd.task_setup.set_up import set_up_task
from tests.unit.sweep.specs import TASK, spec

MIB, GIB = 2**20, 2**30


def test_a_student_of_every_arm_is_kept_and_a_state_of_every_slot():
    sweep = spec(search={"trials": 3, "max_concurrent": 2})
    setup = set_up_task(sweep, TASK)
    one = 4 * setup.student.parameters()
    need = disk_need(sweep, [setup])
    assert need.students == one * len(sweep.methods)
    assert need.states == 2 * 3 * one
    assert need.total > need.students + need.states + module.REPORT_BYTES


def test_more_trials_and_evaluations_take_more_and_without_confirmation_no_student_is_kept():
    def records(trials, **train):
        sweep = spec(search={"trials": trials}, train={"fixed": train}, confirm={"seeds": []})
        need = disk_need(sweep, [set_up_task(sweep, TASK)])
        assert need.students == 0
        return need.records

    assert records(20, epochs=2) > records(10, epochs=2)
    assert records(10, epochs=20) > records(10, epochs=2)


@pytest.fixture
def free(monkeypatch):
    def set_to(count):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=count))

    return set_to


NEED = DiskNeed(students=2 * GIB, states=512 * MIB, records=10 * MIB)


def test_a_sweep_that_does_not_fit_is_refused_with_the_figures(free, tmp_path):
    free(GIB)
    with pytest.raises(SetupError) as caught:
        look_for_room(tmp_path / "not" / "there" / "yet", NEED)
    assert caught.value.message.startswith(
        "the sweep needs about 2.5 GiB of disk for the run folder: 2.0 GiB for students, 512 MiB "
        "for states of trainings, 10 MiB for records; 1.0 GiB are free in "
    )
    assert "--out" in caught.value.hint


def test_a_need_is_reported_where_it_is_much_of_what_is_free(free, tmp_path):
    free(10 * GIB)
    assert look_for_room(tmp_path, NEED).startswith("it needs about 2.5 GiB of disk")
    free(100 * GIB)
    assert look_for_room(tmp_path, NEED) == ""


def test_what_may_be_far_less_is_reported_and_never_refused(free, tmp_path):
    free(GIB)
    most = dataclasses.replace(NEED, is_most=True)
    assert look_for_room(tmp_path, most).startswith("it needs at most 2.5 GiB of disk")


def test_a_cut_student_may_be_less_and_students_of_all_seeds_are_more():
    def need(**changes):
        sweep = spec(**changes)
        return disk_need(sweep, [set_up_task(sweep, TASK)])

    one, every = (need(confirm={"seeds": [1, 2, 3], "keep": k}) for k in ("first", "all"))
    assert every.students == 3 * one.students
    assert not one.is_most
    cut = spec(train={"fixed": {"keep_layers": 1}})
    assert disk_need(cut, [set_up_task(spec(), TASK)]).is_most
