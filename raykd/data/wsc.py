"""Winograd schema challenge: marks the pronoun of a row, given by the number of its word."""

from __future__ import annotations

from raykd.data import columns
from raykd.data.table import Faults, Table
from raykd.data.values import shown, whole


def marked_pronouns(table: Table) -> list[str]:
    """The texts with their pronoun between asterisks.

    Raises:
        DataError: ``span2_index`` is no word of the text; says in how many rows, and the first.
    """
    texts = []
    faults = Faults(table.origin)
    rows = zip(
        columns.texts(table, "text"),
        table.column("span2_index"),
        columns.texts(table, "span2_text"),
        strict=True,
    )
    for row, (text, number, pronoun) in enumerate(rows):
        words, long, at = text.split(), len(pronoun.split()), whole(number)
        if at is None or not 0 <= at <= len(words) - long:
            what = f"span2_index is {shown(number)}, but the text has {len(words)} words"
            kind = "rows have a span2_index outside of their text"
            faults.add(kind, table.place(row), what, "repair or remove them")
        else:
            inside = ["*", *words[at : at + long], "*"]
            texts.append(" ".join([*words[:at], *inside, *words[at + long :]]))
    faults.check()
    return texts
