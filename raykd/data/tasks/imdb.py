"""IMDB film reviews (Maas et al., 2011, https://aclanthology.org/P11-1015): long texts.

The data set has no validation split: hold one out from train for the search, and report on test.
"""

from __future__ import annotations

from raykd.data.classification import TextClassification

TASK = TextClassification(
    name="imdb",
    about="Is a film review negative or positive? Long texts; splits train and test.",
    texts=("text",),
    labels=("neg", "pos"),
    metric="accuracy",
    metrics=("accuracy",),
    hub=("stanfordnlp/imdb", "plain_text"),
    hub_splits={"train": "train", "test": "test"},
)
