"""What is kept of bake-offs is anonymous and small, and their cost is stated where it is read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from docs_pages import bakeoffs, gpu_hours
from docs_pages.publish import publish
from tests.synthetic_run import Builder, spec

ROOT = Path(__file__).parents[1]
KEPT = {"env.json", "report.html", "trials.parquet", "verdict.json"}


def test_what_is_kept_of_a_run_names_no_machine_and_nobody(tmp_path: Path):
    plan = spec(trials=1).model_copy(update={"tasks": ("t",)})
    env = {"host": "mordor.corp.example", "user": "jdoe", "cwd": "/home/jdoe",
           "processor": "EPYC", "system": "Linux 6.1-corp x86_64"}  # fmt: skip
    builder = Builder(tmp_path / "run of jdoe", plan, env)
    builder.start()
    builder.teacher("t")
    for k, arm in enumerate(plan.methods):
        builder.trial("t", arm, 0, node="mordor.corp.example", error="at /home/jdoe/x.csv")
        for seed in (11, 12, 13):
            builder.trial("t", arm, 0, confirm_seed=seed, test=0.5 + k / 10, node="mordor")
    builder.finish()
    publish(builder.folder, tmp_path / "kept")
    files = {path.name: path for path in (tmp_path / "kept").iterdir()}
    assert files.keys() == KEPT
    table = pq.read_table(files["trials.parquet"]).to_pylist()
    written = repr(table) + "".join(
        path.read_text() for name, path in files.items() if name != "trials.parquet"
    )
    secrets = ("mordor", "jdoe", "/home", "6.1-corp", str(tmp_path))
    assert [secret for secret in secrets if secret in written] == []
    assert json.loads(files["env.json"].read_text())["processor"] == "EPYC"
    kept = json.loads(files["verdict.json"].read_text())
    assert (kept["trials"], kept["confirm runs"]) == (len(plan.methods), 3 * len(plan.methods))
    (task,) = kept["tasks"]
    assert task["leader"] == list(plan.methods)[-1]
    assert [row[0] for row in task["rows"]] == list(plan.methods)
    assert len(table) == 4 * len(plan.methods)


@pytest.mark.parametrize("folder", bakeoffs.folders(), ids=lambda p: p.name)
def test_what_is_kept_is_small_and_of_the_file_that_is_shipped(folder: Path):
    assert {path.name for path in folder.iterdir()} == KEPT
    assert (folder / "report.html").stat().st_size <= 2_000_000
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"/(?:tmp|home|root|work)/", page)
    kept = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    shipped = gpu_hours.space(kept["name"])
    assert kept["arms"] == list(shipped.methods)
    assert [task["task"] for task in kept["tasks"]] == list(shipped.tasks)
    assert kept["trials of a search"] == shipped.search.trials
    assert kept["searches of an arm"] == shipped.search.repeats
    assert tuple(kept["confirm seeds"]) == shipped.confirm.seeds
    runs = len(shipped.tasks) * len(shipped.methods) * shipped.search.repeats
    assert kept["trials"] == runs * shipped.search.trials
    assert kept["confirm runs"] == runs * len(shipped.confirm.seeds)


@pytest.mark.parametrize("bakeoff", gpu_hours.BAKEOFFS, ids=lambda b: b.name)
def test_the_files_state_the_cost_that_is_computed(bakeoff: gpu_hours.Bakeoff):
    text = (ROOT / "search_spaces" / f"{bakeoff.name}.yaml").read_text(encoding="utf-8")
    (stated,) = re.findall(r"Cost: about (\d+) GPU hours on A100s", text)
    assert int(stated) == round(sum(gpu_hours.hours(bakeoff, task) for task in bakeoff.rows))


def test_a_live_teacher_and_more_seeds_cost_more():
    lm, task = gpu_hours.LM, "dolly"
    cheap = gpu_hours.Bakeoff(name=lm.name, rows=lm.rows, teacher=lm.teacher, student=lm.student,
                              trial_s=lm.trial_s)  # fmt: skip
    assert gpu_hours.hours(cheap, task) < gpu_hours.hours(lm, task)
    # By hand: one arm of GLUE's nine, without what a trial takes besides its steps.
    none = 14 * 5 * 2_490 * 72 * 6 * 42.5e6
    teacher = 2_490 * 72 * 85e6 * (6 * 3 + 2)
    by_hand = (none * (8 + 1.075) + teacher) / (312e12 * 0.3) / 3600 + 9 * 25 * 3 / 3600
    assert gpu_hours.hours(gpu_hours.GLUE, "glue/rte") == pytest.approx(by_hand)


def test_the_page_that_a_sweep_writes_next_to_the_kept_folders_is_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bakeoffs, "REPORTS", tmp_path)
    (tmp_path / "bakeoff_glue").mkdir()
    (tmp_path / "bakeoff_glue_small.html").write_text("a page")
    assert bakeoffs.folders() == [tmp_path / "bakeoff_glue"]
