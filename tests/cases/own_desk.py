"""What somebody has on disk: a file with everything that is odd in files, and a teacher."""

from __future__ import annotations

from pathlib import Path

from tests.cases.model_folders import BAD, GOOD, WORDS, write_encoder

NAMES = ("pos", "neg", "so so, or worse")


def write_desk(folder: Path) -> None:
    """Write ``my reviews.csv``, of 151 rows, and a fine-tuned ``teacher``."""
    lines = ["id;text;verdict"]
    for k in range(150):
        word, name = [(GOOD, "pos"), (BAD, "neg"), (WORDS[5:6], NAMES[2])][k % 3]
        text = f'"the film\u2028was ""{word[k % len(word)]}""; {k}\nor so"'
        lines.append(f'{k};{text};"{name}"')
    lines.append(f'150;"the film{" was" * 40_000}";pos')  # a cell of any length
    (folder / "my reviews.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    write_encoder(
        folder / "teacher",
        num_labels=3,
        id2label=dict(enumerate(NAMES)),
        label2id={name: k for k, name in enumerate(NAMES)},
    )
