"""What somebody has on disk: files with everything that is odd in files, and a teacher."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.cases.model_folders import BAD, GOOD, WORDS, write_encoder

NAMES = ("pos", "neg", "so so, or worse", "never again")
INTENTS = 152
"""Classes of the intents, which are numbers from 1 on."""


def write_desk(folder: Path) -> None:
    """Write ``my reviews.csv``, of 152 rows, and a fine-tuned ``teacher``."""
    rows = []
    for k in range(150):
        word, name = [(GOOD, "pos"), (BAD, "neg"), (WORDS[5:6], NAMES[2])][k % 3]
        rows.append((f"{_quoted(word[k % len(word)], k)}", f'"{name}"'))
    rows.append((f'"the film{" was" * 40_000}"', "pos"))  # a cell of any length
    rows.append(('"the film ends"', NAMES[3]))  # a class of one row
    write_csv(folder / "my reviews.csv", "id;text;verdict",
              (f"{k};{text};{name}" for k, (text, name) in enumerate(rows)))  # fmt: skip
    write_encoder(
        folder / "teacher",
        num_labels=len(NAMES),
        id2label=dict(enumerate(NAMES)),
        label2id={name: k for k, name in enumerate(NAMES)},
    )


def write_intents(folder: Path) -> None:
    """Write ``my intents``, a folder with a file for each split, whose classes count from 1.

    151 occurs once, in train; 152 in test only; and three rows of train are in dev, too.
    """
    train = [(k, 1 + k % 150) for k in range(300)] + [(300, 151)]
    splits = {
        "train": train,
        "dev": train[:3] + [(1000 + k, 1 + k % 150) for k in range(150)],
        "test": [(2000 + k, 1 + k % 150) for k in range(150)] + [(3000, INTENTS)],
    }
    (folder / "my intents").mkdir()
    for split, rows in splits.items():
        write_csv(folder / "my intents" / f"{split}.csv", "question;intent",
                  (f"{_quoted((GOOD + BAD)[k % 10], k)};{label}" for k, label in rows))  # fmt: skip


def write_flags(folder: Path) -> None:
    """Write ``flags``, a folder of JSON lines whose labels are truth values."""
    (folder / "flags").mkdir()
    for split, first in (("train", 0), ("dev", 38)):
        rows = [{"text": f"the film {k}", "spam": k % 3 == 0} for k in range(first, first + 40)]
        (folder / "flags" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def write_csv(file: Path, header: str, lines: Iterable[str]) -> None:
    """Lines as spreadsheets write them: UTF-8 with a mark, and two characters at their ends."""
    file.write_bytes("\r\n".join([header, *lines]).encode("utf-8-sig"))


def _quoted(word: str, number: int) -> str:
    """A text with quotes, the separator, and two kinds of line ends in it."""
    return f'"the film\u2028was ""{word}""; {number}\nor so"'
