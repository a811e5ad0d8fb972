"""A run as an object: tables, verdicts, figures, and a search space as a mapping."""

from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

import raykd
from raykd.errors import RaykdError, SpecError, UnknownName
from raykd.notebook.sweep import read
from raykd.results.export import as_csv
from raykd.spec.load import load_spec, to_yaml
from tests.synthetic_run import HOSTILE, SEEDS, write_run

ROOT = Path(__file__).parents[3]

BASE = {
    "name": "own",
    "tasks": ["toy/sentiment"],
    "teacher": {"model": {"family": "bert", "layers": 2, "hidden": 32, "heads": 2}},
    "student": {"model": {"family": "bert", "layers": 1, "hidden": 16, "heads": 2}},
    "train": {"lr": {"loguniform": (1e-5, np.float64(1e-3))}, "epochs": np.int64(2)},
    "methods": {"none": {}, "kd": {"temperature": {"choice": [1, 2]}}},
    "report": {"path": Path("reports/own.html")},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "ckd_glue-20260101-000000"
    write_run(folder)
    return raykd.load(folder)


def test_trials_are_a_row_each_and_what_a_trial_lacks_is_missing(run):
    trials = run.trials
    assert list(trials["trial_id"]) == [t.trial_id for t in run.result.trials]
    assert list(trials.columns) == as_csv(run.result).partition("\n")[0].split(",")
    of_none = trials[trials["arm"] == "none"]
    assert of_none["params.wrdist"].isna().all()
    kd = trials[(trials["arm"] == "kd") & (trials["status"] == "completed")]
    by_id = {t.trial_id: t for t in run.result.trials}
    for _, row in kd.iterrows():
        assert row["params.alpha"] == by_id[row["trial_id"]].params["alpha"]
    assert trials["score"].dtype == float


def test_confirmed_are_the_confirm_runs_with_their_scores_on_the_test_split(run):
    confirmed = run.confirmed
    assert set(confirmed["stage"]) == {"confirm"}
    assert len(confirmed) == 2 * 3 * len(SEEDS)
    assert set(confirmed["split"]) == {"test"}
    assert np.allclose(confirmed["score"], 100 * confirmed["metrics.test/accuracy"])


def test_verdicts_are_those_of_the_report(run):
    assert run.verdict("glue/rte").leader == "ckd"
    with pytest.raises(UnknownName, match="several tasks"):
        run.verdict()
    with pytest.raises(UnknownName, match="no task 'glue/rt'"):
        run.verdict("glue/rt")


def test_figures_are_those_of_the_report(run):
    assert len(run.figures) > 5
    for name in run.figures:
        figure = run.figure(name)
        assert isinstance(figure, go.Figure)
        assert figure.layout.title.text
    with pytest.raises(UnknownName, match="no figure 'arm-0'"):
        run.figure("arm-0")


def test_a_notebook_shows_the_verdicts_and_no_markup_of_the_data(run):
    shown = run._repr_html_()
    for task in run.tasks:
        assert task in shown
        assert run.verdict(task).headline.split(" (")[0] in shown
    assert "<li>" in shown
    assert HOSTILE not in shown
    assert run.verdict("glue/rte").headline in repr(run)


def test_what_is_no_run_is_one_message(tmp_path):
    with pytest.raises(RaykdError, match="is not a run folder"):
        raykd.load(tmp_path)


def test_a_student_that_was_not_kept_is_reported(run):
    with pytest.raises(SpecError, match="left a student"):
        run.best("glue/rte", "ckd")


def test_a_mapping_is_read_as_a_file_is():
    spec, text = read(BASE, ["search.trials=3"])
    assert spec.search.trials == 3
    assert (spec.train.fixed, spec.train.domains["lr"].high) == ({"epochs": 2}, 1e-3)
    assert spec.report.path == "reports/own.html"
    assert "loguniform" in text
    assert read(spec)[0] == spec
    file = ROOT / "search_spaces" / "quickstart.yaml"
    assert read(file) == (load_spec(file), file.read_text())


def test_a_wrong_mapping_is_refused_with_the_place():
    with pytest.raises(SpecError) as caught:
        read({**BASE, "serach": {"trials": 3}})
    (problem,) = caught.value.problems()
    assert problem.path == "serach"
    assert "did you mean 'search'" in problem.hint


def test_an_object_has_the_checks_of_a_file():
    spec = load_spec(ROOT / "search_spaces" / "quickstart.yaml")
    assert read(spec) == (spec, to_yaml(spec))
    assert read(spec, ["search.trials=7"])[0].search.trials == 7
    changed = spec.model_copy(update={"tasks": ("toy/sentimant",)})
    with pytest.raises(SpecError, match="toy/sentimant"):
        read(changed)
    kd = spec.methods["kd"].model_copy(update={"method": "kdd"})
    with pytest.raises(SpecError, match="unknown method 'kdd'"):
        read(spec.model_copy(update={"methods": {**spec.methods, "kd": kd}}))
