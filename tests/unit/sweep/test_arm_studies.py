from __future__ import annotations

from pathlib import Path

import pytest

from raykd.errors import SetupError
from raykd.sweep.arm_studies import (
    arm_studies,
    confirm_trial,
    max_epochs,
    objectives,
    search_trial,
    study_space,
    trial_id,
)
from tests.unit.sweep.specs import TASK, spec

RUN = Path("runs/tiny")
CHOSEN = {"alpha": 0.3, "lr": 2e-3}


def by_arm(sweep, task=TASK):
    return {c.arm.name: c for c in arm_studies(sweep) if c.task == task}


def test_cells_are_every_arm_on_every_task_task_by_task():
    made = arm_studies(spec(tasks=["glue/rte", TASK]))
    assert [(c.task, c.arm.name) for c in made] == [
        (task, label) for task in ("glue/rte", TASK) for label in ("none", "kd", "hot")
    ]
    assert len({c.study_name for c in made}) == 6


def test_a_task_brings_its_own_metric():
    made = arm_studies(spec(tasks=["glue/mrpc", "glue/rte"]))
    assert {c.task: (c.metrics, c.modes) for c in made} == {
        "glue/mrpc": (("f1",), ("max",)),
        "glue/rte": (("accuracy",), ("max",)),
    }


def test_latency_is_minimised_and_measured():
    two = [{"metric": "auto"}, {"metric": "latency_ms"}]
    sweep = spec(search__objective=two)
    arm_study = by_arm(sweep)["kd"]
    assert (arm_study.metrics, arm_study.modes) == (("accuracy", "latency_ms"), ("max", "min"))
    assert study_space(sweep, arm_study).directions == ("maximize", "minimize")
    assert search_trial(sweep, RUN, arm_study, 0, CHOSEN).costs == ("latency_ms",)
    assert search_trial(spec(), RUN, by_arm(spec())["kd"], 0, CHOSEN).costs == ()


def test_a_study_says_whose_it_is_and_where_it_was_scored():
    sweep = spec()
    about = study_space(sweep, by_arm(sweep)["hot"], "tiny-1").about
    assert (about["task"], about["arm"], about["method"]) == (TASK, "hot", "kd")
    assert about["run"] == "tiny-1"
    assert about["split"] != about["reported by"]
    assert about["reported by"].startswith("confirm runs on ")
    assert "run" not in study_space(sweep, by_arm(sweep)["hot"]).about


def test_what_is_bounded_is_measured():
    bound = {"metric": "parameters", "relation": "<=", "bound": 100}
    sweep = spec(search__constraints=[bound])
    arm_study = by_arm(sweep)["kd"]
    assert [str(c) for c in arm_study.constraints] == ["parameters <= 100"]
    assert search_trial(sweep, RUN, arm_study, 0, CHOSEN).costs == ("parameters",)


def test_a_mode_that_was_given_stands():
    sweep = spec(search__objective=[{"metric": "accuracy", "mode": "min"}])
    assert by_arm(sweep)["kd"].modes == ("min",)
    assert objectives(sweep, cells_task()) == (("accuracy", "min"),)


def cells_task():
    from raykd import registry

    return registry.load("tasks", TASK)


def test_a_cell_searches_the_arm_and_the_training():
    sweep = spec()
    space = study_space(sweep, by_arm(sweep)["hot"])
    assert list(space.domains) == ["alpha", "lr"]
    assert space.fixed == {"temperature": 8.0, "epochs": 2}
    assert space.start == ({"alpha": 0.5},)
    assert (space.budget, space.directions) == (4, ("maximize",))
    assert list(study_space(sweep, by_arm(sweep)["none"]).domains) == ["lr"]


@pytest.mark.parametrize(
    ("train", "epochs"),
    [
        ({"fixed": {"epochs": 7}}, 7),
        ({"domains": {"epochs": {"kind": "int", "low": 2, "high": 9}}}, 9),
        ({"domains": {"epochs": {"kind": "choice", "choices": [3, 5, 4]}}}, 5),
        ({}, 3),
    ],
)
def test_the_longest_training_is_known(train, epochs):
    assert max_epochs(spec(train=train)) == epochs


def test_chosen_values_go_to_the_method_or_to_training():
    sweep = spec()
    trial = search_trial(sweep, RUN, by_arm(sweep)["hot"], 7, CHOSEN)
    assert trial.coefficients == {"temperature": 8.0, "alpha": 0.3}
    assert trial.train == {"epochs": 2, "lr": 2e-3}
    assert (trial.method, trial.arm, trial.stage, trial.number) == ("kd", "hot", "search", 7)
    assert trial.save_path is None
    assert not trial.score_test


def test_every_search_trial_has_a_seed_of_its_own():
    sweep = spec(tasks=["glue/rte", TASK])
    seeds = [search_trial(sweep, RUN, c, k, {}).seed for c in arm_studies(sweep) for k in range(5)]
    assert len(set(seeds)) == len(seeds)


def test_seeds_depend_on_the_seed_of_the_sweep_only():
    one, two, other = spec(), spec(name="renamed"), spec(search__seed=6)
    first, again, else_where = (
        search_trial(s, Path(s.name), by_arm(s)["kd"], 3, CHOSEN).seed for s in (one, two, other)
    )
    assert first == again != else_where


def test_arms_share_the_seeds_of_the_confirm_stage():
    sweep = spec()
    seeds = {
        label: [confirm_trial(sweep, RUN, arm_study, 0, seed, {}).seed for seed in (1, 2, 3)]
        for label, arm_study in by_arm(sweep).items()
    }
    assert seeds["none"] == seeds["kd"] == seeds["hot"]
    assert len(set(seeds["kd"])) == 3


def test_confirm_seeds_are_fresh_and_the_same_for_every_rank():
    sweep = spec()
    arm_study = by_arm(sweep)["kd"]
    searched = {search_trial(sweep, RUN, arm_study, k, {}).seed for k in range(100)}
    ranks = [confirm_trial(sweep, RUN, arm_study, rank, 1, {}).seed for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    assert not searched & set(ranks)


def test_tasks_have_confirm_seeds_of_their_own():
    sweep = spec(tasks=["glue/rte", TASK])
    one, two = (by_arm(sweep, task)["kd"] for task in sweep.tasks)
    assert confirm_trial(sweep, RUN, one, 0, 1, {}).seed != (
        confirm_trial(sweep, RUN, two, 0, 1, {}).seed
    )


def test_only_the_confirm_stage_scores_the_report_split():
    sweep = spec()
    arm_study = by_arm(sweep)["kd"]
    assert confirm_trial(sweep, RUN, arm_study, 0, 1, {}).score_test
    assert not search_trial(sweep, RUN, arm_study, 0, {}).score_test


def test_one_student_of_each_arm_is_kept():
    sweep = spec(confirm={"seeds": [4, 2], "top_k": 2})
    arm_study = by_arm(sweep)["kd"]
    saved = {
        (rank, seed): confirm_trial(sweep, RUN, arm_study, rank, seed, {}).save_path
        for rank in (0, 1) for seed in (4, 2)
    }  # fmt: skip
    assert [key for key, path in saved.items() if path] == [(0, 4)]
    assert saved[0, 4].endswith("runs/tiny/checkpoints/toy-sentiment/kd/best")


def test_identifiers_are_unique_and_name_files():
    sweep = spec(tasks=["glue/rte", TASK])
    trials = [search_trial(sweep, RUN, c, k, {}) for c in arm_studies(sweep) for k in (0, 11)]
    trials += [
        confirm_trial(sweep, RUN, c, rank, seed, {})
        for c in arm_studies(sweep) for rank in (0, 1) for seed in (1, 11)
    ]  # fmt: skip
    names = [t.trial_id for t in trials]
    assert len(set(names)) == len(names)
    assert not any("/" in name for name in names)
    assert len({t.state_path for t in trials}) == len(names)
    assert all(Path(t.state_path).is_absolute() for t in trials)


def test_identifiers_tell_task_arm_and_number():
    assert trial_id("glue/rte", "ckd", "s007") == "glue-rte.ckd.s007"
    sweep = spec()
    arm_study = by_arm(sweep)["kd"]
    assert search_trial(sweep, RUN, arm_study, 7, {}).trial_id == "toy-sentiment.kd.s007"
    assert confirm_trial(sweep, RUN, arm_study, 0, 11, {}).trial_id == "toy-sentiment.kd.c0.11"


def test_students_of_all_seeds_are_kept():
    def kept(keep):
        sweep = spec(confirm={"seeds": [3, 1], "top_k": 2, "keep": keep})
        arm_study = by_arm(sweep)["kd"]
        paths = [confirm_trial(sweep, RUN, arm_study, rank, seed, {}).save_path
                 for rank in (0, 1) for seed in (3, 1)]  # fmt: skip
        return [Path(path).name if path else None for path in paths]

    assert kept("first") == ["best", None, None, None]
    assert kept("all") == ["best", "seed-1", None, None]


def test_how_often_states_are_saved_is_the_users_to_say(monkeypatch):
    def every():
        return search_trial(spec(), RUN, by_arm(spec())["kd"], 0, CHOSEN).state_every_s

    monkeypatch.delenv("RAYKD_STATE_S", raising=False)
    assert every() == 60
    monkeypatch.setenv("RAYKD_STATE_S", "2.5")
    assert every() == 2.5
    monkeypatch.setenv("RAYKD_STATE_S", "often")
    with pytest.raises(SetupError, match="RAYKD_STATE_S must be a number of seconds, got 'often'"):
        every()
