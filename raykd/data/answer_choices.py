"""Columns of rows whose response is one of several answer choices.

Axes: N row, C most choices of a row.
"""

from __future__ import annotations

CHOICE_TOKENS = "choice_tokens"
"""int64 ``[N, C]``, the token of each answer choice at the place in a response where the choices of
its row differ first; `raykd.data.base.NO_LABEL` where a row has fewer choices."""
CHOICE_POSITION = "choice_position"
"""int64 ``[N]``, that place: which token of the response it is, from 0."""
