"""Saves the random state of a sampler: a resumed search draws what an uninterrupted one would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from raykd.errors import SetupError
from raykd.search.optuna_private import is_lazy_generator
from raykd.whole_file import whole_file

Generator = np.random.RandomState | np.random.Generator


class SamplerState:
    """The state of a sampler's random generators after its last suggestion, in a file.

    Without it, or where it belongs to another number of trials, a resumed search draws from a seed
    of its own.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, sampler: optuna.samplers.BaseSampler, drawn: int) -> None:
        """Save the random state after so many trials; where that fails, the one before stays.

        Raises:
            SetupError: The disk is full or the file cannot be written. A search that continued
                would be another one once it is resumed.
        """
        plain = {"drawn": drawn, "generators": {k: _state(g) for k, g in _generators(sampler)}}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path, durable=False) as part:
                part.write_text(json.dumps(plain), encoding="utf-8")
        except OSError as exc:
            raise SetupError.not_written(self._path, exc) from exc

    def restore(self, sampler: optuna.samplers.BaseSampler, drawn: int) -> int | None:
        """Restore the random state of a new sampler.

        Args:
            sampler: The sampler.
            drawn: Trials whose parameters are drawn; a driver may have died in the last of them.

        Returns:
            After how many trials the state is from, `drawn` or one less; None: it was not restored.
        """
        generators = dict(_generators(sampler))
        try:
            plain = json.loads(self._path.read_text(encoding="utf-8"))
            after = plain["drawn"]
            if after not in (drawn, drawn - 1) or set(plain["generators"]) != set(generators):
                return None
            for name, generator in generators.items():
                _restore(generator, plain["generators"][name])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return int(after)


def _generators(owner: object, name: str = "", depth: int = 3) -> Iterator[tuple[str, Generator]]:
    """The generators that an object holds, and those of what it holds, by their attributes."""
    for attribute, value in sorted(getattr(owner, "__dict__", {}).items()):
        place = f"{name}.{attribute}"
        if isinstance(value, Generator):
            yield place, value
        elif depth and _may_hold_generators(value):
            yield from _generators(_woken(value), place, depth - 1)


def _may_hold_generators(value: object) -> bool:
    return isinstance(value, optuna.samplers.BaseSampler) or is_lazy_generator(value)


def _woken(value: object) -> object:
    """Optuna makes a generator when it is first used; from then on it is an attribute."""
    if is_lazy_generator(value):
        _ = value.rng
    return value


def _state(generator: Generator) -> Any:  # plain data
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state(legacy=False))
    return _plain(generator.bit_generator.state)


def _restore(generator: Generator, state: Any) -> None:
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
