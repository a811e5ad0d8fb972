"""Classification and regression that a search space describes itself: columns and labels."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.data.classification import TextClassification
from raykd.data.user_rows import UserRows


@dataclass(frozen=True, kw_only=True)
class OwnTask(UserRows, TextClassification):
    """Texts and labels in columns that the user names."""
