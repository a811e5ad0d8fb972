"""A student is put on a hub that is a server on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants as constants
import pytest

from raykd.cli.main import main
from tests.model_hub import TOKEN, model_hub
from tests.unit.export.test_export import place_of, with_students

OF = ["--task", "glue/rte", "--arm", "ckd"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return with_students(tmp_path_factory.mktemp("runs") / "ckd_glue-20260101-000000")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with model_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # that is another protocol
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


def push(run: Path, to: Path, *more: str, name: str = "team/student") -> int:
    return main(["export", str(run), str(to), *OF, "--push-to-hub", name, *more])


def test_the_files_get_there_as_they_are_and_only_the_owner_sees_them(run, hub, tmp_path, capsys):
    to = tmp_path / "out"
    assert push(run, to) == 0
    assert f"hub: {hub.address}/team/student (private)" in capsys.readouterr().out
    assert hub.repositories == {"team/student": "private"}
    written = {p.name: p.read_bytes() for p in to.iterdir()}
    assert {path: content for (_, path), content in hub.files.items()} == written
    assert hub.objects  # the card is large enough to go the other way


def test_it_is_public_on_request(run, hub, tmp_path, capsys):
    assert push(run, tmp_path / "out", "--public", name="mine") == 0
    assert hub.repositories == {"me/mine": "public"}
    assert "(public)" in capsys.readouterr().out


def test_a_dry_run_says_what_would_go_and_does_nothing(run, hub, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert push(run, tmp_path / "out", "--dry-run") == 0
    output = capsys.readouterr().out
    assert "hub: team/student (private), not made" in output
    assert not (tmp_path / "out").exists()
    assert hub.repositories == {}
    assert main(["export", str(run), str(tmp_path / "out"), *OF]) == 0
    sizes = {p.name: p.stat().st_size for p in (tmp_path / "out").iterdir()}
    for name, size in sizes.items():
        assert f"  {name}  {size:,} bytes" in output
    assert f"4 files, {sum(sizes.values()):,} bytes" in output


def test_for_programs_the_plan_is_a_record(run, hub, tmp_path, capsys):
    assert push(run, tmp_path / "out", "--dry-run", "--format", "json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["hub"], plan["arm"]) == ("team/student", "ckd")
    assert set(plan["files"]) == {"config.json", "model.safetensors", "README.md", "raykd.json"}


@pytest.mark.parametrize("name", ["team/student", "mine"])
def test_a_name_that_is_taken_is_refused_before_anything_is_written(
    name, run, hub, tmp_path, capsys
):
    whole = name if "/" in name else f"me/{name}"
    hub.repositories[whole] = "private"
    assert push(run, tmp_path / "out", name=name) == 2
    assert f"there is '{whole}' on the hub already" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
    assert push(run, tmp_path / "out", name="team/other") == 0  # the same command, another name


def test_a_token_that_the_hub_does_not_know_is_refused_before_anything_is_written(
    run, hub, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    assert push(run, tmp_path / "out") == 4
    assert "the hub does not know the token" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def create(status: int, **headers: str):
    """What makes the hub answer the creation of a repository with a status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda hub: hub.answers.update(create=(status, named))


@pytest.mark.parametrize(
    ("before", "code", "message", "made"),
    [
        (create(409), 2, "upload it under another name: hf upload", False),  # taken meanwhile
        (create(403), 4, "the token may not write there", False),
        (create(401, X_Error_Message="Invalid credentials in Authorization header"), 4,
         "the hub does not know the token", False),
        (create(500), 4, "the hub answered 500", False),
        (lambda hub: hub.answers.update(preupload=(403, {"X-Error-Code": "GatedRepo"})), 4,
         "was made, but the files did not get there: it is gated", True),
        (lambda hub: hub.answers.update(commit=(403, {})), 4,
         "was made, but the files did not get there: the token may not write there", True),
    ],
)  # fmt: skip
def test_each_refusal_of_the_hub_is_one_message(
    before, code, message, made, run, hub, tmp_path, capsys
):
    before(hub)
    assert push(run, tmp_path / "out") == code
    output = capsys.readouterr().err
    assert message in " ".join(output.split())
    assert output.count("error:") == 1
    assert "Traceback" not in output
    assert (tmp_path / "out" / "README.md").is_file()  # what was exported stays
    assert ("team/student" in hub.repositories) == made


def test_without_a_token_nothing_is_written(run, hub, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert push(run, tmp_path / "out") == 4
    assert "there is no token for the hub" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_a_network_nothing_is_written(run, hub, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert push(run, tmp_path / "out") == 4
    assert "cannot reach the hub (http://127.0.0.1:9)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a/b/c", "has space", "-x/y", "a..b"])
def test_what_is_no_name_is_refused_before_anything_is_written(name, run, hub, tmp_path, capsys):
    assert push(run, tmp_path / "out", name=name) == 2
    assert f"'{name}' is not a name on the hub" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_an_adapter_of_a_model_in_a_folder_of_this_machine_is_not_published(
    more, hub, tmp_path, capsys
):
    run = adapter_of(tmp_path / "run", "/home/jdoe/bert")
    assert push(run, tmp_path / "out", *more) == 2
    output = " ".join(capsys.readouterr().err.split())
    assert "adapter of the model in '/home/jdoe/bert'" in output
    assert "student: {lora: {save: merged}}" in output
    assert not (tmp_path / "out").exists()
    assert hub.repositories == {}
    assert main(["export", str(run), str(tmp_path / "out"), *OF]) == 0


def test_an_adapter_of_a_model_of_the_hub_is_published(hub, tmp_path):
    assert push(adapter_of(tmp_path / "run", "google-bert/bert"), tmp_path / "out") == 0
    assert ("team/student", "adapter_config.json") in hub.files


def adapter_of(folder: Path, base: str) -> Path:
    """A run whose student is an adapter of a model."""
    run = with_students(folder)
    config = {"base_model_name_or_path": base, "peft_type": "LORA"}
    (run / place_of("glue/rte", "ckd") / "adapter_config.json").write_text(json.dumps(config))
    return run


def test_public_alone_is_refused(run, tmp_path, capsys):
    assert main(["export", str(run), str(tmp_path / "out"), "--public"]) == 2
    assert "--public goes with --push-to-hub" in capsys.readouterr().err


@pytest.mark.slow
def test_the_endpoint_of_the_environment_is_used(run, tmp_path):
    with model_hub() as hub:
        env = {**os.environ, "HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN,
               "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}  # fmt: skip
        command = [sys.executable, "-m", "raykd", "export", str(run), str(tmp_path / "out"), *OF]
        subprocess.run([*command, "--push-to-hub", "team/x"], env=env, check=True)
        assert ("team/x", "model.safetensors") in hub.files
