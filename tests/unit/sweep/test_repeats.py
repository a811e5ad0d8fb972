"""Several searches of each arm: what they share, and what each has of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from raykd.data.hold_out import LEAST_PER_SEARCH, equal_parts
from raykd.data.row_roles import selecting_role
from raykd.errors import DataError
from raykd.search.lag import lag_for
from raykd.sweep.arm_studies import arm_studies, confirm_trial, search_trial
from raykd.sweep.confirm import to_confirm
from raykd.sweep.in_process import trial_of
from raykd.sweep.search import make_arm
from raykd.task_setup.set_up import set_up_task
from tests.unit.search.studies import JournalInMemory
from tests.unit.sweep.specs import TASK, spec

RUN = Path("runs/tiny")
CHOSEN = {"alpha": 0.3, "lr": 2e-3}
SELECT_ON = {"split": "train", "fraction": 0.4}


def repeated(count: int = 3, **changes: object):
    return spec(search__repeats=count, data__select_on=SELECT_ON, **changes)


def test_every_row_to_select_on_is_dealt_to_one_search():
    plain, setup = (set_up_task(s, TASK) for s in (spec(data__select_on=SELECT_ON), repeated()))
    whole = setup.rows["validation"]
    parts = [setup.rows[selecting_role(k)] for k in range(3)]
    assert sorted(t for part in parts for t in part.texts[0]) == sorted(whole.texts[0])
    assert {len(part) for part in parts} == {len(whole) // 3}
    for role in ("train", "validation", "test", "finetune"):
        assert setup.rows[role].texts == plain.rows[role].texts
    reported = set(setup.rows["test"].texts[0])
    assert not any(reported & set(part.texts[0]) for part in parts)
    assert all(len(setup.student_splits[selecting_role(k)]) == len(parts[k]) for k in range(3))


def test_rows_that_are_too_few_for_the_searches_are_refused():
    with pytest.raises(DataError, match="12 rows to select on are too few for 2 searches") as e:
        set_up_task(spec(search__repeats=2), TASK)
    assert [problem.path for problem in e.value.problems()] == ["search.repeats"]
    assert f"each needs {LEAST_PER_SEARCH}" in str(e.value)


def test_parts_are_as_equal_as_can_be():
    parts = equal_parts(103, 4, seed=1)
    assert sorted(np.concatenate(parts)) == list(range(103))
    assert sorted(len(part) for part in parts) == [25, 26, 26, 26]
    assert all((np.diff(part) > 0).all() for part in parts)
    assert any(
        a.tolist() != b.tolist() for a, b in zip(parts, equal_parts(103, 4, seed=2), strict=True)
    )


def test_the_first_search_is_the_one_without_repeats():
    one, several = spec(), repeated()
    studies = [s for s in arm_studies(several) if s.repeat == 0]
    for alone, first in zip(arm_studies(one), studies, strict=True):
        assert (alone.name, alone.study_name) == (first.name, first.study_name)
        pairs = [
            (
                search_trial(one, RUN, alone, 3, CHOSEN),
                search_trial(several, RUN, first, 3, CHOSEN),
            ),
            (
                confirm_trial(one, RUN, alone, 0, 1, CHOSEN),
                confirm_trial(several, RUN, first, 0, 1, CHOSEN),
            ),
        ]
        for before, now in pairs:
            assert replace(now, select_on=before.select_on) == before
            assert now.select_on == "validation_1"


def test_searches_share_no_seed_no_study_and_no_name():
    studies = arm_studies(repeated())
    assert len({s.study_name for s in studies}) == len(studies) == 9
    assert len({s.name for s in studies}) == 9
    made = [search_trial(repeated(), RUN, s, 0, CHOSEN) for s in studies]
    confirmed = [confirm_trial(repeated(), RUN, s, 0, 1, CHOSEN) for s in studies]
    assert len({t.seed for t in made}) == 9
    for trials in (made, confirmed):
        assert len({t.trial_id for t in trials}) == len({t.state_path for t in trials}) == 9
        assert [t.select_on for t in trials] == [selecting_role(s.repeat) for s in studies]
        assert [t.repeat for t in trials] == [s.repeat for s in studies]
    assert len({t.save_path for t in confirmed}) == 9
    # Arms share the seeds of a search, by which they are paired, and no two searches do.
    by_repeat = [{t.seed for t in confirmed if t.repeat == k} for k in range(3)]
    assert [len(seeds) for seeds in by_repeat] == [1, 1, 1]
    assert len(set.union(*by_repeat)) == 3


def test_each_search_confirms_its_own_best(tmp_path: Path):
    made = repeated()
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal")))
    studies = arm_studies(made)
    arms = {s.name: make_arm(made, s, storage, tmp_path) for s in studies}
    for k, study in enumerate(studies):
        search = arms[study.name].study
        search.suggest("t")
        search.complete("t", [k / 10])
    jobs = to_confirm(made, tmp_path, studies, arms, made.confirm.all_seeds)
    assert len(jobs) == 9 * 2 == made.confirm_runs * 3
    for config, searched in jobs:
        name = next(
            s.name for s in studies if (s.arm.name, s.repeat) == (config.arm, config.repeat)
        )
        (best,) = arms[name].study.study.best_trials
        assert {**config.coefficients, **config.train}.items() >= best.params.items()
        assert set(searched) == set(best.params)
    journal = optuna.get_all_study_names(storage)
    assert sorted(journal) == sorted(s.study_name for s in studies)
    assert len([*(tmp_path / "samplers").iterdir()]) == 9


def test_open_trials_of_more_searches_wait_less_for_each_other():
    storage = JournalStorage(JournalInMemory())
    made = repeated()
    assert make_arm(made, arm_studies(made)[0], storage, slots=8).study.lag == lag_for(8, 9)


def test_a_trial_that_is_run_again_is_evaluated_on_the_rows_of_its_search():
    made = repeated()
    study = next(s for s in arm_studies(made) if (s.arm.name, s.repeat) == ("kd", 2))
    before = search_trial(made, RUN, study, 0, CHOSEN)
    again = trial_of(made, RUN, TASK, "kd", CHOSEN, repeat=2)
    assert (again.select_on, again.repeat) == (before.select_on, before.repeat)
    assert trial_of(made, RUN, TASK, "kd", CHOSEN).select_on == selecting_role(0)
