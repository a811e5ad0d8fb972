"""What the driver of a sweep holds in memory of a large teacher that four tasks share.

``python -m tests.benchmarks.driver_memory [LAYERS] [DTYPE]`` (28 layers and float32 unless given:
1.5 GB). A BERT with random weights and a head for three classes is written to a temporary folder
and named as ``teacher.checkpoint`` of a sweep over four tasks of generated rows, with a small
student. The command runs as a user runs it, and the peak of its resident memory is read from the
kernel: pages of mapped files and of the object store count as well. The baseline is the size of the
checkpoint; the same sweep with a checkpoint of one layer shows what the driver takes without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification

from raykd.models.tokenizers import save_tokenizer, train_tokenizer

GOAL = 1.3
TASKS, CLASSES = 4, ("bad", "fair", "good")
WORDS = ("the", "film", "was", *CLASSES, "very", "not", "and", "long", "short", "it")
WIDTH, VOCABULARY = 1024, 20_000
SAMPLE_S = 0.2


def write_checkpoint(folder: Path, layers: int, dtype: str) -> int:
    """A model with random weights, and its tokenizer; returns its bytes."""
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=layers,
        num_attention_heads=16, intermediate_size=4 * WIDTH, max_position_embeddings=32,
        num_labels=len(CLASSES), id2label=dict(enumerate(CLASSES)),
        label2id={name: k for k, name in enumerate(CLASSES)},
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertForSequenceClassification(config).to(getattr(torch, dtype))
    model.save_pretrained(folder, max_shard_size="500MB")
    save_tokenizer(train_tokenizer([" ".join(WORDS)], 200), folder)
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def write_rows(folder: Path, seed: int) -> None:
    """A few rows for every split."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    for split, count in (("train", 48), ("validation", 24)):
        lines = []
        for _ in range(count):
            picked = torch.randint(len(WORDS), (6,), generator=generator).tolist()
            label = CLASSES[picked[0] % len(CLASSES)]
            lines.append(json.dumps({"text": " ".join(WORDS[k] for k in picked), "label": label}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_spec(folder: Path, checkpoint: Path) -> Path:
    """A sweep of one trial per arm and task."""
    for k in range(TASKS):
        write_rows(folder / f"rows{k}", k)
    tasks = [
        {
            "name": f"task{k}", "path": str(folder / f"rows{k}"), "texts": ["text"],
            "label": "label", "labels": list(CLASSES),
        }
        for k in range(TASKS)
    ]  # fmt: skip
    plain = {
        "name": "memory",
        "tasks": tasks,
        "data": {"max_length": 16},
        "teacher": {"checkpoint": str(checkpoint)},
        "student": {"model": {"family": "bert", "layers": 1, "hidden": 32, "heads": 2}},
        "train": {"epochs": 1},
        "methods": {"none": {}, "kd": {}},
        "search": {"trials": 1, "max_concurrent": 1},
        "confirm": {"seeds": [1]},
        "report": {"path": str(folder / "{name}.html")},
    }
    file = folder / "memory.yaml"
    file.write_text(json.dumps(plain), encoding="utf-8")  # JSON is YAML
    return file


def peak_of(file: Path, folder: Path) -> int:
    """Most resident bytes of the driver of a sweep.

    Raises:
        RuntimeError: The sweep failed.
    """
    command = [sys.executable, "-m", "raykd", "sweep", str(file), "--out", str(folder / "runs")]
    env = {**os.environ, "RAYKD_CACHE": str(folder / "cache")}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(SAMPLE_S)
    if process.returncode:
        raise RuntimeError(f"the sweep ended with {process.returncode}")
    return peak


def _peak(pid: int) -> int:
    """The kernel's record of the most resident memory of a process; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    actual = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(actual[0]) * 1024 if actual else 0


def measured(layers: int, dtype: str) -> tuple[int, int]:
    """Bytes of a checkpoint, and most resident bytes of the driver of a sweep with it."""
    with tempfile.TemporaryDirectory(prefix="raykd-memory-") as temporary:
        folder = Path(temporary)
        size = write_checkpoint(folder / "teacher", layers, dtype)
        return size, peak_of(write_spec(folder, folder / "teacher"), folder)


def main() -> None:
    layers = int(sys.argv[1]) if len(sys.argv) > 1 else 28
    dtype = sys.argv[2] if len(sys.argv) > 2 else "float32"
    actual = {k: measured(k, dtype) for k in (1, layers)}
    size, peak = actual[layers]
    for count, (held, most) in actual.items():
        print(
            f"checkpoint of {count:>2} layers, {dtype}: {held / 2**30:5.2f} GiB, "
            f"peak of the driver {most / 2**30:5.2f} GiB"
        )
    print(f"peak of the driver / checkpoint: {peak / size:.2f} (goal <= {GOAL})")
    more = (peak - actual[1][1]) / (size - actual[1][0])
    print(f"what a larger checkpoint adds to it, per byte: {more:.2f}")


if __name__ == "__main__":
    main()
