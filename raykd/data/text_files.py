"""Reads text files as UTF-8, packed or not, and cuts them into lines.

A line ends at a line feed and nowhere else. Python's `str.splitlines` cuts at form feeds and at
U+2028 and the like too, which are characters of texts.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from raykd.data.table import Faults
from raykd.errors import DataError

PACKED = ".gz"
_OTHERS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_NO_TEXT = (
    (b"\x1f\x8b", "a gzip file", "call it {name}.gz, or unpack it"),
    (b"PK\x03\x04", "a zip archive (or a workbook)", "unpack it, or save it as CSV"),
    (b"BZh", "a bzip2 file", "unpack it"),
    (b"\xfd7zXZ\x00", "an xz file", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it"),
    (b"PAR1", "a Parquet file", "let its name end with .parquet"),
    (b"ARROW1", "an Arrow file", "save it as Parquet"),
    (b"SQLite format 3", "a database of SQLite", "save its rows as CSV"),
)
"""How files begin that are no text, what they are, and what to do."""
_SAMPLE = 1000
_POINTER = b"version https://git-lfs"


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark; unpacked if its name ends with ``.gz``.

    Raises:
        DataError: The file cannot be read, or is not UTF-8; names the first such line.
    """
    try:
        data = path.read_bytes()
        refuse_pointer(path, data)
        if path.name.lower().endswith(PACKED):
            data = _unpacked(path, data)
    except OSError as exc:
        raise DataError(f"{path} cannot be read: {exc}") from exc
    _refuse_others(path, data)
    encoding = next((name for mark, name in _OTHERS if data.startswith(mark)), "")
    if not encoding and data[:_SAMPLE].count(0) > len(data[:_SAMPLE]) // 4:
        encoding = "UTF-16"
    if encoding:
        raise DataError(
            f"{path} is not UTF-8 but {encoding}, as it seems", hint="save the file as UTF-8"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        faults = Faults(str(path))
        for line, part in enumerate(data.split(b"\n"), start=1):
            try:
                part.decode("utf-8")
            except UnicodeDecodeError as exc:
                what = f"the byte 0x{part[exc.start]:02x} is not UTF-8"
                hint = "save the file as UTF-8; it may be Latin-1 or Windows-1252 now"
                faults.add("lines are not UTF-8", f"line {line}", what, hint)
        faults.check()
        raise


def _unpacked(path: Path, data: bytes) -> bytes:
    """What a file packed with gzip holds."""
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error) as exc:
        hint = "it is cut off or damaged: fetch it again"
        raise DataError(f"{path} cannot be read: {exc}", hint=hint) from exc
    except gzip.BadGzipFile as exc:
        hint = f"if it is not packed, call it {path.name[: -len(PACKED)]}"
        raise DataError(f"{path} cannot be read: {exc}", hint=hint) from exc


def _refuse_others(path: Path, data: bytes) -> None:
    """Refuse a file that begins as those of another kind do.

    Raises:
        DataError: It does.
    """
    for mark, what, step in _NO_TEXT:
        if data.startswith(mark):
            raise DataError(f"{path} is {what}, not text", hint=step.format(name=path.name))


def refuse_pointer(path: Path, data: bytes) -> None:
    """Refuse a file that git-lfs left in place of another one.

    Args:
        path: The file.
        data: How it begins.

    Raises:
        DataError: It is such a file.
    """
    if data.startswith(_POINTER):
        raise DataError(
            f"{path} is a pointer of git-lfs, not the file itself", hint="fetch it: git lfs pull"
        )


def lines_of(text: str) -> list[str]:
    """The lines of a text; they end with a line feed, or with one after a carriage return.

    Files with carriage returns only are cut there.
    """
    end = "\r" if "\r" in text and "\n" not in text else "\n"
    lines = [line.removesuffix("\r") for line in text.split(end)]
    return lines[:-1] if lines[-1] == "" else lines
