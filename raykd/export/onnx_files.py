"""Writes a student as ONNX, whole and with weights of 8 bits, and measures what that changes.

The graph is torch's own; optimum, which many use for this, takes no Transformers from version 5 on.
What is written is run next to the student before it is given on: a graph that computes something
else is refused.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from raykd.errors import SetupError, SpecError
from raykd.export.measured import TIMED, Measured, OnnxFile
from raykd.export.opened import (
    OpenedStudent,
    class_of,
    makes_vectors,
    median_ms,
    quiet,
    refuse_adapter,
)

FOLDER = "onnx"
WHOLE, SMALL = "model.onnx", "model_int8.onnx"
VECTORS = "sentence_embedding"
"""What Sentence Transformers calls the vectors of texts in a graph."""
HEADS = ("ForSequenceClassification", "ForTokenClassification")
"""What the classes of models end with whose graph is one pass over a text."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-3
"""Largest difference of outputs, by the largest of them, up to which a graph is the student's."""
SHAPES = ((1, 7), (3, 24), (2, 16), (8, 64))
"""Rows and tokens of the texts that are compared; none is the one that the graph was made with."""


def names(*, int8: bool) -> tuple[str, ...]:
    """The files that `write_onnx` writes."""
    return tuple(f"{FOLDER}/{name}" for name in ((WHOLE, SMALL) if int8 else (WHOLE,)))


def check_onnx(folder: Path) -> None:
    """Refuse what cannot be written, before anything is.

    Raises:
        SetupError: A package is missing.
        SpecError: The student is none of `HEADS` and makes no vectors, or is an adapter.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"ONNX is written with {', '.join(missing)}, not installed",
            hint="pip install 'raykd[onnx]'",
        )
    refuse_adapter(folder, "ONNX is written of")
    name = class_of(folder)
    if not name.endswith(HEADS) and not makes_vectors(folder):
        raise SpecError(
            f"ONNX is written of classifiers of texts and of tokens, and of what makes vectors of "
            f"texts; the student is a {name}",
            hint="convert it with a tool for models that generate, such as onnxruntime-genai",
        )


def write_onnx(folder: Path, *, int8: bool) -> Measured:
    """Write the student of a folder as ONNX, into its folder `FOLDER`.

    Args:
        folder: The student, as Transformers saved it.
        int8: Also with weights of 8 bits, made of the whole graph without data.

    Raises:
        SetupError, SpecError: See `check_onnx`; or the graph computes something else.
        OSError: A file cannot be written.
    """
    check_onnx(folder)
    to = folder / FOLDER
    to.mkdir(exist_ok=True)
    with quiet():
        student = OpenedStudent(folder)
        _write(student, to / WHOLE)
        if int8:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(to / WHOLE, to / SMALL, weight_type=QuantType.QInt8)
    texts = [student.texts(*shape) for shape in SHAPES]
    files = tuple(_measured(folder / name, folder, student, texts) for name in names(int8=int8))
    if files[0].difference > TOLERANCE:
        raise SpecError(
            f"the graph of the student computes something else: its outputs differ by "
            f"{files[0].difference:.2g} of the largest",
            hint="export without --onnx, and tell us which model it is",
        )
    return Measured(
        ms=student.ms(),
        files=files,
        texts=sum(rows for rows, _ in SHAPES),
        of_vectors=student.of_vectors,
    )


def _write(student: OpenedStudent, path: Path) -> None:
    """Write the graph, for any number of rows and tokens; it names nothing of this machine."""
    import torch

    texts = {name: torch.from_numpy(value) for name, value in student.texts(2, 16).items()}
    output = VECTORS if student.of_vectors else "logits"
    axes = {name: {0: "batch", 1: "sequence"} for name in texts}
    try:
        program = torch.onnx.export(
            student.alone, kwargs=texts, input_names=list(texts), output_names=[output],
            dynamic_shapes=axes, dynamo=True, verbose=False,
        )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as exc:
        why = str(exc.__cause__ or exc).strip().splitlines()
        raise SpecError(
            f"torch cannot write this student as ONNX: {why[0] if why else type(exc).__name__}",
            hint="export without --onnx",
        ) from exc
    assert program is not None
    graph = program.model.graph
    parts: list[Any] = [program.model, graph, *graph.all_nodes(), *graph.initializers.values()]
    for part in parts:
        part.metadata_props.clear()  # traces of the source, with paths
    program.save(path, external_data=False)


def _measured(
    path: Path, folder: Path, student: OpenedStudent, texts: list[dict[str, Any]]
) -> OnnxFile:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    same, worst = [], 0.0
    for batch in texts:
        own, from_onnx = student.outputs(batch), session.run(None, batch)[0]
        worst = max(worst, float(np.abs(own - from_onnx).max() / max(np.abs(own).max(), 1e-6)))
        if student.of_vectors:
            lengths = np.linalg.norm(own, axis=-1) * np.linalg.norm(from_onnx, axis=-1)
            same.append((own * from_onnx).sum(-1) / np.maximum(lengths, 1e-12))
        else:
            same.append((own.argmax(-1) == from_onnx.argmax(-1)).ravel())
    every = np.concatenate(same)
    timed = student.texts(*TIMED)
    return OnnxFile(
        name=path.relative_to(folder).as_posix(),
        size=path.stat().st_size,
        difference=worst,
        same=float(every.min() if student.of_vectors else every.mean()),
        ms=median_ms(lambda: session.run(None, timed)),
    )
