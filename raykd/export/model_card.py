"""The model card of an exported student: what it is, how it scores, and where it comes from.

The head is the metadata that model hubs read; JSON values are YAML. Nothing is written of the
machine: paths are cut to their last part, and the command is that of the search space.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raykd.export.chosen import ChosenStudent
from raykd.export.command import later_trials, public_command
from raykd.export.licences import NONE_STATED, Licences, base_model
from raykd.export.measured import TIMED, Measured, size_of
from raykd.export.opened import makes_vectors
from raykd.params import show
from raykd.results.arm_teachers import learnt_from, own_score
from raykd.results.constraints import weights_of
from raykd.results.diagnose import diagnose
from raykd.results.public import public, public_name, without_addresses, without_folders
from raykd.results.records import TaskRecord, TeacherRecord
from raykd.results.sentences import own_interval
from raykd.results.student_speed import of_student
from raykd.results.summary import (
    ArmSummary,
    arm_summaries,
    confirm_seed,
    task_metric,
)

_PIPELINES = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
}
"""The task of a model on the hub, by how the name of its class ends."""

NO_LICENCE = (
    "That of the student has to agree with those of the teacher, of the model that the student "
    "began from, and of the data."
)


def model_card(
    student: ChosenStudent, licences: Licences = NONE_STATED, measured: Measured | None = None
) -> str:
    """The text of ``README.md``.

    Args:
        student: What is exported.
        licences: What was stated of licences.
        measured: How long it takes, and what was written of it as ONNX.
    """
    body = without_folders(
        "\n".join([*_body(student, licences, measured), *_graphs(student, measured)])
    )
    return "\n".join([*_metadata(student, licences.student), "", body, ""])


def pipeline_of(folder: Path) -> str:
    """What the hub calls the model's task; empty where its class has no name that says it."""
    path = folder / "config.json"
    if makes_vectors(folder):
        return "sentence-similarity"
    if not path.is_file():
        return ""
    classes = json.loads(path.read_text(encoding="utf-8")).get("architectures") or [""]
    ends = (tag for end, tag in _PIPELINES.items() if classes[0].endswith(end))
    return next(ends, "")


def summary_of(student: ChosenStudent) -> ArmSummary:
    """The summary of the student's arm."""
    trial = student.trial
    return next(a for a in arm_summaries(student.result, trial.task) if a.name == trial.arm)


def _metadata(student: ChosenStudent, licence: str | None) -> Iterator[str]:
    trial, summary = student.trial, summary_of(student)
    measure = task_metric(student.result, trial.task)
    is_adapter = (student.folder / "adapter_config.json").is_file()
    library = "sentence-transformers" if makes_vectors(student.folder) else "transformers"
    metadata: dict[str, Any] = {
        "library_name": "peft" if is_adapter else library,
        "tags": ["raykd", "knowledge-distillation", trial.method],
    }
    if pipeline := pipeline_of(student.folder):
        metadata["pipeline_tag"] = pipeline
    if licence:
        metadata["license"] = licence
    if base := base_model(student.result.spec):
        metadata["base_model"] = base
    if summary.score is not None:
        score = {"type": measure.metric, "value": trial.metrics.get(f"test/{measure.metric}")}
        of_task = {"type": pipeline or "other"}
        on = {"name": trial.task, "type": public_name(trial.task), "split": "test"}
        metadata["model-index"] = [
            {
                "name": f"{trial.task} {trial.arm}",
                "results": [{"task": of_task, "dataset": on, "metrics": [score]}],
            }
        ]
    yield "---"
    for key, value in metadata.items():
        yield f"{key}: {json.dumps(value, ensure_ascii=False)}"
    yield "---"


def _body(student: ChosenStudent, licences: Licences, measured: Measured | None) -> Iterator[str]:
    result, trial = student.result, student.trial
    task = next(t for t in result.tasks if t.name == trial.task)
    teacher = learnt_from(result, trial)
    yield f"# {trial.task}: a student by {trial.arm}"
    yield ""
    yield "Distilled with raykd, which searched the coefficients of the method"
    yield f"`{trial.method}` and compared it with other methods under the same budget."
    yield from _table("What it is", _facts(student, task, teacher, measured))
    yield from _scores(student, teacher)
    yield from _table("How it was trained", _coefficients(student))
    yield from _budget(student)
    yield from _caveats(student)
    yield from _table("Data", _data(task))
    yield from _table("Licence", licences.rows())
    if licences.student is None:
        yield from ["", NO_LICENCE]
    yield from _made_with(student)


def _table(title: str, rows: Mapping[str, str]) -> Iterator[str]:
    if not rows:
        return
    yield from ["", f"## {title}", "", "| | |", "| --- | --- |"]
    for name, value in rows.items():
        cell = value.replace("|", r"\|").replace("\n", " ")
        yield f"| {name} | {cell} |"


def _facts(
    student: ChosenStudent,
    task: TaskRecord,
    teacher: TeacherRecord | None,
    measured: Measured | None,
) -> dict[str, str]:
    facts = {
        "student": f"{public_name(task.student)}, {weights_of(student.trial, task):,} parameters",
        "number format of its training": student.trial.precision,
        "size of its weights": f"{size_of(student.folder) / 1e6:.1f} MB",
    }
    if measured is not None:
        rows, tokens = TIMED
        facts["time"] = (
            f"{measured.ms:.2f} ms for {rows} text of {tokens} tokens in PyTorch on the processor "
            "of the export"
        )
    if teacher is not None:
        size = f", {teacher.parameters:,} parameters" if teacher.parameters else ""
        facts["teacher"] = f"{public(teacher.model)}{size}"
        facts["next to the teacher"] = of_student(student.result, student.trial, teacher)
    return {name: value for name, value in facts.items() if value}


def _scores(student: ChosenStudent, teacher: TeacherRecord | None) -> Iterator[str]:
    trial, summary = student.trial, summary_of(student)
    measure = task_metric(student.result, trial.task)
    scale = measure.scale
    yield from ["", "## How it scores", "", student.verdict.headline, *student.verdict.details]
    yield ""
    yield f"`{measure.metric}` in {scale.unit} on the test rows:"
    yield from ["", "| what | score |", "| --- | --- |"]
    own = trial.metrics.get(f"test/{measure.metric}")
    yield f"| this student, seed {confirm_seed(trial)} | {scale.show(own)} |"
    if summary.confirmed is not None and len(summary.seeds) > 1:
        mean = f"{scale.show(summary.score)}{own_interval(summary, measure)}"
        yield f"| the arm {trial.arm} | {mean} |"
        seeds = ", ".join(f"{seed}: {scale.show(of)}" for seed, of in summary.seeds.items())
        yield f"| its seeds | {seeds} |"
    for other in arm_summaries(student.result, trial.task):
        if other.name != trial.arm and other.score is not None:
            shown = f"{scale.show(other.score)}{own_interval(other, measure)}"
            yield f"| the arm {other.name} | {shown} |"
    of_teacher = None if teacher is None else own_score(student.result, teacher)
    if of_teacher is not None:
        yield f"| the teacher | {scale.show(of_teacher)} |"


def _coefficients(student: ChosenStudent) -> dict[str, str]:
    trial = student.trial
    return {
        "method": trial.method,
        **{
            name: f"{show(public(value))}{' (searched)' if name in trial.searched else ''}"
            for name, value in trial.params.items()
        },
    }


def _budget(student: ChosenStudent) -> Iterator[str]:
    summary = summary_of(student)
    search = student.result.spec.get("search") or {}
    algorithm = (search.get("algorithm") or {}).get("name", "")
    yield ""
    yield f"Searched in {summary.num_search} trials ({algorithm}) that took {_time(summary)}."


def _time(summary: ArmSummary) -> str:
    seconds = summary.device_seconds
    return f"{seconds / 3600:.1f} device hours" if seconds >= 3600 else f"{seconds:.0f} device s"


def _caveats(student: ChosenStudent) -> Iterator[str]:
    trial = student.trial
    every = [c for c in diagnose(student.result) if c.task in ("", trial.task)]
    if not every:
        return
    yield from ["", "## Before you trust this", ""]
    for caveat in every:
        yield f"- {without_addresses(caveat.message)}"


def _data(task: TaskRecord) -> dict[str, str]:
    facts = {f"{role} rows": f"{number:,}" for role, number in task.rows.items()}
    return {**facts, "fingerprint": f"`{task.data_fingerprint}`"}


def _graphs(student: ChosenStudent, measured: Measured | None) -> Iterator[str]:
    """The graphs next to the weights: size, time, and what they change."""
    if measured is None or not measured.files:
        return
    rows, tokens = TIMED
    yield from ["", "## ONNX", ""]
    yield f"Compared with the weights on {measured.texts} texts of random tokens; the time is that"
    yield f"of {rows} text of {tokens} tokens on the machine of the export. int8 changes scores:"
    yield "score it on rows of your own before you use it."
    same = "least cosine" if measured.of_vectors else "same class"
    yield from ["", f"| file | MB | ms | largest difference of an output | {same} |"]
    yield "| --- | ---: | ---: | ---: | ---: |"
    size = size_of(student.folder)
    yield f"| weights (PyTorch) | {size / 1e6:.1f} | {measured.ms:.2f} | | |"
    for file in measured.files:
        parts = [file.name, f"{file.size / 1e6:.1f}", f"{file.ms:.2f}", f"{file.difference:.1e}"]
        shown = f"{file.same:.6f}" if measured.of_vectors else f"{100 * file.same:.1f} %"
        yield f"| {' | '.join(parts)} | {shown} |"


def _made_with(student: ChosenStudent) -> Iterator[str]:
    env = student.result.env
    packages = {"raykd": env.get("raykd", ""), "Python": env.get("python", ""),
                **(env.get("packages") or {})}  # fmt: skip
    named = [name for name in ("raykd", "Python", "torch", "transformers") if packages.get(name)]
    yield from ["", "## Made with", ""]
    yield ", ".join(f"{name} {packages[name]}" for name in named) + "."
    later = later_trials(student.result)
    verb = "begun" if later else "made"
    yield f"The search space is in `raykd.json`, as `search_space`; the run was {verb} by:"
    yield from ["", "```bash", public_command(student.result), "```"]
    if later:
        yield from ["", f"It was resumed with {' and '.join(f'`--trials {n}`' for n in later)}."]
