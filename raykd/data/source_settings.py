"""Where the rows of a sweep come from, as far as readers need to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raykd.data.route_column import RouteColumn
    from raykd.data.teacher_columns import TeacherColumns


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSettings:
    """Where rows come from; the ``data`` part of the search space that readers need.

    Attributes:
        root: Folder that holds ``<task>/<split>.parquet`` (or ``.csv``, ``.jsonl``, ...) or the
            GLUE script's folders; None = hub.
        limit: Most rows per split, None = all. Taken from a seeded shuffle.
        seed: Seeds generated data, holding out and sampling of rows.
        teacher: Where a teacher's outputs stand that are read next to the rows, or which teacher
            each row has; None: nowhere.
    """

    root: str | None = None
    limit: int | None = None
    seed: int = 0
    teacher: TeacherColumns | RouteColumn | None = None
