"""The keys of a search-space file in words: what they may be, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raykd.params import show
from raykd.spec.schema import (
    AskSpec,
    AugmentSpec,
    DataSpec,
    FromTeacher,
    LoraSpec,
    OutputsSpec,
    OwnTaskSpec,
    RandomInitSpec,
    RationaleSpec,
    SourceSpec,
    SplitRef,
    StudentSpec,
    TeacherSpec,
)
from raykd.spec.schema_base import SpecSection
from raykd.spec.schema_stages import (
    ConfirmSpec,
    Constraint,
    Objective,
    ReportSpec,
    ResourceSpec,
    SearchSpec,
    SeedPlan,
)

SECTIONS: Mapping[str, type[SpecSection]] = {
    "tasks": OwnTaskSpec, "sources": SourceSpec, "data": DataSpec,
    "select_on": SplitRef, "report_on": SplitRef,
    "augment": AugmentSpec, "rationales": RationaleSpec, "teacher": TeacherSpec,
    "outputs": OutputsSpec, "ask": AskSpec,
    "student": StudentSpec, "from_teacher": FromTeacher, "lora": LoraSpec, "model": RandomInitSpec,
    "search": SearchSpec, "objective": Objective, "confirm": ConfirmSpec, "seeds": SeedPlan,
    "resources": ResourceSpec,
    "report": ReportSpec,
}  # fmt: skip
"""Everything in a file that has keys of its own, except training and methods."""

KEYS: Mapping[type[SpecSection], Mapping[str, str]] = {
    OwnTaskSpec: {
        "name": "What the task is called; a shipped task is named without a mapping.",
        "texts": "The column with the text, or the two columns of a pair.",
        "label": "The column with the label.",
        "labels": "The class names in the order of their ids.",
        "kind": "What a row is labelled with: a class, a number, a text, a similarity.",
        "metric": "The metric that decides; by default the first one suited to the kind.",
        "metrics": "Metrics that are reported besides it.",
        "span": "Lowest and highest value of a regression.",
        "prompt": "The column of the prompt; of kind: text.",
        "context": "The column of a text that is read with the prompt; it is cut first.",
        "response": "The column of the response, or of a list of accepted ones.",
        "messages": "The column of conversations, in place of prompt and response.",
        "system": "The system turn of conversations that have none.",
        "template": "The wording: auto (the chat template of the model), a name, or a template.",
        "template_args": "Variables of the template, e.g. {enable_thinking: false}.",
        "loss_on": "The turns that are learnt: the last one of the assistant, or all of them.",
        "too_long": "What is cut of rows that are too long; auto: turns of messages, else context.",
        "max_prompt_length": "Most tokens of a prompt; null = half of data.max_length.",
        "max_new_tokens": "Most tokens that are generated for a row.",
        "pattern": "The regular expression of the metric matched.",
        "path": "Folder of <split>.csv, .tsv, .jsonl or .parquet; or files, or {split: files}.",
        "hub": "Data set on the hub, NAME or NAME:CONFIGURATION.",
        "revision": "Branch, tag or commit of the data set on the hub.",
        "stream": "Download about `data.limit` + 10,000 rows of each split, and draw from them.",
        "sources": "Several places in place of path or hub.",
        "splits": "Names of splits in files or on the hub, or shares of one set of rows.",
    },
    SourceSpec: {
        "path": "As path of the task.",
        "hub": "As hub of the task.",
        "revision": "As revision of the task.",
        "stream": "As stream of the task.",
        "weight": "How often its train rows count: 2 = twice, 0.5 = half of them.",
    },
    DataSpec: {
        "root": "Folder of the shipped tasks' data; null = the hub.",
        "unlabelled": "Files of texts without labels, which students learn of the teacher alone.",
        "limit": "Most rows that are read of a split.",
        "student_rows": "Most train rows that students see; the teacher sees all.",
        "max_length": "Most tokens of a row.",
        "select_on": "The rows that the search and early stopping are scored on.",
        "report_on": "The rows that confirmed students are scored on.",
        "augment": "More train rows for students, with some words replaced.",
        "rationales": "Where reasons for responses come from.",
        "label_type": "Learn the data's own responses (gt), or those of a language model (llm).",
        "class_weights": "balanced = the task loss weights rows so that all classes count alike.",
        "oversample": "balanced = train rows of small classes are repeated.",
        "seed": "Which rows are held out and kept under a limit.",
    },
    SplitRef: {
        "split": "The split.",
        "fraction": "The share of it that is taken; what is taken of train is not trained on.",
    },
    AugmentSpec: {
        "model": "A masked language model that proposes words.",
        "vectors": "A file of word vectors that proposes words for rare ones.",
        "copies": "Copies of each row.",
        "probability": "The chance that a word is replaced.",
        "candidates": "Proposals per word.",
        "seed": "Which words are replaced by which.",
    },
    RationaleSpec: {
        "source": "data, teacher, teacher_posthoc, or a .jsonl file.",
        "max_new_tokens": "Most tokens that a teacher writes.",
        "as_input": "Put them into prompts.",
    },
    TeacherSpec: {
        "model": "A model to fine-tune: a name, a folder, or sizes for random weights.",
        "checkpoint": "A folder with a fine-tuned model, which is used as it is.",
        "outputs": "What a teacher said that ran elsewhere, in place of a model.",
        "endpoint": "Address of a server with OpenAI's interface; model is its name there.",
        "ask": "How a teacher behind an address is queried.",
        "mean": "Among teachers: others whose targets are averaged, as a list or with weights.",
        "by": "Among teachers: the column that says which teacher a row has.",
        "routes": "Among teachers: the teacher of each value of that column.",
        "finetune": "Settings of training, and rows, seed, explain.",
        "serve": "Cached outputs (offline), or the weights: trials run the teacher (online).",
        "dtype": "How cached outputs are kept.",
        "precision": "Number format of the teacher where it is not trained; auto = bf16 on GPUs.",
        "sharding": "full = a checkpoint too large for a device is spread over a trial's workers.",
        "cache": "What is recorded of distributions over a vocabulary.",
        "cache_size": "Draws of a sampled cache, or tokens of a top_k cache.",
    },
    AskSpec: {
        "key": "The environment variable that holds the key; servers without one need none.",
        "interface": "chat, or completions, which can also score texts that it is sent (echo).",
        "system": "A system turn for rows that have none.",
        "prompt": "The wording, with {text}, {text_a}, {text_b}, {choices}; empty = raykd's own.",
        "explain": "Requests a rationale, after the prompt; {response} = the row's response.",
        "choices": "What the teacher calls a class, where that is not the class's name.",
        "score_by": "How classes are scored: by the first token of the answer (chat), by the "
        "log-probability of each choice (completions), or by the text alone.",
        "score_splits": "Ask about the rows of validation and test, too, so that it has a score.",
        "top_logprobs": "Likely tokens that are requested at each place.",
        "temperature": "Of texts; 0 = the likeliest tokens.",
        "seed": "Of draws.",
        "max_new_tokens": "Most tokens of a text; null = the task's, or that of data.rationales.",
        "concurrent": "Requests at the same time.",
        "retries": "How often a request that failed is sent again.",
        "wait": "Seconds before it is sent again; doubled each time, up to a minute.",
        "timeout": "Seconds that an answer may take.",
    },
    OutputsSpec: {
        "probabilities": "The column of probabilities of all classes, or a column per class.",
        "logits": "The same before the softmax; in regression, the column of scores.",
        "responses": "The column of responses, which seqkd learns from.",
        "logprobs": "The column of log-probabilities of the tokens of the rows' responses.",
        "path": "The file with these columns, or {split: file}; null = the rows have them.",
        "id": "The column that names rows, in the data and the file; null = rows go by place.",
    },
    StudentSpec: {
        "model": "A name, a folder, or sizes for random weights.",
        "from_teacher": "Blocks of the teacher, or all of it pruned.",
        "lora": "Train adapters of low rank and the head, in place of all weights.",
    },
    LoraSpec: {
        "targets": "Linear layers that get one, by the ends of their names; all-linear = all.",
        "save": "The adapter, which needs its model, or both merged; auto: it, where a name is.",
    },
    FromTeacher: {
        "layers": "The blocks that are taken, numbered from 0.",
        "sparsity": "The percentage of heads and neurons that go.",
        "sort_by_importance": "Sort heads and neurons of every block, the most important first.",
        "weights": "Those of the teacher after fine-tuning, or before.",
    },
    RandomInitSpec: {
        "family": "The kind of model: raykd ls families.",
        "layers": "Blocks.",
        "hidden": "Width.",
        "heads": "Attention heads of a block.",
        "intermediate": "Neurons of a block; null = four times the width.",
        "vocabulary": "Tokens, learnt from the train rows.",
        "max_positions": "The longest text.",
        "dropout": "Dropout in training.",
    },
    SearchSpec: {
        "algorithm": "How parameters are chosen: raykd ls algorithms.",
        "scheduler": "How bad trials are stopped early: raykd ls schedulers.",
        "trials": "Trials of each search: of each arm on each task.",
        "repeats": "Searches of each arm on each task, each with rows of its own to select on; "
        "from three on, what is compared is methods with their searches, not one configuration.",
        "time_budget": "What the searches of all tasks take together at most, e.g. 6h, in an equal "
        "share for each task; on it, arms take turns by their numbers of trials.",
        "device_budget": "Device time of each search of an arm on a task, e.g. 2h, its share of "
        "the teacher included; trials is then the most there are.",
        "trial_time_limit": "What a trial or a confirm run may take at a time, e.g. 2h; one that "
        "takes longer fails, and its traceback shows where it was.",
        "max_concurrent": "Trials at the same time.",
        "control": "The share of trials that are never stopped early, by which stopping is judged.",
        "lag": "How many of the trials before it a trial does without the results of, so that the "
        "list does not depend on which ends first; none = it knows whatever has ended.",
        "objective": "What is improved; two make a front.",
        "constraints": "Bounds that students keep to: [latency_ms <= 5, parameters <= 3e6]; those "
        "of metrics as these are computed, accuracy >= 0.8.",
        "seed": "What is drawn, and the seeds of trials.",
    },
    Constraint: {
        "metric": "A metric that all tasks have, latency_ms, memory_mb, or parameters.",
        "relation": "Which side of the bound is allowed.",
        "bound": "The bound.",
    },
    Objective: {
        "metric": "A metric that all tasks have, latency_ms, memory_mb, or parameters; auto = the "
        "task's own.",
        "mode": "Whether more is better.",
    },
    ConfirmSpec: {
        "top_k": "Configurations of each arm that are trained again.",
        "seeds": "The fresh seeds; none = no confirmation. Or a plan by which they are added.",
        "keep": "Whose students stay on disk: that of the first seed of each arm, or all.",
    },
    SeedPlan: {
        "start": "Seeds of every arm at the first look.",
        "then": "Seeds at each further look, while arms cannot be told apart.",
    },
    ResourceSpec: {
        "workers": "Processes of a trial.",
        "cpus_per_worker": "CPUs of each.",
        "gpus_per_worker": "GPUs of each; auto = one where there are some.",
        "memory_gb_per_worker": "Memory of each that is its own; a trial that takes more fails.",
        "max_failures": "Times that a trial may lose its worker.",
        "isolate": "New processes for every trial.",
        "labels": "Labels that nodes must have.",
    },
    ReportSpec: {
        "path": "Where the report goes.",
        "baseline": "The arm that others are compared with.",
        "margin": "The least difference that matters, in points or the unit of the metric.",
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One key in words.

    Attributes:
        name: As it stands in the file.
        default: Its value where the file has none; ``required`` where there is none.
        allowed: What it may be.
        help: A sentence.
    """

    name: str
    default: str
    allowed: str
    help: str


def file_key(field: str) -> str:
    """The key of a field in a file: a duration is a number of seconds only in here."""
    return field.removesuffix("_s")


def keys_of(section: str) -> tuple[Key, ...]:
    """The keys of a section, in the order of the schema.

    Args:
        section: One of `SECTIONS`.
    """
    part = SECTIONS[section]
    properties = part.model_json_schema()["properties"]
    keys = []
    for field, info in part.model_fields.items():
        name = file_key(field)
        keys.append(
            Key(
                name=name,
                default="required" if info.is_required() else _default(properties[field]),
                allowed="a duration" if name != field else _allowed(properties[field]),
                help=KEYS[part][name],
            )
        )
    return tuple(keys)


def _default(declared: Mapping[str, Any]) -> str:
    value = declared.get("default")
    if isinstance(value, dict):
        inner = ", ".join(f"{k}: {show(v)}" for k, v in value.items() if v not in (None, {}, []))
        return f"{{{inner}}}" if inner else "none"
    if isinstance(value, list):
        plain = [v for v in value if not isinstance(v, dict)]
        return f"[{', '.join(map(show, plain))}]" if plain or not value else "auto"
    return show(value) if "default" in declared else "none"


def _allowed(declared: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    options = declared.get("anyOf") or declared.get("oneOf")
    if options:
        words = [_allowed(option) for option in options]
        if "a number" in words and "a whole number" in words:
            words.remove("a whole number")
        return " ".join([" or ".join(dict.fromkeys(words)), *_bounds(declared)])
    if "enum" in declared:
        return " or ".join(show(value) for value in declared["enum"])
    if "const" in declared:
        return show(declared["const"])
    kind = {
        "integer": "a whole number", "number": "a number", "string": "text", "array": "a list",
        "boolean": "true or false", "null": "null", "object": "a mapping",
    }.get(declared.get("type", ""), "a mapping")  # fmt: skip
    return " ".join([kind, *_bounds(declared)])


def _bounds(declared: Mapping[str, Any]) -> list[str]:
    """The bounds of a JSON schema; those of a union bear the names that pydantic gives them."""
    signs = {
        "minimum": ">=", "ge": ">=", "exclusiveMinimum": ">", "gt": ">",
        "maximum": "<=", "le": "<=", "exclusiveMaximum": "<", "lt": "<",
    }  # fmt: skip
    return [f"{sign} {show(declared[key])}" for key, sign in signs.items() if key in declared]
