"""Writes a student as ONNX, whole and with weights of 8 bits, and measures what that changes.

The graph is torch's own; optimum, which many use for this, takes no Transformers from version 5 on.
What is written is run next to the student before it is given on: a graph that computes something
else is refused.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raykd.errors import SetupError, SpecError

FOLDER = "onnx"
WHOLE, SMALL = "model.onnx", "model_int8.onnx"
HEADS = ("ForSequenceClassification", "ForTokenClassification")
"""What the classes of models end with whose graph is one pass over a text."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-3
"""Largest difference of logits, by the largest of them, up to which a graph is the student's."""
SHAPES = ((1, 7), (3, 24), (2, 16), (8, 64))
"""Rows and tokens of the texts that are compared; none is the one that the graph was made with."""
TIMED = (1, 64)
RUNS = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFile:
    """One file, and how it does next to the student.

    Attributes:
        name: Its place in the folder.
        size: Bytes.
        difference: Largest difference of a logit from the student's, by its largest logit.
        same: Share of texts, or tokens, of which the class is the student's.
        ms: Median time of a text of `TIMED` tokens, milliseconds.
    """

    name: str
    size: int
    difference: float
    same: float
    ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFiles:
    """What was written.

    Attributes:
        files: The graphs.
        size: Bytes of the weights of the student.
        ms: Its own median time in PyTorch.
        texts: How many texts of random tokens were compared.
    """

    files: tuple[OnnxFile, ...]
    size: int
    ms: float
    texts: int


def names(*, int8: bool) -> tuple[str, ...]:
    """The files that `write_onnx` writes."""
    return tuple(f"{FOLDER}/{name}" for name in ((WHOLE, SMALL) if int8 else (WHOLE,)))


def check_onnx(folder: Path) -> None:
    """Refuse what cannot be written, before anything is.

    Raises:
        SetupError: A package is missing.
        SpecError: The student is none of `HEADS`, or an adapter.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"ONNX is written with {', '.join(missing)}, not installed",
            hint="pip install 'raykd[onnx]'",
        )
    if (folder / "adapter_config.json").is_file():
        raise SpecError(
            "the student is an adapter, and ONNX is written of whole models",
            hint="train with lora: {save: merged}",
        )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = (config.get("architectures") or ["nothing"])[0]
    if not name.endswith(HEADS):
        raise SpecError(
            f"ONNX is written of classifiers of texts and of tokens, and the student is a {name}",
            hint="convert it with a tool for models that generate, such as onnxruntime-genai",
        )


def write_onnx(folder: Path, *, int8: bool) -> OnnxFiles:
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
    with _quiet():
        student = _OpenedStudent(folder)
        student.write(to / WHOLE)
        if int8:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(to / WHOLE, to / SMALL, weight_type=QuantType.QInt8)
    texts = [student.texts(*shape) for shape in SHAPES]
    files = tuple(_measured(folder / name, folder, student, texts) for name in names(int8=int8))
    if files[0].difference > TOLERANCE:
        raise SpecError(
            f"the graph of the student computes something else: its logits differ by "
            f"{files[0].difference:.2g} of the largest",
            hint="export without --onnx, and tell us which model it is",
        )
    return OnnxFiles(
        files=files,
        size=sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        ms=_median_ms(lambda: student.logits(student.texts(*TIMED))),
        texts=sum(rows for rows, _ in SHAPES),
    )


class _OpenedStudent:
    """The model of a folder, and texts of random tokens for it.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        import numpy as np
        import transformers

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = getattr(transformers, config["architectures"][0])
        self.model = kind.from_pretrained(folder).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.inputs = tuple(tokenizer.model_input_names)
        self.special = {int(token) for token in tokenizer.all_special_ids}
        self.vocabulary = int(self.model.config.vocab_size)
        self.random = np.random.default_rng(0)

    def texts(self, rows: int, tokens: int) -> dict[str, Any]:
        """A batch, ``[rows, tokens]`` each; of several rows, the last one is half padding."""
        import numpy as np

        ids = self.random.integers(0, self.vocabulary, (rows, tokens), dtype=np.int64)
        ids[np.isin(ids, list(self.special))] = next(
            token for token in range(self.vocabulary) if token not in self.special
        )
        mask = np.ones_like(ids)
        if rows > 1:
            mask[-1, tokens // 2 :] = 0
        second = np.zeros_like(ids)
        second[:, tokens // 2 :] = 1
        made = {"input_ids": ids, "attention_mask": mask, "token_type_ids": second}
        return {name: made[name] for name in self.inputs}

    def logits(self, texts: Mapping[str, Any]) -> Any:
        """What the student says of a batch in PyTorch."""
        import torch

        with torch.inference_mode():
            return self.model(**{n: torch.from_numpy(v) for n, v in texts.items()}).logits.numpy()

    def write(self, path: Path) -> None:
        """Write the graph, for any number of rows and tokens; it names nothing of this machine."""
        import torch

        texts = {name: torch.from_numpy(value) for name, value in self.texts(2, 16).items()}
        axes = {name: {0: "batch", 1: "sequence"} for name in texts}
        try:
            program = torch.onnx.export(
                _logits_alone(self.model), kwargs=texts, input_names=list(texts),
                output_names=["logits"], dynamic_shapes=axes, dynamo=True, verbose=False,
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


def _logits_alone(model: Any) -> Any:
    """The model as a module that gives its logits and nothing else."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            token_type_ids: torch.Tensor | None = None,
        ) -> torch.Tensor:
            more = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            outputs = self.model(input_ids=input_ids, attention_mask=attention_mask, **more)
            logits: torch.Tensor = outputs.logits
            return logits

    return Logits().eval()


def _measured(
    path: Path, folder: Path, student: _OpenedStudent, texts: list[dict[str, Any]]
) -> OnnxFile:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    same, worst = [], 0.0
    for batch in texts:
        from_torch, from_onnx = student.logits(batch), session.run(None, batch)[0]
        worst = max(
            worst, float(np.abs(from_torch - from_onnx).max() / max(np.abs(from_torch).max(), 1e-6))
        )
        same.append((from_torch.argmax(-1) == from_onnx.argmax(-1)).ravel())
    timed = student.texts(*TIMED)
    return OnnxFile(
        name=path.relative_to(folder).as_posix(),
        size=path.stat().st_size,
        difference=worst,
        same=float(np.concatenate(same).mean()),
        ms=_median_ms(lambda: session.run(None, timed)),
    )


def _median_ms(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries have to say of themselves, and as they found the log."""
    of_transformers: Any = importlib.import_module("transformers.utils.logging")
    before, handlers = logging.root.manager.disable, list(logging.root.handlers)
    showed = of_transformers.is_progress_bar_enabled()
    logging.disable(logging.ERROR)
    of_transformers.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        logging.root.handlers[:] = handlers
        if showed:
            of_transformers.enable_progress_bar()
