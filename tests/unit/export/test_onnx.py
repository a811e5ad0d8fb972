"""A student as ONNX gives the logits of its weights, or is not given on."""

import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel

from raykd.cli.main import main
from raykd.errors import SpecError
from raykd.export import onnx_files
from raykd.export.onnx_files import check_onnx, write_onnx
from raykd.export.opened import measure
from raykd.models.pooling_files import write_pooling
from tests.cases.model_folders import bpe_tokenizer, write_decoder, write_encoder
from tests.unit.export.test_export import place_of, with_students

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
OF = ["--task", "glue/rte", "--arm", "kd"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run whose student of kd is a small BERT."""
    run = with_students(tmp_path_factory.mktemp("runs") / "run")
    folder = run / place_of("glue/rte", "kd")
    shutil.rmtree(folder)
    folder.mkdir()
    write_encoder(folder, num_labels=3)
    return run


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory) -> Path:
    to, handlers = tmp_path_factory.mktemp("out") / "student", list(logging.root.handlers)
    assert main(["export", str(run), str(to), *OF, "--int8"]) == 0
    assert logging.root.handlers == handlers  # a library adds one, which repeats what is shown
    return to


def logits_of(path: Path, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return session.run(["logits"], {i.name: given[i.name] for i in session.get_inputs()})[0]


@pytest.mark.slow
def test_any_batch_has_the_logits_of_the_weights(exported):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(exported).eval()
    for rows, tokens in ((1, 3), (5, 20), (2, 33)):
        ids = np.random.default_rng(rows).integers(5, 15, (rows, tokens))
        mask = np.ones_like(ids)
        mask[-1, 2:] = 0
        with torch.no_grad():
            own = model(torch.from_numpy(ids), torch.from_numpy(mask)).logits.numpy()
        actual = logits_of(exported / "onnx/model.onnx", ids, mask)
        np.testing.assert_allclose(actual, own, atol=1e-5)
        small = logits_of(exported / "onnx/model_int8.onnx", ids, mask)
        assert not np.array_equal(small, own)
        np.testing.assert_allclose(small, own, atol=0.1 * np.abs(own).max())


@pytest.mark.slow
def test_sizes_times_and_differences_are_reported(exported):
    facts = json.loads((exported / "raykd.json").read_text())["onnx"]
    whole, small = facts["files"]
    for file in (whole, small):
        assert file["size"] == (exported / file["name"]).stat().st_size
        assert file["ms"] > 0
    assert small["size"] < whole["size"]
    assert whole["difference"] < 1e-5 < small["difference"]
    assert whole["same"] == 1.0
    card = (exported / "README.md").read_text()
    assert re.search(r"\| onnx/model\.onnx \| \d+\.\d \| \d+\.\d+ \| [\de.-]+ \| 100\.0 % \|", card)


@pytest.mark.slow
def test_vectors_of_texts_are_those_of_the_weights(run, tmp_path, capsys):
    folder = run_of_vectors(tmp_path / "run")
    to = tmp_path / "out"
    assert main(["export", str(folder), str(to), *OF, "--int8"]) == 0, capsys.readouterr().err
    model = BertModel.from_pretrained(to).eval()
    ids = np.random.default_rng(0).integers(5, 15, (3, 9))
    mask = np.ones_like(ids)
    mask[-1, 4:] = 0
    with torch.no_grad():
        hidden = model(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state.numpy()
    own = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    session = onnxruntime.InferenceSession(to / "onnx/model.onnx")
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (vectors,) = session.run(["sentence_embedding"], given)
    np.testing.assert_allclose(vectors, own, atol=1e-5)
    whole, small = json.loads((to / "raykd.json").read_text())["onnx"]["files"]
    assert whole["same"] == pytest.approx(1, abs=1e-5)
    assert 0.9 < small["same"] < whole["same"]
    assert "least cosine" in (to / "README.md").read_text()


def run_of_vectors(folder: Path) -> Path:
    """A run whose student of kd makes vectors of texts."""
    run = with_students(folder)
    saved = run / place_of("glue/rte", "kd")
    shutil.rmtree(saved)
    saved.mkdir()
    write_encoder(saved, num_labels=3)
    BertModel.from_pretrained(saved).save_pretrained(saved)
    write_pooling(saved, BertModel.from_pretrained(saved).config.hidden_size)
    return run


def test_what_makes_vectors_can_be_written(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    with pytest.raises(SpecError, match="the student is a BertModel"):
        check_onnx(tmp_path)
    (tmp_path / "modules.json").write_text("[]")
    check_onnx(tmp_path)


def test_the_time_of_a_pass_is_measured_without_a_graph(run, tmp_path, capsys):
    to = tmp_path / "out"
    assert main(["export", str(run), str(to), *OF, "--measure"]) == 0, capsys.readouterr().err
    facts = json.loads((to / "raykd.json").read_text())
    assert facts["pass_ms"] > 0
    assert facts["size_bytes"] == (to / "model.safetensors").stat().st_size
    assert facts["onnx"] is None
    card = (to / "README.md").read_text()
    assert f"| time | {facts['pass_ms']:.2f} ms for 1 text of 64 tokens" in card
    assert f"| size of its weights | {facts['size_bytes'] / 1e6:.1f} MB |" in card
    assert not (to / "onnx").exists()


def test_what_writes_text_is_timed_and_an_adapter_is_not(run, tmp_path, capsys):
    write_decoder(tmp_path / "decoder", bpe_tokenizer(["the film was good"]), seed=1)
    assert measure(tmp_path / "decoder").ms > 0
    adapter = with_students(tmp_path / "run")
    (adapter / place_of("glue/rte", "kd") / "adapter_config.json").write_text("{}")
    assert main(["export", str(adapter), str(tmp_path / "out"), *OF, "--measure"]) == 2
    assert "is an adapter, and --measure times whole models" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_of_the_machine_is_in_the_graph(exported):
    for path in (exported / "onnx").iterdir():
        content = path.read_bytes()
        assert b"site-packages" not in content
        assert str(Path(__file__).parents[3]).encode() not in content


@pytest.mark.slow
def test_a_graph_that_computes_something_else_is_not_given_on(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_files, "TOLERANCE", -1.0)
    assert main(["export", str(run), str(tmp_path / "out"), *OF, "--onnx"]) == 2
    assert "computes something else" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_generates_and_adapters_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"]}')
    with pytest.raises(SpecError, match="the student is a GPT2LMHeadModel"):
        check_onnx(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(SpecError, match="is an adapter"):
        write_onnx(tmp_path, int8=False)


def test_without_the_extra_one_message_says_what_to_install(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_files, "PACKAGES", ("nosuchonnx",))
    assert main(["export", str(run), str(tmp_path / "out"), *OF, "--onnx"]) == 4
    assert "raykd[onnx]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_names_the_graphs(run, tmp_path, capsys):
    assert main(["export", str(run), str(tmp_path / "out"), *OF, "--int8", "--dry-run"]) == 0
    assert "  onnx/model_int8.onnx  to be made" in capsys.readouterr().out
