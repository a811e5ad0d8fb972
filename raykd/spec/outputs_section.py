"""Reads ``teacher.outputs``: what a teacher said that ran elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from raykd.spec.schema import OutputsSpec, TeacherSpec
from raykd.spec.sections import read_section
from raykd.spec.yaml_nodes import Findings, YamlEntry

WHERE = "teacher.outputs"
_OF_MODELS = ("finetune", "serve", "dtype", "precision", "cache", "cache_size")
"""Keys of the section that say how a model runs."""


def read_outputs(teacher: YamlEntry, findings: Findings) -> OutputsSpec | None:
    """Read the section; None where there is none, or something is wrong.

    Args:
        teacher: The section ``teacher``.
        findings: Receives the problems.
    """
    entry = teacher.node.entries.get("outputs")
    if entry is None or entry.node.value is None:
        return None
    if isinstance(entry.node.value, str):
        message = f"'outputs' must say what the column holds, got {entry.node.typed()}"
        hint = f"for example outputs: {{probabilities: {entry.node.typed()}}}"
        findings.add(entry.node.mark, WHERE, message, hint)
        return None
    made = read_section(OutputsSpec, entry, WHERE, findings)
    if made is None:
        return None
    for key, message, hint in _problems(made):
        at = entry.node.entries.get(key, entry)
        findings.add(at.mark, f"{WHERE}.{key}" if key else WHERE, message, hint)
    return made


def check_alone(made: TeacherSpec, entry: YamlEntry, findings: Findings) -> None:
    """Refuse settings of a model where there is none, as far as they are not the defaults.

    Args:
        made: The teacher.
        entry: Its section.
        findings: Receives the problems.
    """
    plain = TeacherSpec()
    for key in _OF_MODELS:
        if getattr(made, key) != getattr(plain, key):
            message = f"'{key}' is of a teacher that runs here, and {_instead(made)}"
            hint = f"remove {key}, or name a teacher with model or checkpoint"
            findings.add(entry.node.entries[key].mark, f"teacher.{key}", message, hint)


def _instead(made: TeacherSpec) -> str:
    """What there is in place of a model."""
    if made.endpoint is not None:
        return "teacher.endpoint is queried for its answers"
    if made.members:
        return "this one is a combination of others"
    return "teacher.outputs is read from columns"


def _problems(made: OutputsSpec) -> list[tuple[str, str, str]]:
    """What does not go together: the key, the words, and what to do."""
    problems, given = [], made.given()
    if not given:
        hint = "for example {probabilities: COLUMN}, or {responses: COLUMN, path: answers.jsonl}"
        problems.append(("", "'outputs' names no column of outputs", hint))
    if made.probabilities is not None and made.logits is not None:
        problems.append(
            ("logits", "give either 'probabilities' or 'logits', not both", "remove one")
        )
    of_rows, of_texts = made.scores, [key for key in given if key in ("responses", "logprobs")]
    if of_rows and of_texts:
        message = f"'{of_texts[0]}' is of tasks that are answered in text, and '{given[0]}' of rows"
        problems.append((of_texts[0], message, "keep what belongs to the tasks of this file"))
    for key in given:
        named = getattr(made, key)
        if not named or "" in tuple(named):
            problems.append((key, f"'{key}' has an empty name of a column", "name the column"))
    if len(set(of_rows)) < len(of_rows):
        problems.append((given[0], f"'{given[0]}' names a column twice", "remove one of them"))
    if made.id is not None and made.path is None:
        message = "'id' finds the rows of a file, and there is none: the columns are the rows' own"
        problems.append(("id", message, "name the file with path, or remove id"))
    if isinstance(made.path, Mapping) and "train" not in made.path:
        problems.append(("path", "'path' names no file of train", "path: {train: soft.jsonl}"))
    if made.path == "" or made.id == "":
        problems.append(("path" if made.path == "" else "id", "the value is empty", ""))
    return problems
