"""A run folder as lines of text, for where nothing but a log can be read from afar.

``python -m raykd.results.run_archive RUN`` prints it; `unpack` makes a folder of it again. Trained
students and states stay where they are: they are large, and the report needs neither.

No library of file systems (``fsspec``, ``pyarrow.fs``) is in its place, as none reaches the head of
a cluster that is closed to the world: a job's log is all that Ray's job server hands on, and a
bucket would need an account, and credentials on every machine. Wherever a sweep writes, it writes
to paths of the machine, which clusters mount; `raykd.sweep.mirror` copies them to a store.
"""

from __future__ import annotations

import base64
import binascii
import io
import sys
import tarfile
from pathlib import Path

from raykd.errors import SetupError

LEFT = ("checkpoints", "state", "ray")
"""Folders of a run that are not sent."""
BEGIN, END = "-----BEGIN RUN-----", "-----END RUN-----"
_LINE = 120


def pack(run: Path) -> str:
    """The files of a run folder, between `BEGIN` and `END`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(run.rglob("*")):
            inside = path.relative_to(run)
            if path.is_file() and inside.parts[0] not in LEFT:
                archive.add(path, arcname=str(Path(run.name) / inside))
    text = base64.b64encode(buffer.getvalue()).decode()
    lines = [text[k : k + _LINE] for k in range(0, len(text), _LINE)]
    return "\n".join([BEGIN, *lines, END])


def unpack(text: str, out: Path) -> Path:
    """Write the run folder found in a text into a folder; returns where it is.

    Raises:
        SetupError: There is none in it, it is not whole, or it cannot be written.
    """
    _, begun, rest = text.partition(BEGIN)
    body, ended, _ = rest.partition(END)
    if not begun or not ended:
        raise SetupError(
            "the cluster sent no whole run folder", hint="its last lines: " + text[-300:]
        )
    try:
        data = base64.b64decode("".join(body.split()), validate=True)
        out.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            name = Path(archive.getnames()[0]).parts[0]
            archive.extractall(out, filter="data")
    except (OSError, tarfile.TarError, binascii.Error, IndexError) as exc:
        raise SetupError(f"the run folder that the cluster sent cannot be written: {exc}") from exc
    return out / name


if __name__ == "__main__":
    print(pack(Path(sys.argv[1])))
