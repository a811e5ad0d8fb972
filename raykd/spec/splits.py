"""Checks that the validation and the test split leave rows to each other."""

from __future__ import annotations

from raykd.errors import Problem
from raykd.spec.schema import DataSpec


def split_problems(data: DataSpec) -> list[Problem]:
    """Problems where a role would have no rows of its own.

    Validation and test may both be the whole of one split, which is a caveat in the report.
    Where one has a part of a split and the other one names all of it, that one has the rest.
    """
    return [
        Problem(
            path=f"data.{key}",
            message=f"'{key}' is all of train, which is trained on: {why}",
            hint="take a part, which is then not trained on: "
            f"{key}: {{split: train, fraction: 0.1}}",
        )
        for key, ref, why in (
            ("select_on", data.select_on, "the search would prefer what learns rows by heart"),
            ("report_on", data.report_on, "the result would be that of rows learnt by heart"),
        )
        if ref.split == "train" and ref.fraction is None
    ]
