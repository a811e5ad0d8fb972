"""What all sections of a search-space file are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = int | float
LARGEST_SEED = 2**32 - 1
"""What every generator takes as a seed: Python's, NumPy's, PyTorch's."""

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


class SpecSection(BaseModel):
    """Base of every part: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True
    )
