"""Every shipped search space can be used as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykd.cli.names import shipped
from raykd.cli.sweep import SMOKE
from raykd.spec.load import load_spec, to_yaml

FOLDER = Path(__file__).parents[1] / "search_spaces"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_shipped_search_space_is_valid(path, tmp_path):
    spec = load_spec(path)
    assert spec.name == path.stem
    assert spec.data.select_on != spec.data.report_on
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(spec))
    assert load_spec(again) == spec


def test_all_of_them_are_offered_by_init():
    assert list(shipped()) == [path.stem for path in FILES]
    assert {
        "quickstart", "ckd_glue", "ckd_squad", "sinkd_glue", "sinkd_superglue", "one_to_one_glue",
        "one_to_one_squad", "one_to_one_imdb", "stark_glue", "bakeoff_glue",
    } <= set(shipped())  # fmt: skip


def test_the_methods_for_one_task_and_one_student_meet_in_the_bakeoff():
    arms = load_spec(FOLDER / "bakeoff_glue.yaml").methods.values()
    # Not ckd_adaptive, which trains several students in one.
    assert {arm.method for arm in arms} == {
        "none", "kd", "pkd", "tinybert", "minilmv2", "ckd", "stark", "one_to_one", "sinkd",
    }  # fmt: skip


def test_the_methods_on_text_meet_at_equal_budget():
    arms = load_spec(FOLDER / "kd_dolly.yaml").methods.values()
    assert {arm.method for arm in arms} == {
        "sft", "kd", "seqkd", "reverse_kl", "jsd", "skew_kl", "gkd", "minillm",
    }  # fmt: skip


def test_published_points_of_other_methods_are_reachable():
    sinkd = load_spec(FOLDER / "sinkd_glue.yaml").methods["sinkd"]
    assert len(sinkd.start) == 7
    assert {point["beta"] for point in sinkd.start} == {0.8}
    spaces = {"one_to_one_glue": 0.005, "one_to_one_squad": 0.5, "one_to_one_imdb": 0.005}
    for name, weight in spaces.items():
        assert load_spec(FOLDER / f"{name}.yaml").methods["one_to_one"].start[0]["alpha_corr"] == (
            weight
        )


def test_the_published_settings_are_reachable():
    ckd = load_spec(FOLDER / "ckd_glue.yaml").methods["ckd"]
    assert [point["temperature"] for point in ckd.start] == [3, 4]
    assert all(point["alpha"] == 1.0 for point in ckd.start)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_smoke_test_of_a_shipped_search_space_is_one_search(path):
    spec = load_spec(path, SMOKE)
    # 64 rows, or a part of them, could not be dealt to several searches.
    assert (spec.search.repeats, spec.search.trials) == (1, 2)
