"""A student as a sweep keeps it, opened by someone who has the library and not raykd.

For every kind of task: a trial is run, its student is written as the driver writes it, and its
folder is opened with the plain automatic classes. The rows are tokenised by the saved tokenizer
alone; predictions are those of the trained student bit for bit, and scores those of the trial.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from raykd.data.collate import Collator
from raykd.models import weights
from raykd.models.forward import forward
from raykd.models.signals.embeddings import Embeddings
from raykd.models.tokenizers import save_tokenizer
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import run_in_process, trial_of
from raykd.task_setup.set_up import TaskSetup, set_up_task
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.prepare import prepare
from raykd.teachers.prepared_task import PreparedTask
from raykd.training.device import DistributedContext
from raykd.trial.run import TrialOutcome
from tests.cases.model_folders import WORDS, write_encoder
from tests.snippets import run_block
from tests.unit.sweep.specs import spec

COLOURS = ("red", "blue", "green", "white")
THINGS = ("apple", "river", "lamp", "train", "cloud", "stone")
MASK = 0o027
ENCODER = {"family": "bert", "heads": 2, "layers": 1, "vocabulary": 300, "max_positions": 64}
WRITER = {"heads": 2, "layers": 1, "vocabulary": 400, "max_positions": 128, "dropout": 0.0}


@dataclass(frozen=True)
class SavedStudent:
    """A student in its folder, with what it was trained and scored with."""

    folder: Path
    setup: TaskSetup
    prepared: PreparedTask
    outcome: TrialOutcome
    opened: Any
    tokenizer: Any

    def trained(self) -> Any:
        assert self.outcome.student is not None
        return weights.restore(self.outcome.student).eval()

    def score(self, metric: str) -> float:
        return self.outcome.metrics[f"test/{metric}"]


def kept(folder: Path, of: SweepSpec, label: str, opened_by: Any) -> SavedStudent:
    """Run a trial of an arm and write its student as the driver does."""
    (task,) = of.tasks
    setup = set_up_task(of, task)
    made = prepare(
        plan_teacher(of, setup, 1 << 30).inputs, DistributedContext(), lambda *progress: None
    )
    assert made is not None
    config = trial_of(of, folder / "run", task, label, {})
    best = folder / "best"
    config = replace(config, score_test=True, save_path=str(best))
    outcome = run_in_process(config, made[0], setup.task, lambda evaluation: None)
    before = os.umask(MASK)
    try:
        weights.save(outcome.student, best)
        save_tokenizer(setup.tokenizers.student, best)
    finally:
        os.umask(before)
    opened = opened_by.from_pretrained(best).eval()
    return SavedStudent(
        best, setup, made[0], outcome, opened, AutoTokenizer.from_pretrained(best)
    )  # fmt: skip


def described(task: str, root: Path, **changes: Any) -> SweepSpec:
    """A sweep of one arm, fine-tuning by kd, on a task whose rows are in files."""
    plain: dict[str, Any] = {
        "tasks": [task],
        "data": {"root": str(root), "max_length": 48, "select_on": {"split": "validation"},
                 "report_on": {"split": "validation"}},
        "teacher": {"model": {**ENCODER, "hidden": 16},
                    "finetune": {"epochs": 1, "batch_size": 8, "lr": 1e-3}},
        "student": {"model": {**ENCODER, "hidden": 8}},
        "train": {"fixed": {"epochs": 2, "batch_size": 8, "lr": 3e-3, "eval_batch_size": 4}},
        "methods": {"kd": {"name": "kd", "method": "kd", "fixed": {"alpha": 0.5}}},
        "report": {"baseline": "kd"},
    }  # fmt: skip
    return spec(**plain | changes)


def own(root: Path, **changes: Any) -> dict[str, Any]:
    entry = {"name": "own", "texts": ["text"], "path": str(root / "own"), **changes}
    return {"tasks": ["own"], "own_tasks": {"own": entry}}


def rows_of(write: Callable[[int], dict[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True)
    for split, rows in (("train", range(24)), ("validation", range(24, 37))):
        pq.write_table(pa.Table.from_pylist([write(k) for k in rows]), folder / f"{split}.parquet")


def sentence(k: int) -> str:
    return f"the {THINGS[k % 6]} was {COLOURS[k % 4]}" + " and so was the sky" * (k % 3)


def of_classes(root: Path) -> SavedStudent:
    """Cut from a checkpoint whose classes are in another order than the task's."""
    model = root / "teacher"
    write_encoder(model, id2label={0: "pos", 1: "neg", 2: "so so"})
    words = [w for w in WORDS if not w.startswith("[")]
    labels = ["neg", "so so", "pos"]
    rows_of(lambda k: {"text": " ".join(words[k % 9 : k % 9 + 4]), "label": labels[k % 3]},
            root / "own")  # fmt: skip
    of = described(
        "own", root, **own(root, labels=labels), teacher={"checkpoint": str(model)},
        student={"from_teacher": {"layers": [1], "weights": "finetuned"}},
    )  # fmt: skip
    return kept(root, of, "kd", AutoModelForSequenceClassification)


def of_scores(root: Path) -> SavedStudent:
    rows_of(lambda k: {"text": sentence(k), "label": k % 4 / 3}, root / "own")
    of = described("own", root, **own(root, kind="regression"))
    return kept(root, of, "kd", AutoModelForSequenceClassification)


def of_pairs(root: Path) -> SavedStudent:
    def row(k: int) -> dict[str, Any]:
        return {"one": sentence(k), "two": sentence(k + 1 + k % 5), "score": 5 * (k % 4) / 3}

    rows_of(row, root / "own")
    entry = {"kind": "embedding", "texts": ["one", "two"], "label": "score", "span": [0, 5]}
    method = {"name": "kd", "method": "embedding_cosine", "fixed": {"alpha": 0.5}}
    of = described("own", root, **own(root, **entry), methods={"kd": method})
    return kept(root, of, "kd", AutoModel)


def of_spans(root: Path) -> SavedStudent:
    def row(k: int) -> dict[str, Any]:
        answer = {"text": [COLOURS[k % 4]], "answer_start": [sentence(k).index(COLOURS[k % 4])]}
        return {"question": "which colour?", "context": sentence(k), "answers": answer}

    rows_of(row, root / "squad")
    return kept(root, described("squad", root), "kd", AutoModelForQuestionAnswering)


def of_choices(root: Path) -> SavedStudent:
    def row(k: int) -> dict[str, Any]:
        right = k % 2
        choices = [COLOURS[(k + (c != right)) % 4] for c in (0, 1)]
        return {"premise": sentence(k), "question": "cause", "choice1": choices[0],
                "choice2": choices[1], "label": right}  # fmt: skip

    rows_of(row, root / "super_glue" / "copa")
    of = described("super_glue/copa", root)
    return kept(root, of, "kd", AutoModelForSequenceClassification)


def of_text(root: Path, family: str, opened_by: Any) -> SavedStudent:
    def row(k: int) -> dict[str, Any]:
        return {"instruction": f"Say {sentence(k)}", "context": "", "response": COLOURS[k % 4]}

    rows_of(row, root / "dolly")
    shape = {**WRITER, "family": family}
    of = described(
        "dolly", root, teacher={"model": {**shape, "hidden": 16},
                                "finetune": {"epochs": 1, "batch_size": 8, "lr": 1e-3}},
        student={"model": {**shape, "hidden": 16}},
        train={"fixed": {"epochs": 25, "batch_size": 8, "lr": 1e-2, "eval_batch_size": 4}},
        methods={"kd": {"name": "kd", "method": "kd", "fixed": {"kd_ratio": 0.1}}},
        data={"root": str(root), "max_length": 96, "select_on": {"split": "validation"},
              "report_on": {"split": "validation"}},
    )  # fmt: skip
    return kept(root, of, "kd", opened_by)


def of_other_types(root: Path) -> SavedStudent:
    """Architectures without a file: a decoder with a head for classes learns from an encoder."""
    rows_of(lambda k: {"text": sentence(k), "label": COLOURS[k % 4]}, root / "own")
    of = described(
        "own", root, **own(root, labels=sorted(COLOURS[:4])),
        teacher={"model": {**ENCODER, "family": "modernbert", "hidden": 16},
                 "finetune": {"epochs": 1, "batch_size": 8, "lr": 1e-3}},
        student={"model": {**ENCODER, "family": "qwen3", "hidden": 8}},
    )  # fmt: skip
    return kept(root, of, "kd", AutoModelForSequenceClassification)


MADE: dict[str, Callable[[Path], SavedStudent]] = {
    "classes": of_classes, "scores": of_scores, "pairs": of_pairs, "spans": of_spans,
    "choices": of_choices,
    "other types": of_other_types,
    "decoder": lambda root: of_text(root, "gpt2", AutoModelForCausalLM),
    "both": lambda root: of_text(root, "t5", AutoModelForSeq2SeqLM),
}  # fmt: skip


ALL = [pytest.param(of, marks=pytest.mark.slow if of == "both" else ()) for of in MADE]
"""Every sort of student; one with encoder and decoder takes long to make."""


@pytest.fixture(scope="module", params=ALL)
def student(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> SavedStudent:
    return MADE[request.param](tmp_path_factory.mktemp(request.param))


def test_its_folder_says_what_was_trained(student):
    stated = json.loads((student.folder / "config.json").read_text())
    assert student.opened.dtype == torch.float32
    assert stated["dtype"] == "float32"
    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in student.folder.iterdir()
        if path.is_file()
    }
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(modes)
    assert set(modes.values()) == {0o666 & ~MASK}
    labels = student.setup.task.labels
    if student.setup.task.kind == "classification":
        assert student.opened.config.id2label == dict(enumerate(labels))
        assert student.opened.config.label2id == {label: k for k, label in enumerate(labels)}
    trained = student.trained().state_dict()
    body = student.opened.base_model_prefix if student.setup.task.kind == "embedding" else ""
    for name, tensor in student.opened.state_dict().items():
        if body and name.startswith("pooler."):
            continue  # which the library adds, and nothing of it is read
        assert torch.equal(tensor, trained[f"{body}.{name}".removeprefix(".")]), name


def test_it_predicts_what_was_scored_bit_for_bit(student):
    prepared = student.prepared
    rows = prepared.splits["test"]
    collator = Collator(prepared.pad_id, max_length=prepared.max_length)
    trained = student.trained()
    for first in range(0, len(rows), 4):
        batch = collator(rows, np.arange(first, min(first + 4, len(rows))))
        result, expected = (forward(model, batch).logits for model in (trained, student.opened))
        assert torch.equal(result, expected)


def plainly(student: SavedStudent, *texts: str) -> Any:
    """The library's own way from texts to outputs, one row at a time."""
    read = student.tokenizer(*texts, return_tensors="pt")
    with torch.no_grad():
        return student.opened(**read)


def test_its_scores_are_those_of_the_trial_by_the_library_alone(student):
    task, rows = student.setup.task, student.setup.rows["test"]
    columns = [*zip(*rows.texts, strict=True)]
    if task.name == "own" and task.kind == "classification":
        message = [int(plainly(student, *row).logits.argmax()) for row in columns]
        names = [student.opened.config.id2label[k] for k in message]
        right = [task.labels[k] for k in rows.labels]
        assert np.mean(np.asarray(names) == right) == pytest.approx(student.score("accuracy"))
    elif task.kind == "regression":
        message = [float(plainly(student, *row).logits) for row in columns]
        assert np.ptp(message) > 0
        actual = task.score(np.asarray(message)[:, None], student.prepared.splits["test"])
        assert actual["spearman"] == pytest.approx(student.score("spearman"), abs=1e-6)
    elif task.kind == "embedding":
        message = [similarity(student, *row) for row in columns]
        assert np.ptp(message) > 0
        actual = task.score(np.asarray(message)[:, None], student.prepared.splits["test"])
        assert actual["spearman"] == pytest.approx(student.score("spearman"), abs=1e-6)
    elif task.kind == "span":
        right = []
        for (question, context), accepted in zip(columns, rows.fields["answers"], strict=True):
            read = student.tokenizer(question, context, return_offsets_mapping=True)
            places = [k for k, of in enumerate(read.sequence_ids()) if of == 1]
            out = plainly(student, question, context)
            sums = {(a, b): float(out.start_logits[0, a] + out.end_logits[0, b])
                    for a in places for b in places if a <= b < a + 30}  # fmt: skip
            a, b = max(sums, key=lambda ends: sums[ends])
            message = context[read["offset_mapping"][a][0] : read["offset_mapping"][b][1]]
            right.append(message in accepted)
        assert 100 * np.mean(right) == pytest.approx(student.score("exact_match") * 100)
    elif task.name == "super_glue/copa":
        right = []
        for (context,), choices, of in zip(
            columns, rows.fields["choices"], rows.fields["right"], strict=True
        ):
            context_padding = [
                float(logits[1] - logits[0])
                for logits in (plainly(student, context, choice).logits[0] for choice in choices)
            ]
            right.append(of[int(np.argmax(context_padding))])
        assert np.mean(right) == pytest.approx(student.score("accuracy"))
    else:
        assert written(student) == pytest.approx(student.score("log_likelihood"), abs=1e-5)


def similarity(student: SavedStudent, one: str, two: str) -> float:
    """The cosine of the means of the last hidden states, as the documentation says."""
    first, second = (plainly(student, text).last_hidden_state[0].mean(0) for text in (one, two))
    return float(torch.nn.functional.cosine_similarity(first, second, dim=0))


def test_sentence_transformers_gives_the_same_vectors_bit_for_bit(student):
    if student.setup.task.kind != "embedding":
        assert not (student.folder / "modules.json").exists()
        return
    library = pytest.importorskip("sentence_transformers")
    opened = library.SentenceTransformer(str(student.folder), device="cpu")
    rows, prepared = student.setup.rows["test"], student.prepared
    collator = Collator(prepared.pad_id, max_length=prepared.max_length)
    for row, texts in enumerate(zip(*rows.texts, strict=True)):
        batch = collator(prepared.splits["test"], np.asarray([row]))
        result = forward(student.trained(), batch, output_spec=(Embeddings(),))
        expected = opened.encode(list(texts), convert_to_tensor=True)
        assert torch.equal(result.read(Embeddings())[0], expected)


def has(student: SavedStudent, **task: str) -> bool:
    return all(getattr(student.setup.task, name) == value for name, value in task.items())


def test_the_documents_open_it(student, tmp_path, capsys):
    """The blocks of the pages, with this student in the place of the reader's."""
    kd = {f"runs/RUN/checkpoints/{task}/kd/best": student.folder for task in ("tickets", "dolly")}
    kd["runs/tickets-DATE-TIME/checkpoints/tickets/kd/best"] = student.folder
    if has(student, kind="classification", name="own"):
        run_block("docs/how-to/student.md", 0, tmp_path, kd)
        run_block("docs/start/own-data.md", 0, tmp_path)
        first, second = capsys.readouterr().out.splitlines()
        for line in (first, second):
            (answer,) = ast.literal_eval(line)
            assert answer["label"] in student.setup.task.labels
            assert 0 <= answer["score"] <= 1
    elif has(student, kind="causal_lm"):
        names = run_block("docs/how-to/student.md", 1, tmp_path, kd)
        text = capsys.readouterr().out
        assert text.startswith("Name three colours.")
        assert isinstance(names["model"], type(student.opened))
    elif has(student, kind="embedding"):
        vectors_of_the_document(student, tmp_path)


def vectors_of_the_document(student: SavedStudent, desk: Path) -> None:
    links = {"runs/RUN/checkpoints/questions/embedding_cosine/best": student.folder}
    mean = run_block("docs/how-to/embeddings.md", 1, desk, links)["vectors"]
    hidden = student.opened.config.hidden_size
    assert mean.shape == (2, hidden)
    by_hand = plainly(student, "Where?").last_hidden_state[0].mean(0)
    assert torch.allclose(mean[1], by_hand, atol=1e-6)
    pytest.importorskip("sentence_transformers")
    vectors = run_block("docs/how-to/embeddings.md", 0, desk)["vectors"]
    assert vectors.shape == (2, hidden)


def written(student: SavedStudent) -> float:
    """Mean log-likelihood of the tokens of all responses, each with the one that ends it."""
    total, count = 0.0, 0
    end = student.tokenizer.eos_token_id
    for prompt, response in zip(*student.setup.rows["test"].texts, strict=True):
        requested = student.tokenizer(prompt)["input_ids"]
        if student.setup.task.kind == "seq2seq":
            labels = [*student.tokenizer(response, add_special_tokens=False)["input_ids"], end]
            with torch.no_grad():
                logits = student.opened(
                    torch.tensor([requested]), labels=torch.tensor([labels])
                ).logits
        else:
            whole = [*student.tokenizer(prompt + response)["input_ids"], end]
            labels = whole[len(requested) :]
            with torch.no_grad():
                logits = student.opened(torch.tensor([whole])).logits[:, len(requested) - 1 : -1]
        chosen = logits[0].double().log_softmax(-1)[range(len(labels)), labels]
        total, count = total + float(chosen.sum()), count + len(labels)
    return total / count


def test_what_it_writes_ends_by_itself(student):
    if student.setup.task.kind not in ("causal_lm", "seq2seq"):
        assert not (student.folder / "generation_config.json").exists()
        return
    end = student.tokenizer.eos_token_id
    assert student.opened.generation_config.eos_token_id == end
    for prompt, _ in zip(*student.setup.rows["test"].texts, strict=True):
        read = student.tokenizer(prompt, return_tensors="pt")
        made = student.opened.generate(**read, max_new_tokens=40, do_sample=False)[0].tolist()
        new = made[1:] if student.setup.task.kind == "seq2seq" else made[len(read[0]) :]
        assert new[-1] == end
        assert len(new) < 40
        message = student.tokenizer.decode(new, skip_special_tokens=True).strip()
        assert message
