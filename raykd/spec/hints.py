"""Hints for error messages: the right form of a value, the key that was probably meant."""

from __future__ import annotations

import re
from collections.abc import Collection

from raykd.registry import suggestion
from raykd.spec.scalars import resolve
from raykd.spec.schema import DataSpec, StudentSpec, TeacherSpec
from raykd.spec.schema_stages import ConfirmSpec, ReportSpec, ResourceSpec, SearchSpec
from raykd.spec.yaml_nodes import YamlNode
from raykd.training.settings import TrainSettings

_FORMS = {
    "teacher": "{checkpoint: my-teacher}, or {model: bert-base-uncased} to fine-tune it here",
    "student": "{from_teacher: {layers: [0, 2]}}, or {model: a name or folder}",
    "train": "{epochs: 3, lr: 5e-5}",
    "methods": "{kd: {}, ckd: {}}",
    "data": "{max_length: 128}",
    "select_on": "{split: train, fraction: 0.1}",
    "report_on": "{split: validation}",
    "augment": "{model: bert-base-uncased}",
    "rationales": "{source: data}",
    "outputs": "{probabilities: COLUMN}, or {responses: COLUMN, path: answers.jsonl}",
    "finetune": "{epochs: 3, lr: 2e-5}",
    "from_teacher": "{layers: [0, 2]}",
    "search": "{algorithm: tpe, trials: 20}",
    "confirm": "{seeds: [1, 2, 3]}",
    "resources": "{gpus_per_worker: 1}",
    "labels": "{market-type: on-demand}",
    "report": "{path: reports/{name}.html, baseline: kd}",
    "splits": "{validation: dev}",
    "sources": "[{path: a.csv, weight: 2}, {path: b.csv}]",
    "span": "[0, 5]",
    "seeds": "[1, 2, 3]",
}
"""A right value of every key that takes a mapping, or a list of numbers."""

_ELSEWHERE: dict[str, tuple[str, str]] = {
    "learning_rate": ("lr", ""),
    "num_train_epochs": ("epochs", ""),
    "num_epochs": ("epochs", ""),
    "per_device_train_batch_size": ("batch_size", "it counts the rows of all workers together"),
    "train_batch_size": ("batch_size", ""),
    "per_device_eval_batch_size": ("eval_batch_size", ""),
    "per_device_micro_batch_size": ("micro_batch", ""),
    "micro_batch_size": ("micro_batch", ""),
    "gradient_accumulation_steps": (
        "micro_batch", "it is the rows of a pass on a worker; batch_size is those of a step",
    ),
    "fp16": ("precision", "it is auto, fp32 or bf16"),
    "bf16": ("precision", "precision: bf16"),
    "amp": ("precision", "it is auto, fp32 or bf16"),
    "lr_scheduler": ("schedule", ""),
    "lr_scheduler_type": ("schedule", ""),
    "scheduler": ("schedule", ""),
    "warmup_steps": ("warmup_ratio", "it is a share of the steps"),
    "warmup": ("warmup_ratio", "it is a share of the steps"),
    "clip_grad_norm": ("max_grad_norm", ""),
    "gradient_clip_val": ("max_grad_norm", ""),
    "eval_steps": ("evals_per_epoch", ""),
    "group_by_length": ("length_grouping", ""),
    "optim": ("optimizer", ""),
    "attn_implementation": ("attention", ""),
    "activation_checkpointing": ("gradient_checkpointing", ""),
    "torch_compile": ("compile", ""),
    "padding_free": ("packing", ""),
    "fsdp": ("sharding", "sharding: full"),
    "deepspeed": ("sharding", "sharding: full"),
    "max_seq_length": ("max_length", ""),
    "num_trials": ("trials", ""),
    "n_trials": ("trials", ""),
    "num_samples": ("trials", ""),
    "timeout": ("time_budget", ""),
    "sampler": ("algorithm", ""),
    "pruner": ("scheduler", ""),
    "num_workers": ("workers", ""),
    "gpus": ("gpus_per_worker", ""),
    "cpus": ("cpus_per_worker", ""),
    "report_to": ("loggers", ""),
    "logging": ("loggers", ""),
    "logging_steps": ("log_every", ""),
}  # fmt: skip
"""Names that other programs give a key: its name here, and what to know of it."""


_ALMOST = re.compile(
    r"(?P<number>[+-]?[0-9]+(?:[.,][0-9]+)?)(?P<power> ?[eE] ?[+-]? ?[0-9]{1,3})?(?P<percent> ?%)?"
)
"""A number as it is written elsewhere."""
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}$")


def form_of(key: str) -> str:
    """An example of a key that takes a mapping, or an empty string."""
    return f"for example {key}: {_FORMS[key]}" if key in _FORMS else ""


def key_hint(key: str, known: Collection[str], entries: Collection[str], section: str) -> str:
    """What an unknown key was probably meant to be.

    Args:
        key: The key.
        known: Keys that the section may have.
        entries: Keys that it has.
        section: Its path, empty for the file as a whole.
    """
    meant, remark = _ELSEWHERE.get(key, ("", ""))
    if meant in known:
        return f"did you mean '{meant}'?" + (f" {remark}" if remark else "")
    homes = [home for home in _homes(key) if home != section]
    if homes:
        return f"'{key}' is a key of {' and of '.join(home or 'the file itself' for home in homes)}"
    others = sorted({name for name in known if name not in entries})
    return suggestion(key, sorted(known)) or f"known keys: {', '.join(others)}"


def _homes(key: str) -> list[str]:
    """The sections that have a key of that name; empty for the file as a whole."""
    fields: dict[str, Collection[str]] = {
        "data": DataSpec.model_fields, "teacher": TeacherSpec.model_fields,
        "student": StudentSpec.model_fields, "train": TrainSettings.__dataclass_fields__,
        "search": {field.removesuffix("_s") for field in SearchSpec.model_fields},
        "confirm": ConfirmSpec.model_fields, "resources": ResourceSpec.model_fields,
        "report": ReportSpec.model_fields, "": ("loggers", "log_every"),
    }  # fmt: skip
    return [section for section, names in fields.items() if key in names]


def _meant(text: str) -> str:
    """The number that a text means with a comma, a percent sign, or blanks in it; else empty."""
    match = _ALMOST.fullmatch(text.strip())
    if match is None:
        return ""
    if _THOUSANDS.match(match["number"]):
        return ""  # 1,000 is one number here and another there
    number = match["number"].replace(",", ".") + (match["power"] or "").replace(" ", "")
    if match["percent"]:
        return f"{float(number) / 100:.12g}"
    return number if number != text.strip() else ""


def value_hint(node: YamlNode, *, wants_text: bool = False) -> str:
    """How to write a scalar so that it is a number, or text."""
    if wants_text and node.is_scalar and not isinstance(node.value, str):
        return f'quote it: "{node.text}"' if node.text else ""
    if isinstance(node.value, str) and not wants_text and (number := _meant(node.value)):
        return f"write {number}"
    if not isinstance(node.value, str) or not node.quoted:
        return ""
    value, wrong = resolve(node.value)
    return "" if wrong or isinstance(value, str) or value is None else "remove the quotes"
