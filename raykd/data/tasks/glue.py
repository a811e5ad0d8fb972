"""The nine tasks of GLUE (Wang et al., 2019, https://arxiv.org/abs/1804.07461).

Each is one row: texts, labels, metrics, and its place in the GLUE script's folders. The metric that
decides is the benchmark's own; where it names two, the one that papers on distillation report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raykd.data.classification import TextClassification
from raykd.data.kinds.regression import KIND as REGRESSION
from raykd.data.readers import TsvLayout

_PAIR = ("sentence1", "sentence2")


def _tsv(*folders: str, **layout: Any) -> TsvLayout:
    return TsvLayout(folders=folders, **layout)


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_TASKS = (
    TextClassification(
        name="glue/cola",
        about="Is an English sentence grammatically acceptable?",
        texts=("sentence",),
        labels=("unacceptable", "acceptable"),
        metric="matthews",
        metrics=("matthews", "accuracy"),
        hub=("nyu-mll/glue", "cola"),
        tsv=_tsv(
            "CoLA",
            "COLA",
            columns=_same("sentence", "label"),
            header=("source", "label", "mark", "sentence"),
        ),
    ),
    TextClassification(
        name="glue/sst2",
        about="Is a sentence of a film review negative or positive?",
        texts=("sentence",),
        labels=("negative", "positive"),
        metric="accuracy",
        metrics=("accuracy",),
        hub=("nyu-mll/glue", "sst2"),
        tsv=_tsv("SST-2", columns=_same("sentence", "label")),
    ),
    TextClassification(
        name="glue/mrpc",
        about="Do two sentences from the news say the same?",
        texts=_PAIR,
        labels=("not_equivalent", "equivalent"),
        metric="f1",
        metrics=("f1", "accuracy"),
        hub=("nyu-mll/glue", "mrpc"),
        tsv=_tsv(
            "MRPC",
            columns={"sentence1": "#1 String", "sentence2": "#2 String", "label": "Quality"},
        ),
    ),
    TextClassification(
        name="glue/qqp",
        about="Do two questions from Quora ask the same?",
        texts=("question1", "question2"),
        labels=("not_duplicate", "duplicate"),
        metric="f1",
        metrics=("f1", "accuracy"),
        hub=("nyu-mll/glue", "qqp"),
        tsv=_tsv("QQP", columns=_same("question1", "question2") | {"label": "is_duplicate"}),
    ),
    TextClassification(
        name="glue/stsb",
        about="How similar are two sentences, from 0 to 5?",
        texts=_PAIR,
        kind=REGRESSION.name,
        span=(0.0, 5.0),
        metric="spearman",
        metrics=("spearman", "pearson"),
        hub=("nyu-mll/glue", "stsb"),
        tsv=_tsv("STS-B", columns=_same(*_PAIR) | {"label": "score"}),
    ),
    TextClassification(
        name="glue/mnli",
        about="Does a premise entail a hypothesis, contradict it, or neither?",
        texts=("premise", "hypothesis"),
        labels=("entailment", "neutral", "contradiction"),
        metric="accuracy",
        metrics=("accuracy",),
        hub=("nyu-mll/glue", "mnli"),
        hub_splits={
            "train": "train",
            "validation": "validation_matched",
            "validation_mismatched": "validation_mismatched",
        },
        extra_eval_splits={"mismatched": "validation_mismatched"},
        tsv=_tsv(
            "MNLI",
            columns={"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"},
            files={
                "train": "train",
                "validation": "dev_matched",
                "validation_mismatched": "dev_mismatched",
            },
        ),
    ),
    TextClassification(
        name="glue/qnli",
        about="Does a sentence from Wikipedia answer a question?",
        texts=("question", "sentence"),
        labels=("entailment", "not_entailment"),
        metric="accuracy",
        metrics=("accuracy",),
        hub=("nyu-mll/glue", "qnli"),
        tsv=_tsv("QNLI", columns=_same("question", "sentence", "label")),
    ),
    TextClassification(
        name="glue/rte",
        about="Does a text entail a hypothesis? Small: 2,490 rows.",
        texts=_PAIR,
        labels=("entailment", "not_entailment"),
        metric="accuracy",
        metrics=("accuracy",),
        hub=("nyu-mll/glue", "rte"),
        tsv=_tsv("RTE", columns=_same(*_PAIR, "label")),
    ),
    TextClassification(
        name="glue/wnli",
        about="Is a pronoun resolved right? Its validation rows contradict its train rows.",
        texts=_PAIR,
        labels=("not_entailment", "entailment"),
        metric="accuracy",
        metrics=("accuracy",),
        hub=("nyu-mll/glue", "wnli"),
        tsv=_tsv("WNLI", columns=_same(*_PAIR, "label")),
    ),
)

TASK: Mapping[str, TextClassification] = {task.name.removeprefix("glue/"): task for task in _TASKS}
