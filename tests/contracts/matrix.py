"""One test for many cases: it goes through all of them, and its failure names each that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

Case = dict[str, Any]


def each(check: Callable[..., None], cases: Iterable[Case]) -> None:
    """Run a check on all cases.

    Raises:
        BaseExceptionGroup: What failed, each failure with a note that says on which case.
    """
    failed: list[BaseException] = []
    for case in cases:
        try:
            check(**case)
        except (Exception, pytest.fail.Exception) as exc:
            exc.add_note(f"on {title(case)}")
            failed.append(exc)
    if failed:
        raise BaseExceptionGroup(f"{len(failed)} cases failed", failed)


def title(case: Case) -> str:
    """A case in a line."""
    given = {key: value for key, value in case.items() if key != "values"}
    options = [f"{key}-{value}" for key, value in case.get("values", {}).items()]
    name, *rest = given.values()
    return "-".join([name, *options, *map(str, rest)])


def over(
    names: Sequence[str],
    cases: Callable[[Sequence[str]], Iterable[Case]],
    *,
    together: bool = False,
) -> Callable[[Callable[..., None]], Any]:
    """A test for each of some extensions, or one for all of them.

    The check and the cases of any other extension are its attributes.
    """

    def made(check: Callable[..., None]) -> Any:
        actual = tuple(dict.fromkeys(case["name"] for case in cases(names)))
        assert actual

        if together:

            def test() -> None:
                each(check, cases(names))
        else:

            @pytest.mark.parametrize("name", actual)
            def test(name: str) -> None:
                each(check, cases((name,)))

        # Not the signature: pytest would look for fixtures named like the arguments of the check.
        test.__name__, test.__doc__ = check.__name__, check.__doc__
        test.__module__, test.__qualname__ = check.__module__, check.__qualname__
        test.cases, test.check = cases, check
        return test

    return made
