"""A column that says which of several teachers a row is taught by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from raykd.data.base import Examples
from raykd.data.keys import at_key
from raykd.data.table import Faults, Table
from raykd.data.teacher_columns import WANTED
from raykd.data.values import is_missing, row_name, shown

if TYPE_CHECKING:
    from raykd.data.base import Task

ROUTE = "teacher_route"
"""Field of rows: the value of the column."""
KEY = "teacher.by"


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteColumn:
    """The column, and the values that lead somewhere.

    Attributes:
        column: Its name.
        values: Every value that has a teacher.
    """

    column: str
    values: Collection[str]

    def add_to(self, rows: Examples, table: Table, split: str, task: Task) -> Examples:
        """Rows with their value of the column; those that are scored need not have one.

        Raises:
            DataError: Students learn from them, and there is no such column, or a value leads
                nowhere.
        """
        if split not in WANTED and not self._leads(table):
            return rows
        with at_key(KEY):
            routes, faults = [], Faults(table.origin)
            for row, value in enumerate(table.column(self.column, KEY)):
                name = "" if is_missing(value) else row_name(value)
                if name not in self.values:
                    what = f"column '{self.column}' holds {shown(value)}, which has no teacher"
                    hint = f"routes has {', '.join(self.values)}: add the value, or the row's"
                    faults.add("rows have no teacher", table.place(row), what, hint)
                routes.append(name)
            faults.check()
        return replace(rows, fields={**rows.fields, ROUTE: tuple(routes)})

    def _leads(self, table: Table) -> bool:
        """Whether every row has a value that leads to a teacher."""
        values = table.columns.get(self.column, ("",))
        return all(not is_missing(v) and row_name(v) in self.values for v in values)
