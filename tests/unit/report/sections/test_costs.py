"""What the report says that arms cost."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from raykd.report.markdown import render_markdown
from raykd.report.sections import costs
from raykd.results.records import SpeedRecord, SweepResult
from raykd.results.store import load_results
from tests.synthetic_run import Builder

TASK = "glue/rte"


def test_the_parts_of_what_an_arm_cost_stand_apart(tmp_path: Path):
    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher(TASK)  # prepared in 80 s
    for number, seconds in enumerate((20.0, 21.0, 22.0)):
        builder.trial(TASK, "kd", number, objective=0.7, device_seconds=seconds)
    for seed in (11, 12):
        builder.trial(TASK, "kd", 0, objective=0.7, confirm_seed=seed, test=0.7)
    actual = costs.record(load_results(builder.folder))
    assert actual is not None
    rows = {row[0]: dict(zip(actual.columns, row, strict=True)) for row in actual.tasks[0][1]}
    kd = rows["kd"]
    assert kd["completed"] == "3"
    assert kd["median trial"] == "80 s"
    assert kd["device hours of the search"] == "0.018"  # 63 s
    assert kd["of the confirm runs"] == "0.044"  # two of 80 s
    # kd alone ran, and ckd would read the teacher, too. Trials held 0.27 of a device, or 1.
    assert float(kd["share of the teacher"]) < 80 / 2 / 3600
    assert float(kd["in all"]) > 0.062


def test_the_heading_is_the_sum(result: SweepResult):
    actual = costs.record(result)
    assert actual is not None
    trials = sum(t.device_seconds for t in result.trials)
    teachers = sum(t.seconds for t in result.teachers)
    share = 100 * teachers / (trials + teachers)
    assert actual.heading == (
        f"{(trials + teachers) / 3600:.2f} device hours in all, {share:.2g} % of them for teachers"
    )
    assert "borne in equal parts" in costs.render(actual)


def test_students_stand_next_to_their_teacher_where_both_were_timed(result: SweepResult):
    speed = SpeedRecord(
        teacher_ms=8.0, student_ms=2.0, low=3.9, high=4.2, teacher_bytes=440_000_000,
        student_bytes=44_000_000, precision="fp32", rows=30,
        device="CPU", threads=2,
    )  # fmt: skip
    first, second = result.teachers
    timed = dataclasses.replace(result, teachers=(dataclasses.replace(first, speed=speed), second))
    actual = costs.record(timed)
    assert actual is not None
    assert [line.partition(": ")[0] for line in actual.speeds] == ["glue/rte", "glue/mrpc"]
    assert "the student is 10 times smaller. A row takes the student 2 ms" in actual.speeds[0]
    assert "4.0 times faster" in actual.speeds[0]
    assert "was not measured: this run folder has no measurement" in actual.speeds[1]
    page = costs.render(actual)
    assert "<h3>Student and teacher</h3>" in page
    assert "were timed by turns" in page
    assert all(line in render_markdown(timed) for line in actual.speeds)


def test_a_teacher_behind_an_address_has_no_line(result: SweepResult):
    given = tuple(dataclasses.replace(t, parameters=0) for t in result.teachers)
    actual = costs.record(dataclasses.replace(result, teachers=given))
    assert actual is not None
    assert (actual.speeds, actual.how_timed) == ((), "")
    assert "Student and teacher" not in costs.render(actual)
