"""What a template must state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from raykd.data.table import Table
from raykd.data.text_generation import Example


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """How the rows of a data set are put into words.

    Attributes:
        about: What is asked, in one sentence.
        read: Prompts with answer choices from raw columns, the right choice as the response.
    """

    about: str
    read: Callable[[Table], Iterator[Example]]
