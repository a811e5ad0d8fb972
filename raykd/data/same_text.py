"""Where two tokenizations of one response hold the same text.

Tokenizers do not keep all of a text: one has no token for a brace, another makes one blank of
several, or a plain letter of a wide one. What both have kept is found here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

NOTHING = "\u0100"
"""The letter for a token that stands for nothing, such as one that ends a text."""
UNKNOWN = "\u0101"
"""The letter for a token of which nobody knows what it stands for; it is equal to no other."""
LEAST = 3
"""So many letters, or those up to where an unknown token or the end follows, are the same text."""

Texts = Sequence[bytes | None]
"""What each token of a response stands for; None for the token for whatever a tokenizer lacks."""
Block = tuple[int, int, int]
"""Where the same text begins in both texts, and how many letters it has."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The tokens of a response as one row of letters, one a byte.

    A blank before the response counts for nothing: some tokenizers put one before every text.

    Attributes:
        texts: What each token stands for.
        letters: All of them.
        borders: Where tokens begin: which of them, the last of several. The end is their number.
    """

    texts: Texts
    letters: str = field(init=False)
    borders: Mapping[int, int] = field(init=False)

    def __post_init__(self) -> None:
        parts = [_letters(text) for text in self.texts]
        blank = 1 if parts and parts[0].startswith(" ") else 0
        ends = [max(0, at - blank) for at in accumulate(map(len, parts))]
        object.__setattr__(self, "letters", "".join(parts)[blank:])
        object.__setattr__(self, "borders", {at: k for k, at in enumerate((0, *ends))})


def _letters(text: bytes | None) -> str:
    if text is None:
        return UNKNOWN
    return text.decode("latin-1") or NOTHING


def same_text(own: Reading, other: Reading) -> list[Block]:
    """The runs of letters that both texts hold, in order; one where both hold the same.

    Where they part, they are taken up again at the nearest place from which both agree. The time
    grows with the letters, and with the square of those left out at one place.
    """
    blocks, one, two = [], 0, 0
    while True:
        size = _agreeing(own.letters, one, other.letters, two)
        after = _next(own.letters, one + size, other.letters, two + size)
        if after is not None:
            # Of several blanks the last goes with what follows: tokens begin with it.
            while min(after[0] - one, after[1] - two) > 0 and (
                own.letters[after[0] - 1] == other.letters[after[1] - 1] == " "
            ):
                after = after[0] - 1, after[1] - 1
            size = min(size, after[0] - one, after[1] - two)
        if size:
            blocks.append((one, two, size))
        if after is None:
            return blocks
        one, two = after


def _agreeing(own: str, one: int, other: str, two: int) -> int:
    """How many letters are equal from there on."""
    most, size, step = min(len(own) - one, len(other) - two), 0, 64
    while size < most and step:
        a, b = (text[at + size : at + min(size + step, most)]
                for text, at in ((own, one), (other, two)))  # fmt: skip
        if a != b:
            step //= 2
        elif UNKNOWN in a:
            most = size + a.index(UNKNOWN)
        else:
            size += len(a)
    return size


def _next(own: str, one: int, other: str, two: int) -> tuple[int, int] | None:
    """The place after these where both agree again, with the fewest letters left out."""
    nearest = None
    limit = len(own) - one + len(other) - two
    for text, at, within, begin, swapped in (
        (own, one, other, two, False),
        (other, two, own, one, True),
    ):
        for skipped in range(len(text) - at):
            if skipped >= limit:
                break
            start = at + skipped
            sought = text[start : start + LEAST].partition(UNKNOWN)[0]
            hit = within.find(sought, begin, begin + limit - skipped - 1 + len(sought))
            if sought and hit >= 0:
                limit = skipped + hit - begin
                nearest = (hit, start) if swapped else (start, hit)
    return nearest
