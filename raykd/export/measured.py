"""What was measured of an exported student: how large it is, how long it takes, its graphs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TIMED = (1, 64)
"""Rows and tokens of the text that is timed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFile:
    """One graph, and how it does next to the student.

    Attributes:
        name: Its place in the folder.
        size: Bytes.
        difference: Largest difference of an output from the student's, by its largest output.
        same: Share of texts, or tokens, of which the class is the student's; of vectors, the least
            cosine with the student's.
        ms: Median time of a text of `TIMED` tokens, milliseconds.
    """

    name: str
    size: int
    difference: float
    same: float
    ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What an export measured.

    Attributes:
        ms: Median time of a text of `TIMED` tokens in PyTorch on the CPU, milliseconds.
        files: The graphs that were written.
        texts: How many texts of random tokens they were compared on.
        of_vectors: Whether the student makes vectors of texts.
    """

    ms: float
    files: tuple[OnnxFile, ...] = ()
    texts: int = 0
    of_vectors: bool = False


def size_of(folder: Path) -> int:
    """Bytes of the weights of a student."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
