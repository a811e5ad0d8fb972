"""Keys of the teachers' cache: the names of a teacher and of the parts made of it.

There are two kinds of names. That of the *teacher* says where its weights come from: model, rows
it is trained on, settings, precision, versions. It knows nothing of students and arms. Everything
that is made of the teacher (its scores, each recorded signal, texts, analyses) is a *part* with a
name of its own below that of the teacher: what rows, what signal, in what format. So another arm
records what is missing and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from raykd import registry
from raykd.data.base import TokenizedDataset
from raykd.methods.base import TeacherAnalysis
from raykd.models.families.base import ModelFamily
from raykd.models.file_arrays import digest_of
from raykd.models.model_factory import ModelFactory
from raykd.models.signals.base import OutputSpec, Signal
from raykd.models.signals.logits import Logits
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers.digest import code_digest, digest, package_version
from raykd.teachers.finetune_search import candidates
from raykd.teachers.finetune_seeds import other_seeds
from raykd.teachers.inputs import TaskInputs, scored_roles
from raykd.teachers.recording import kept
from raykd.teachers.teacher_variants import analysis_name
from raykd.teachers.vocab_cache.hidden import HiddenCache
from raykd.teachers.vocab_cache.signal import VocabularyScores

FORMAT = 6
"""Of the files of the cache; entries of another format are made again."""

RECORDED, TEST_OUTPUTS, SCORES, SCORED, SEEDS, TEXTS, ANALYSES, STUDENT, PRECISION_ERROR, SPEED = (
    "recorded/", "test_outputs/", "scores/", "scored_logits/", "seeds/", "texts/", "analyses/",
    "student", "precision_error", "speed",
)  # fmt: skip
"""What names of parts begin with."""

MADE_ALONG = (SPEED,)
"""Parts that are made where others are, and for which alone no teacher is opened again."""

_NAMED_ELSEWHERE = ("precision", "sharding")
"""Settings of training that are named apart, or, like the number of ranks, decide no weight."""
_NO_MATTER = ("_name_or_path", "transformers_version")
"""Entries of a configuration that say where it comes from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheKeys:
    """The keys of a task's teacher.

    Attributes:
        teacher: Of the teacher.
        identity: What it was made of: a digest by the name that users know it by.
        parts: Of everything that is made of the teacher, by what it is.
        rows: Of the rows that fine-tuning was evaluated on; they decide no weight.
    """

    teacher: str
    identity: Mapping[str, str]
    parts: Mapping[str, str]
    rows: str


def cache_keys_of(inputs: TaskInputs, tokenizer: Any) -> CacheKeys:
    """The names of a task's teacher and of its parts.

    Args:
        inputs: What is prepared.
        tokenizer: The teacher's, which is kept next to its weights.
    """
    if inputs.given is not None:
        return CacheKeys(teacher=digest(inputs.given.digest()), identity={}, parts={}, rows="")
    rows = _SplitDigests(inputs)
    identity = {
        name: digest(value, digits=12) for name, value in _decisive(inputs, tokenizer, rows).items()
    }
    parts = {name: digest(value) for name, value in _parts(inputs, rows).items()}
    return CacheKeys(
        teacher=digest(identity), identity=identity, parts=parts, rows=rows.digest("validation")
    )


def fingerprint_of(inputs: TaskInputs, keys: CacheKeys) -> str:
    """A name for all that trials read of a prepared task."""
    student = inputs.student
    return digest(
        keys.teacher,
        keys.parts,
        [inputs.mode, inputs.dtype, inputs.max_length, inputs.context()],
        student if isinstance(student, StudentFromTeacher) else factory_identity(student),
        [inputs.student_splits, inputs.student_pad],
        [inputs.teacher_splits["train"], inputs.teacher_pad],
    )


class _SplitDigests:
    """Digests of the rows of a task, each made once."""

    def __init__(self, inputs: TaskInputs) -> None:
        self._splits = inputs.teacher_splits
        self._digests: dict[int, str] = {}

    def digest(self, role: str) -> str:
        return self.of(self._splits[role])

    def of(self, encoded: TokenizedDataset) -> str:
        if id(encoded) not in self._digests:
            self._digests[id(encoded)] = digest(encoded)
        return self._digests[id(encoded)]


def _decisive(inputs: TaskInputs, tokenizer: Any, rows: _SplitDigests) -> dict[str, Any]:
    """What decides the weights of a teacher, by the name that users know it by."""
    task, settings = inputs.task, inputs.finetune
    record: dict[str, Any] = {
        "teacher": factory_identity(inputs.teacher),
        "tokenizer": tokenizer_identity(tokenizer),
        "task": [task.name, task.kind, task.num_labels, task.labels],
        "version of torch": package_version("torch"),
        "version of transformers": package_version("transformers"),
        "format": FORMAT,
    }
    if settings is None:
        return record
    # Ranks do not count: the global batch and its loss are the same for any number of them.
    plain = {n: value for n, value in asdict(settings).items() if n not in _NAMED_ELSEWHERE}
    if inputs.finetune_search:  # the rows that training is looked at with choose the best of them
        tried = [(one.lr, one.epochs) for one in candidates(settings, inputs.finetune_search)]
        searched = [tried, rows.digest("validation"), task.metric]
        record["teacher.finetune.search"] = searched
    return record | {
        "rows and labels it is trained on": rows.digest("finetune"),
        "teacher.finetune": [plain, inputs.finetune_seed, inputs.explain],
        "precision": inputs.precision,
        "padding token": inputs.teacher_pad,
        "raykd's code of training": code_digest(
            "raykd.teachers.finetune",
            "raykd.methods.step_by_step" if inputs.explain > 0 else "raykd.methods.none",
            *_modules(inputs),
        ),
    }


def _modules(inputs: TaskInputs) -> tuple[str, ...]:
    """Where building and loss of the teacher are written."""
    objects = (inputs.task, inputs.task.task_kind)
    return (
        "raykd.models.model_factory",
        _family(inputs.teacher),
        *(type(of).__module__ for of in objects),
    )


def _family(factory: ModelFactory) -> str:
    """The module of a model's family."""
    name = factory.state.family if factory.state is not None else None
    if name is None:
        assert factory.random_init is not None
        name = factory.random_init.family
    has_file = "." in name or name in registry.names("families")
    return registry.module("families", name).__name__ if has_file else ModelFamily.__module__


def _parts(inputs: TaskInputs, rows: _SplitDigests) -> dict[str, Any]:
    """What decides every part, besides the teacher."""
    code = code_digest("raykd.teachers.prepare", *_modules(inputs))
    exact = [FORMAT, code, inputs.teacher_pad, inputs.max_length, inputs.eval_batch_size()]
    ran = [*exact, inputs.frozen_precision]
    values: dict[str, Any] = {}
    if inputs.frozen_precision != "fp32":
        values[PRECISION_ERROR] = [ran, rows.digest("validation")]
    for role in scored_roles(inputs.teacher_splits):
        values |= _scored(inputs, role, [ran, rows.digest(role)])
    for seed in other_seeds(inputs):
        values[f"{SEEDS}{seed}"] = [exact, seed, rows.digest("test"), _scoring(inputs, "test")]
    if inputs.records():
        for signal in kept(inputs.train_output_spec(), token_labels=_tokens(inputs, "train")):
            values[RECORDED + signal.name] = [ran, rows.digest("train"), _recording(inputs, signal)]
    if inputs.records_test_outputs():
        signal = VocabularyScores(HiddenCache().name)
        values[TEST_OUTPUTS + signal.name] = [ran, rows.digest("test"), _recording(inputs, signal)]
    for text, prompts in inputs.teacher_texts().items():
        read = [rows.of(prompts.prompts), rows.of(prompts.teacher_prompts)]
        how = [inputs.text_settings(prompts.max_new_tokens), inputs.finetune_seed]
        values[TEXTS + text.texts] = [ran, read, how]
    if isinstance(inputs.student, StudentFromTeacher):
        values[STUDENT] = [exact, inputs.student, rows.digest("validation")]
    for analysis in inputs.teacher_analyses:
        # Students may be trained to find out what they can follow, and recorded logits are read.
        looked = [rows.digest("train"), rows.digest("validation"), _student(inputs, values),
                  inputs.precision, inputs.context().compared_vocabulary]  # fmt: skip
        values[ANALYSES + analysis_name(analysis)] = [ran, looked, _analysis(inputs, analysis)]
    return values | _timed(inputs)


def _timed(inputs: TaskInputs) -> dict[str, Any]:
    """What decides how long teacher and student take for a row: all but the student's weights."""
    student = inputs.student
    if inputs.sharded:
        return {}
    decisive = [
        student if isinstance(student, StudentFromTeacher) else _architecture(student),
        [inputs.max_length, inputs.teacher_pad, inputs.student_pad, inputs.student_precision],
        [s["validation"].lengths() for s in (inputs.teacher_splits, inputs.student_splits)],
        code_digest("raykd.teachers.speed", "raykd.training.latency"),
    ]
    return {SPEED: decisive}


def _tokens(inputs: TaskInputs, role: str) -> bool:
    return inputs.teacher_splits[role].token_labels


def _scored(inputs: TaskInputs, role: str, decisive: list[Any]) -> dict[str, Any]:
    """What decides the scores of a role's rows, and what is kept of them for combinations."""
    scores = {SCORES + role: ["scores", decisive, _scoring(inputs, role)]}
    return scores | ({SCORED + role: ["scored logits", decisive]} if inputs.is_member else {})


def _scoring(inputs: TaskInputs, role: str) -> list[Any]:
    task = inputs.task
    return [task.name, task.metrics, inputs.writes_for(role), task.max_new_tokens,
            inputs.precision]  # fmt: skip


def _recording(inputs: TaskInputs, signal: Signal) -> list[Any]:
    """A signal, and what its numbers depend on besides the rows."""
    of_tokens = isinstance(signal, VocabularyScores)
    tokens = inputs.recording("train", OutputSpec(Logits())).vocabulary
    return [
        signal.name,
        inputs.dtype if signal.is_rounded or of_tokens else "fp32",
        inputs.output_spec.context_padding if signal.uses_context_padding else 0,
        tokens if of_tokens else 0,
        code_digest(signal.defined_in),
    ]


def _student(inputs: TaskInputs, values: Mapping[str, Any]) -> Any:
    if isinstance(inputs.student, StudentFromTeacher):
        return values[STUDENT]
    return factory_identity(inputs.student)


def _analysis(inputs: TaskInputs, analysis: TeacherAnalysis) -> list[str]:
    student = inputs.student
    family = _family(inputs.teacher if isinstance(student, StudentFromTeacher) else student)
    code = code_digest(type(analysis).__module__, "raykd.methods.kd", family)
    return [analysis_name(analysis), code]


def factory_identity(factory: ModelFactory) -> Mapping[str, Any]:
    """How a model begins, wherever its files are."""
    state = factory.state
    weights = None if state is None else [digest_of(state.tensors), sorted(state.bf16)]
    return {**_architecture(factory), "weights": weights}


def _architecture(factory: ModelFactory) -> Mapping[str, Any]:
    """What a model is but for its weights."""
    config = dict(factory.state.config) if factory.state is not None else {}
    return {
        "kind": [factory.kind, factory.num_labels],
        "sizes": [factory.dims, factory.random_init],
        # Dropout, activation and the order of classes are in the configuration only.
        "config": {k: _canonical(v) for k, v in config.items() if k not in _NO_MATTER},
    }


def _canonical(value: Any) -> Any:
    """Plain data as JSON writes it, so that a tuple and a list, or keys 0 and "0", are the same."""
    return json.loads(json.dumps(value, sort_keys=True, default=str))


def tokenizer_identity(tokenizer: Any) -> Mapping[str, Any]:
    """How a tokenizer splits text, without what its last use left in it."""
    plain = json.loads(tokenizer.backend_tokenizer.to_str())
    for used in ("truncation", "padding"):
        plain.pop(used, None)
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return {"tokenizer": plain, "special": special, "size": len(tokenizer)}
