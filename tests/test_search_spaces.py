"""Every shipped search space can be used as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykd.cli.init import shipped
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
    assert {"quickstart", "ckd_glue"} <= set(shipped())


def test_the_published_settings_are_reachable():
    ckd = load_spec(FOLDER / "ckd_glue.yaml").methods["ckd"]
    assert [point["temperature"] for point in ckd.start] == [3, 4]
    assert all(point["alpha"] == 1.0 for point in ckd.start)
