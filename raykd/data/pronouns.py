"""Finds the pronoun that a row of the Winograd schema challenge asks for, by its word's number."""

from __future__ import annotations

from raykd.data import columns
from raykd.data.table import Table
from raykd.errors import DataError


def marked_pronouns(table: Table) -> list[str]:
    """The texts with their pronoun between asterisks.

    Raises:
        DataError: ``span2_index`` is no word of the text; names the first row.
    """
    marked = []
    for row, (text, at, pronoun) in enumerate(
        zip(
            columns.texts(table, "text"),
            table.column("span2_index"),
            columns.texts(table, "span2_text"),
            strict=True,
        )
    ):
        words, long = text.split(), len(pronoun.split())
        if not isinstance(at, int) or not 0 <= at <= len(words) - long:
            raise DataError(
                f"{table.origin}: row {row}: span2_index is {at!r}, "
                f"but the text has {len(words)} words",
                hint="remove or repair that row",
            )
        inside = ["*", *words[at : at + long], "*"]
        marked.append(" ".join([*words[:at], *inside, *words[at + long :]]))
    return marked
