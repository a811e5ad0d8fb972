"""A search that starts from an earlier run."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykd.errors import SpecError
from raykd.results.store import load_results
from raykd.results.summary import best_trial
from raykd.search.space import domains_of
from raykd.spec.domains import Domain
from raykd.spec.dump import to_yaml
from raykd.spec.load import load_spec, spec_from_dict
from raykd.sweep.warm_start import started_from
from tests.synthetic_run import spec as search_space
from tests.synthetic_run import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "earlier").folder


def test_the_best_of_every_task_and_arm_comes_first(run: Path):
    spec, result = search_space(), load_results(run)
    started = started_from(spec, run)
    for name, arm in started.methods.items():
        searched = domains_of(arm, spec.train)
        wanted = [
            {n: v for n, v in best.params.items() if n in searched}
            for task in spec.tasks
            if (best := best_trial(result.of(task, name, "search"), "max")) is not None
        ]
        assert list(arm.start) == [point for point in wanted if point]
    # The run folder holds them, whatever becomes of the earlier one.
    assert spec_from_dict(started.as_dict()).methods == started.methods


def test_a_file_with_its_points_is_one_that_can_be_read_again(run: Path, tmp_path: Path):
    spec = load_spec(Path(__file__).parents[3] / "search_spaces/quickstart.yaml")
    started = started_from(spec.model_copy(update={"tasks": ("glue/rte",)}), run)
    assert started.methods["kd"].start
    file = tmp_path / "started.yaml"
    file.write_text(to_yaml(started))
    assert load_spec(file).methods == started.methods


def test_what_is_not_searched_now_is_drawn(run: Path):
    spec = search_space()
    name, arm, domain = next(
        (name, arm, domain)
        for arm in spec.methods.values()
        for name, domain in arm.domains.items()
        if domain.kind == "loguniform"
    )
    moved = Domain(kind="loguniform", low=(domain.high or 0) * 2, high=(domain.high or 0) * 3)
    changed = arm.model_copy(update={"domains": {**arm.domains, name: moved}})
    started = started_from(
        spec.model_copy(update={"methods": {**spec.methods, arm.name: changed}}), run
    )
    assert started.methods[arm.name].start
    assert all(name not in point for point in started.methods[arm.name].start)


@pytest.mark.parametrize("parent", ["other choices", "fixed to another value"])
def test_what_depends_on_a_value_that_is_left_out_is_left_out(run: Path, parent: str):
    spec, result = search_space(), load_results(run)
    arm = spec.methods["ckd"]
    best = [best_trial(result.of(task, "ckd", "search"), "max") for task in spec.tasks]
    assert any("wrangle" in t.params for t in best if t is not None)
    assert any("wrangle" in point for point in started_from(spec, run).methods["ckd"].start)
    domains = dict(arm.domains)
    if parent == "other choices":
        domains["angles"] = Domain(kind="choice", choices=(False,))
        changes = {"domains": domains}
    else:
        del domains["angles"]
        changes = {"domains": domains, "fixed": {**arm.fixed, "angles": False}}
    changed = arm.model_copy(update=changes)
    started = started_from(
        spec.model_copy(update={"methods": {**spec.methods, "ckd": changed}}), run
    )
    points = started.methods["ckd"].start
    assert points
    assert all("wrangle" not in point for point in points)


def test_a_run_without_anything_to_start_from_is_refused(run: Path):
    spec = search_space()
    other = {"other": spec.methods["kd"].model_copy(update={"name": "other"})}
    with pytest.raises(SpecError, match="no completed trial") as refused:
        started_from(spec.model_copy(update={"methods": other}), run)
    assert "kd" in refused.value.hint
