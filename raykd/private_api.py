"""Names of a library that are not public API, and one error where a version of it lacks some.

A new version of a library may move or rename them. What raykd uses of one library is listed in one
file (`raykd.ray_private`, `raykd.search.optuna_private`, `raykd.models.transformers_private`), and
looked for before it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from raykd.errors import SetupError


@dataclass(frozen=True, slots=True)
class PrivateName:
    """A private part of a library.

    Attributes:
        module: Where it is defined.
        name: Its name there, dotted for a method.
        purpose: What raykd needs it for.
    """

    module: str
    name: str
    purpose: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name} ({self.purpose})"

    def find(self) -> Any:  # a function, a class or a table of the library
        """The part.

        Raises:
            ImportError: The library has no such module.
            AttributeError: The module has nothing of that name.
        """
        return self._below(self.name.split("."))

    @contextmanager
    def replaced(self, value: Any) -> Iterator[None]:
        """In the block, something else is in the place of the part.

        Args:
            value: What.

        Raises:
            ImportError: The library has no such module.
            AttributeError: The module has nothing of that name.
        """
        *path, name = self.name.split(".")
        owner, given = self._below(path), self.find()
        setattr(owner, name, value)
        try:
            yield
        finally:
            setattr(owner, name, given)

    def _below(self, path: Iterable[str]) -> Any:
        value: Any = importlib.import_module(self.module)
        for name in path:
            value = getattr(value, name)
        return value


@dataclass(frozen=True, slots=True)
class Library:
    """A library that raykd uses private parts of.

    Attributes:
        package: What it is installed as.
        title: What it calls itself.
        tested: The version that the test suite passes with, without the last number.
    """

    package: str
    title: str
    tested: str

    def require(self, parts: Iterable[PrivateName]) -> None:
        """Check that the installed version has the parts.

        Raises:
            SetupError: Names the version and every part that is missing.
        """
        missing = []
        for part in parts:
            try:
                part.find()
            except (ImportError, AttributeError):
                missing.append(str(part))
        if missing:
            raise self.lacks(*missing)

    def lacks(self, *missing: object) -> SetupError:
        """The error that says what the installed version has not."""
        return SetupError(
            f"raykd does not work with {self.title} {metadata.version(self.package)}, which lacks "
            f"{'; '.join(map(str, missing))}",
            hint="install a version that raykd was tested with: "
            f"pip install '{self.package}=={self.tested}.*'",
        )
