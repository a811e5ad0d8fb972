"""Semantic textual similarity: texts are read one by one, and compared by their vectors."""

from __future__ import annotations

from raykd.data.tasks.glue import TASK as GLUE
from raykd.data.text_pairs import TextPairs

_STSB = GLUE["stsb"]

TASK = {
    "stsb": TextPairs(
        name="sts/stsb",
        about="How similar are two sentences by their vectors? The rows of glue/stsb.",
        texts=("sentence1", "sentence2"),
        span=(0.0, 5.0),
        metric="spearman",
        metrics=("spearman", "pearson"),
        hub=_STSB.hub,
        tsv=_STSB.tsv,
        folder=_STSB.name,
    )
}
