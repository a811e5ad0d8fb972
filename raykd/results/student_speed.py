"""How much smaller and faster a student is than its teacher, in words."""

from __future__ import annotations

from raykd.results.arm_teachers import members
from raykd.results.constraints import weights_of
from raykd.results.records import SpeedRecord, SweepResult, TeacherRecord, TrialResult

HOW_TIMED = (
    "Student and teacher were timed by turns where the teacher was prepared, before any trial: "
    "rows of the validation split, each in a batch of its own, from its tokens to its logits. A "
    "time is the median over rows, a range that of the turns. Nothing is generated, and in larger "
    "batches a row takes less."
)


def is_measurable(result: SweepResult, teacher: TeacherRecord) -> bool:
    """Whether one student stands next to a teacher that is a model which raykd ran.

    Outputs that were given are none, nor is a mean. Of runs that are merged with other students or
    teachers there is no one pair.
    """
    has_sizes = teacher.parameters > 0 and result.task(teacher.task).student_parameters > 0
    is_model = has_sizes and members(result, teacher.name) == (teacher.name,)
    return is_model and _is_one_pair(result, teacher)


def _is_one_pair(result: SweepResult, teacher: TeacherRecord) -> bool:
    """Whether merged runs that have a teacher of this name agree on it, and all on the student."""
    runs = [run for run in result.env.get("merged", ()) if teacher.task in run["students"]]
    students = {run["students"][teacher.task] for run in runs}
    own = [run["teachers"].get(teacher.task, {}) for run in runs]
    teachers = {names[teacher.name] for names in own if teacher.name in names}
    return len(students) <= 1 and len(teachers) <= 1


def describe_size(result: SweepResult, teacher: TeacherRecord) -> str:
    """How much smaller the students of a task are than a teacher, as a clause."""
    record = result.task(teacher.task)
    sizes = _sizes(result, teacher.task) or [record.student_parameters]
    least, most = sizes[0], sizes[-1]
    own, own_most = f"and the teacher {teacher.parameters:,}", _smaller(teacher, most)
    if least == most:
        return f"the student has {most:,} parameters {own}: the student is {own_most}"
    ends = f"the largest is {own_most}, the smallest {_smaller(teacher, least)}"
    return f"students have {least:,} to {most:,} parameters {own}: {ends}"


def describe_speed(result: SweepResult, teacher: TeacherRecord) -> str:
    """How much faster the student is, as a sentence; or why that is not known."""
    speed = teacher.speed
    if speed is None:
        return f"How much faster the student is was not measured: {_why_untimed(teacher)}."
    record = result.task(teacher.task)
    is_own = set(_sizes(result, teacher.task)) <= {record.student_parameters}
    student = "the student" if is_own else "the student that they are made from"
    return (
        f"A row takes {student} {_ms(speed.student_ms)} and the teacher "
        f"{_ms(speed.teacher_ms)}: the student is {_faster(speed)}. {_where(speed)}; the weights "
        f"take {speed.student_bytes / 1e6:,.1f} MB and {speed.teacher_bytes / 1e6:,.1f} MB there."
    )


def _why_untimed(teacher: TeacherRecord) -> str:
    if teacher.untimed or not teacher.cached:
        return teacher.untimed or "this run folder has no measurement, as those of earlier versions"
    return "the teacher was read from a cache that has no measurement with this student"


def of_student(result: SweepResult, trial: TrialResult, teacher: TeacherRecord) -> str:
    """How much smaller and faster the student of one trial is, for its model card."""
    if not is_measurable(result, teacher):
        return ""
    record, own = result.task(trial.task), weights_of(trial, result.task(trial.task))
    text = _smaller(teacher, own)
    if teacher.speed is not None and own == record.student_parameters:
        speed = teacher.speed
        text += (
            f", {_faster(speed)}: {_ms(speed.student_ms)} against {_ms(speed.teacher_ms)} for a "
            f"row of the validation split in a batch of its own, on {_device(speed)}"
        )
    return text


def _sizes(result: SweepResult, task: str) -> list[int]:
    """The numbers of weights of the students of a task, smallest first."""
    record = result.task(task)
    return sorted({weights_of(t, record) for t in result.trials if t.task == task})


def _smaller(teacher: TeacherRecord, parameters: int) -> str:
    return _times(teacher.parameters / parameters, "smaller", "larger", "as large as the teacher")


def _faster(speed: SpeedRecord) -> str:
    """How many times, with how far that varied; no more than this where it may be either."""
    close = f"({speed.low:.2f} to {speed.high:.2f} times as fast by turn)"
    if speed.low <= 1.0 <= speed.high:
        return f"neither faster nor slower for sure {close}"
    ratio, alike = speed.teacher_ms / speed.student_ms, "as fast as the teacher"
    times = _times(ratio, "faster", "slower", alike)
    if times.endswith(alike):
        return f"{times} {close}"
    ends = (speed.low, speed.high) if ratio > 1 else (1 / speed.high, 1 / speed.low)
    low, high = (_shown(end) for end in ends)
    return f"{times} ({low} to {high} by turn)"


def _where(speed: SpeedRecord) -> str:
    return f"That is on {_device(speed)} over {speed.rows} rows"


def _device(speed: SpeedRecord) -> str:
    """The device, with threads and number format."""
    threads = "1 thread" if speed.threads == 1 else f"{speed.threads} threads"
    where = f"a {speed.device}" + (f" with {threads}" if speed.device == "CPU" else "")
    return f"{where} in {speed.precision}" if speed.precision else where


def _times(ratio: float, more: str, less: str, alike: str) -> str:
    """``4.0 times smaller``; of a ratio below 1, by its inverse with the other word."""
    if ratio == 1:
        return alike
    word, size = (more, ratio) if ratio > 1 else (less, 1 / ratio)
    shown = _shown(size)
    return f"about {alike}" if shown == "1.0" else f"{shown} times {word}"


def _shown(size: float) -> str:
    return f"{size:,.1f}" if size < 10 else f"{size:,.0f}"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"
