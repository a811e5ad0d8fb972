"""An exported student, as Transformers opens it: texts for it, its outputs, and its time."""

from __future__ import annotations

import importlib
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raykd.errors import SpecError
from raykd.export.measured import TIMED, Measured

RUNS = 15


def makes_vectors(folder: Path) -> bool:
    """Whether Sentence Transformers opens the folder."""
    return (folder / "modules.json").is_file()


def class_of(folder: Path) -> str:
    """The class of the student; ``nothing`` where its configuration does not say."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str((config.get("architectures") or ["nothing"])[0])


def refuse_adapter(folder: Path, what: str) -> None:
    """Refuse an adapter, which is no model by itself.

    Args:
        folder: The student.
        what: What is done with whole models only.

    Raises:
        SpecError: It is one.
    """
    if (folder / "adapter_config.json").is_file():
        raise SpecError(
            f"the student is an adapter, and {what} whole models",
            hint="train with lora: {save: merged}",
        )


def measure(folder: Path) -> Measured:
    """Time the student of a folder."""
    with quiet():
        return Measured(ms=OpenedStudent(folder).ms())


class OpenedStudent:
    """The model of a folder, and texts of random tokens for it.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        import numpy as np
        import transformers

        self.of_vectors = makes_vectors(folder)
        self.model = getattr(transformers, class_of(folder)).from_pretrained(folder).eval()
        self.alone = _outputs_alone(self.model, of_vectors=self.of_vectors)
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

    def outputs(self, texts: Mapping[str, Any]) -> Any:
        """The logits of a batch in PyTorch, or its vectors."""
        import torch

        from raykd.models.inference import inference

        with inference(self.alone):
            return self.alone(**{n: torch.from_numpy(v) for n, v in texts.items()}).numpy()

    def ms(self) -> float:
        """Median milliseconds of a pass over a text of `TIMED` tokens."""
        import torch

        from raykd.models.inference import inference

        given = {n: torch.from_numpy(v) for n, v in self.texts(*TIMED).items()}
        if self.model.config.is_encoder_decoder:  # up to the first token that it writes
            given["decoder_input_ids"] = given["input_ids"][:, :1]
        with inference(self.model):
            return median_ms(lambda: self.model(**given))


def _outputs_alone(model: Any, *, of_vectors: bool) -> Any:
    """The model as a module that gives its logits, or the vector of each text, and nothing else."""
    import torch

    class Outputs(torch.nn.Module):
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
            if not of_vectors:
                logits: torch.Tensor = outputs.logits
                return logits
            hidden: torch.Tensor = outputs.last_hidden_state
            counts = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return (hidden * counts).sum(1) / counts.sum(1).clamp(min=1.0)

    return Outputs().eval()


def median_ms(run: Callable[[], object]) -> float:
    """Median milliseconds of several runs after a first one."""
    run()
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times)


@contextmanager
def quiet() -> Iterator[None]:
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
