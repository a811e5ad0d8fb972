"""Checks what a description of the user's own task says for its kind: keys, columns, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from raykd.data.chat_templates import AUTO, TEMPLATES, is_template
from raykd.data.text_scores import MATCHED, user_score
from raykd.errors import SpecError
from raykd.registry import suggestion
from raykd.spec.schema import OwnTaskSpec

Problems = Iterator[tuple[str, str, str]]
"""The key, the words, and what to do."""


def kind_problems(made: OwnTaskSpec) -> Problems:
    """What does not go together with the kind of the task."""
    yield from _class_problems(made)
    yield from _text_problems(made) if made.kind == "text" else ()
    yield from _foreign_keys(made)
    yield from _metric_problems(made)


def _class_problems(made: OwnTaskSpec) -> Problems:
    """What is wrong with texts and labels."""
    name, (low, high) = f"task '{made.name}'", made.span
    if "texts" in made.KEYS[made.kind] and not made.texts:
        yield "", f"{name} needs the key 'texts'", "the column of the text: texts: [text]"
    if "labels" in made.KEYS[made.kind] and len(made.labels) < 2:
        yield "labels", f"{name} needs labels", "e.g. labels: [negative, positive]"
    if made.kind in made.WORDS and len(made.texts) > 1:
        hint = "one column of lists of words: texts: [tokens]"
        yield "texts", f"{name} reads one column of words, got {len(made.texts)}", hint
    if "span" in made.KEYS[made.kind] and made.labels:
        hint = "remove labels, or set kind: classification"
        yield "labels", f"{name} is of kind {made.kind}, which has no labels", hint
    if made.kind in made.PAIRS and len(made.texts) == 1:
        hint = "name the columns of both texts: texts: [sentence1, sentence2]"
        yield "texts", f"{name} compares two texts, and one column is named", hint
    if not low < high:
        hint = f"swap the ends: [{high}, {low}]" if high < low else "e.g. span: [1, 5]"
        yield "span", f"'span' of {name} needs low < high, got [{low}, {high}]", hint


def _text_problems(made: OwnTaskSpec) -> Problems:
    """What is wrong with the columns and the wording of a text task."""
    name = f"task '{made.name}'"
    if made.prompt is None and made.messages is None:
        hint = "prompt: COLUMN with response: COLUMN, or messages: COLUMN"
        yield "", f"{name} needs the key 'prompt' or 'messages'", hint
    if made.messages is not None:
        for key in ("prompt", "context"):
            if getattr(made, key) is not None:
                message = f"{name} has messages, which hold everything: '{key}' has no place there"
                yield key, message, f"remove {key}, or messages"
        if "{prompt}" in made.template:
            message = f"the template of {name} has a place for a prompt, and it has messages"
            yield "template", message, "a template for messages is one in Jinja, or a name"
    elif made.too_long == "oldest_turns":
        message = f"{name} has no turns: its rows are one prompt and one response"
        yield "too_long", message, "too_long: context, or drop"
    if made.messages is None and made.loss_on == "all":
        yield "loss_on", f"{name} has one response a row", "remove loss_on"
    if not is_template(made.template):
        known = [AUTO, *TEMPLATES]
        message = f"'{made.template}' is not a template"
        hint = suggestion(made.template, known) or (
            f"one of {', '.join(known)}, a file .jinja, a text with {{prompt}}, or one in Jinja"
        )
        yield "template", message, hint
    if made.context is not None and "{prompt}" in made.template and (
        "{context}" not in made.template
    ):  # fmt: skip
        hint = "write {context} where it belongs"
        yield "template", f"the template of {name} leaves out its context", hint
    yield from _pattern_problems(made, name)


def _pattern_problems(made: OwnTaskSpec, name: str) -> Problems:
    """What is wrong with the regular expression of the metric that compares captures."""
    wanted = MATCHED in (made.metric, *made.metrics)
    if wanted and not made.pattern:
        message = f"the metric '{MATCHED}' of {name} needs a pattern"
        yield "", message, r"e.g. pattern: 'answer is (-?[0-9.]+)'"
    if made.pattern and not wanted:
        message = f"'pattern' of {name} is used by no metric"
        yield "pattern", message, f"add metrics: [{MATCHED}], or remove it"
    try:
        re.compile(made.pattern)
    except re.error as exc:
        hint = "in YAML, write it in single quotes"
        yield "pattern", f"'pattern' of {name} is not a regular expression: {exc}", hint


def _foreign_keys(made: OwnTaskSpec) -> Problems:
    """Keys of another kind; what has its default value may stand in a resolved file."""
    own = made.KEYS[made.kind]
    for key in dict.fromkeys(key for keys in made.KEYS.values() for key in keys if key not in own):
        field = type(made).model_fields[key]
        if getattr(made, key) != field.get_default(call_default_factory=True):
            kinds = [kind for kind, keys in made.KEYS.items() if key in keys]
            message = f"'{key}' is not a key of a task of kind {made.kind}"
            yield key, message, f"it is one of kind: {' or '.join(kinds)}"


def _metric_problems(made: OwnTaskSpec) -> Problems:
    suited = OwnTaskSpec.SUITED[made.kind]
    for metric in made.all_metrics():
        key = "metric" if metric == made.metric else "metrics"
        if metric not in suited and made.kind == "text" and "." in metric:
            try:
                user_score(metric)
            except SpecError as exc:
                yield key, exc.message, exc.hint
        elif metric not in suited:
            yield key, f"'{metric}' is not a metric of {made.kind}", f"one of {', '.join(suited)}"
        elif metric == "f1" and len(made.labels) > 2:
            message = (
                f"'f1' is that of the second of two labels, task '{made.name}' has "
                f"{len(made.labels)}"
            )
            yield key, message, "use f1_macro, the mean over all labels"
