from __future__ import annotations

from dataclasses import replace

from raykd.report.sections.derived import record, render
from raykd.results.records import DerivedTeacher, SweepResult

TASK = "glue/rte"
PLACES = ((0.0, 10), (0.5, 10), (0.5, 50), (1.0, 50))


def derived_run(result: SweepResult) -> SweepResult:
    """The same run, with an arm whose trials learnt from teachers derived by two numbers."""
    search = result.of(TASK, "kd", "search")
    keys: dict[str, tuple[str, ...]] = {}
    trials = {t.trial_id: t for t in result.trials}
    for number, trial in enumerate(search):
        lam, sparsity = PLACES[number % len(PLACES)]
        place = {"lam": lam, "sparsity": sparsity}
        trials[trial.trial_id] = replace(
            trial, params={**trial.params, **place}, searched=(*trial.searched, *place)
        )
        key = f"k{lam:g}-{sparsity}"
        keys[key] = (*keys.get(key, ()), trial.trial_id)
    derived = tuple(
        DerivedTeacher(
            task=TASK,
            key=key,
            about=f"<b>{key}</b>",
            rows=100,
            seconds=2.0,
            made=1,
            trials=of,
            by=("lam", "sparsity"),
        )
        for key, of in keys.items()
    )
    teachers = tuple(replace(t, analysed={"scoring-1": 7.0}) for t in result.teachers)
    return replace(result, trials=tuple(trials.values()), derived=derived, teachers=teachers)


def test_a_run_without_derived_teachers_has_no_section(result: SweepResult):
    assert record(result) is None


def test_what_was_made_and_who_read_it_is_reported(result: SweepResult):
    actual = record(derived_run(result))
    assert "12 trials learnt from 4 derived teachers, of which 4 were made" in actual.heading
    assert actual.analysed[0] == "glue/rte: the teacher was analysed once (scoring-1), in 7.0 s"
    assert {row[2:5] for row in actual.rows} == {("once", "100", "2.0 s")}
    assert sum(int(row[5]) for row in actual.rows) == 12


def test_the_map_has_the_parameters_that_choose_the_teacher(result: SweepResult):
    run = derived_run(result)
    (chart,) = record(run).maps
    assert chart.columns[:2] == ("lam", "sparsity")
    done = [t for t in run.of(TASK, "kd", "search") if t.status == "completed"]
    assert len(chart.rows) == len({(t.params["lam"], t.params["sparsity"]) for t in done})
    best = max(t.objective for t in done)
    assert f"{100 * best:.1f} on the validation split" in chart.finding


def test_text_of_the_user_is_escaped(result: SweepResult):
    page = render(record(derived_run(result)))
    assert "<b>k" not in page
    assert "&lt;b&gt;k" in page


def test_it_is_replayed_from_events():
    from raykd.results.replay import Replay

    replay = Replay(run="r", spec={"methods": {}})
    fact = {
        "event": "derived_teacher",
        "time": 1.0,
        "task": TASK,
        "key": "k",
        "about": "x",
        "by": ["lam"],
    }
    replay.apply([
        {**fact, "trial_id": "a", "made": 1, "rows": 10, "seconds": 2.0},
        {**fact, "trial_id": "b", "made": 0, "rows": 0, "seconds": 0.0},
    ])  # fmt: skip
    (actual,) = replay.derived.values()
    assert actual == DerivedTeacher(
        task=TASK, key="k", about="x", rows=10, seconds=2.0, made=1, trials=("a", "b"), by=("lam",)
    )
