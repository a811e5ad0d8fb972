"""Nearest words among word vectors in GloVe's text format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raykd.data.base import Array
from raykd.data.folder_reader import user_path
from raykd.errors import DataError

MOST_WORDS = 100_000
"""Words that are read from the beginning of a file, which is sorted by frequency."""
_AT_ONCE = 256


class WordVectors:
    """Words that are near a word by the cosine of their vectors.

    Args:
        path: One word and its numbers a line, separated by spaces.
        count: Words for each place.

    Raises:
        DataError: There is no such file, or a line has another number of numbers than the first.
    """

    def __init__(self, path: str, count: int) -> None:
        self._count = count
        self._words, vectors = _read(user_path(path))
        self._places = {word: k for k, word in enumerate(self._words)}
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._unit = vectors / np.maximum(norms, 1e-12)

    def candidates(self, places: Sequence[tuple[tuple[str, ...], int]]) -> Sequence[Sequence[str]]:
        """Near words for each place; none for words without a vector."""
        wanted = list(dict.fromkeys(words[k] for words, k in places if words[k] in self._places))
        near: dict[str, list[str]] = {}
        for begin in range(0, len(wanted), _AT_ONCE):
            part = wanted[begin : begin + _AT_ONCE]
            rows = np.array([self._places[word] for word in part])
            similar = self._unit[rows] @ self._unit.T
            similar[np.arange(len(rows)), rows] = -np.inf  # a word is no neighbour of itself
            count = min(self._count, len(self._words) - 1)
            best = np.argsort(-similar, axis=1, kind="stable")[:, :count]
            near |= {w: [self._words[k] for k in b] for w, b in zip(part, best, strict=True)}
        return [near.get(words[k], []) for words, k in places]


def _read(path: Path) -> tuple[list[str], Array]:
    words: list[str] = []
    vectors: list[Array] = []
    try:
        # Lines end with a line feed only: words may be other white space.
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            for line, text in enumerate(lines, start=1):
                word, *numbers = text.rstrip().split(" ")
                vector = _vector(path, line, numbers)
                if vectors and len(vector) != len(vectors[0]):
                    raise DataError(
                        f"{path} line {line}: has {len(vector)} numbers, "
                        f"the first one has {len(vectors[0])}",
                        hint="word vectors are one word and its numbers a line (GloVe's format)",
                    )
                words.append(word)
                vectors.append(vector)
                if len(words) == MOST_WORDS:
                    break
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path} is not a file of word vectors: {exc}") from exc
    if len(words) < 2 or not len(vectors[0]):
        raise DataError(f"{path} holds no word vectors")
    return words, np.stack(vectors)


def _vector(path: Path, line: int, numbers: list[str]) -> Array:
    try:
        return np.array(numbers, np.float32)
    except ValueError as exc:
        raise DataError(f"{path} line {line}: no word and its numbers: {exc}") from exc
