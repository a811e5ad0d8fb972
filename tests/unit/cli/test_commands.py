from __future__ import annotations

import json
import re

import pytest
from typer._completion_classes import BashComplete
from typer.main import get_command

from raykd.cli.main import _app, main
from raykd.cli.names import LISTED
from raykd.spec.reference import SECTIONS, file_key
from tests.synthetic_run import write_run
from tests.unit.spec import sample_method  # code that runs already is not asked about
from tests.unit.spec.files import ARMS, HEAD, write

assert sample_method.METHOD


def test_validate_shows_the_plan(tmp_path, capsys):
    path = write(tmp_path, HEAD + ARMS + "    alpha: {uniform: [0, 1]}\n    scale: 2\n")
    assert main(["validate", str(path), "--set", "search.trials=4"]) == 0
    out = capsys.readouterr().out
    assert "1 x 2 = 2 studies (task x arm), 8 trials, 10 confirm runs" in out
    assert "uniform [0, 1]" in out
    assert "loguniform [1e-05, 0.0001]" in out


def test_validate_in_json(tmp_path, capsys):
    path = write(tmp_path, HEAD + ARMS + "    alpha: {uniform: [0, 1]}\n    scale: 2\n")
    assert main(["validate", str(path), "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    study = plan["studies"][0]
    assert (study["task"], study["arm"], study["metric"]) == ("toy/sentiment", "one", "accuracy")
    assert study["searched"] == {"alpha": "uniform [0, 1]", "lr": "loguniform [1e-05, 0.0001]"}
    assert study["fixed"] == {"scale": "2"}


def test_a_valid_file_is_shown_next_to_a_broken_one(tmp_path, capsys):
    path = write(tmp_path, HEAD + ARMS)
    assert main(["validate", str(path), str(tmp_path / "absent.yaml")]) == 2
    out, err = capsys.readouterr()
    assert "valid; " in out
    assert err.count("error: ") == 1


def test_show_a_method(capsys):
    assert main(["show", "kd"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("method kd: ")
    assert "reads from the teacher  logits" in out
    assert "[0, 1]" in out
    assert "temperature" in out


def test_show_in_json_and_drawn(capsys):
    assert main(["show", "asha", "--format", "json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page["kind"] == "scheduler"
    assert page["parameters"][0]["name"] == "grace_period"
    assert main(["show", "asha", "--format", "rich"]) == 0
    assert "grace_period" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["toy/sentiment", "bert", "tpe", "ckd"])
def test_show_has_a_page_for_every_kind(capsys, name):
    assert main(["show", name]) == 0
    assert f" {name}" in capsys.readouterr().out.splitlines()[0]


def test_a_name_of_two_kinds_has_two_pages(capsys):
    assert main(["show", "none"]) == 0
    out = capsys.readouterr().out
    assert "method none" in out
    assert "scheduler none" in out


def test_show_suggests_a_near_name(capsys):
    assert main(["show", "ckdd"]) == 2
    assert "did you mean 'ckd'?" in capsys.readouterr().err


def test_ls(capsys):
    assert main(["ls"]) == 0
    assert "methods: " in capsys.readouterr().out
    assert main(["ls", "methods"]) == 0
    assert {"none", "kd", "ckd"} <= set(capsys.readouterr().out.split())
    assert main(["ls", "tasks", "--format", "json"]) == 0
    assert "glue/rte" in json.loads(capsys.readouterr().out)["names"]


def test_ls_runs_has_the_newest_first(tmp_path, monkeypatch, capsys):
    import os

    monkeypatch.chdir(tmp_path)
    for age, name in ((10, "old"), (0, "new")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "env.json").write_text("{}")
        os.utime(tmp_path / "runs" / name, (1000 - age, 1000 - age))
    assert main(["ls", "runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["runs/new", "runs/old"]
    assert "cannot be read: " in lines[0]


def test_ls_runs_tells_what_became_of_them(tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    write_run(tmp_path / "runs" / "mine")
    monkeypatch.chdir(tmp_path)
    assert main(["ls", "runs"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert re.match(r"runs/mine  \d{4}-\d\d-\d\d \d\d:\d\d  (done|interrupted)  ", line)
    assert "beats" in line or "apart" in line or "ahead" in line or "No " in line


def test_ls_says_in_a_line_what_each_thing_is(capsys):
    for kind in ("methods", "families", "algorithms", "schedulers"):
        assert main(["ls", kind]) == 0
        for line in capsys.readouterr().out.splitlines():
            assert re.match(r"[a-z0-9_-]+ +[A-Z0-9].{5,}", line)
    assert main(["ls", "tasks"]) == 0
    assert any(line.startswith("glue/rte ") and len(line) > 20
               for line in capsys.readouterr().out.splitlines())  # fmt: skip


def test_init_copies_a_search_space_that_validates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert capsys.readouterr().out == "quickstart.yaml\n"
    assert main(["validate", "quickstart.yaml", "-q"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["schema"]) == 0
    assert (tmp_path / "schema.json").read_text() == capsys.readouterr().out
    first = (tmp_path / "quickstart.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=schema.json"


def test_init_leaves_another_schema_alone_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    assert main(["init", "ckd_glue"]) == 0
    assert "another one" not in capsys.readouterr().err
    (tmp_path / "schema.json").write_text("{}")
    assert main(["init", "stark_glue"]) == 0
    assert "schema.json is another one; raykd schema > schema.json" in capsys.readouterr().err
    assert (tmp_path / "schema.json").read_text() == "{}"


def test_init_never_overwrites(tmp_path, capsys):
    target = tmp_path / "a.yaml"
    target.write_text("mine")
    assert main(["init", "ckd_glue", "-o", str(target)]) == 2
    assert target.read_text() == "mine"
    assert "exists already" in capsys.readouterr().err


def test_init_into_a_missing_folder_and_of_an_unknown_name(tmp_path, capsys):
    assert main(["init", "-o", str(tmp_path / "a" / "b.yaml")]) == 4
    assert main(["init", "quickstrat"]) == 2
    assert "did you mean 'quickstart'?" in capsys.readouterr().err


def test_env(capsys):
    assert main(["env", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert all(shown["packages"][name] for name in ("raykd", "ray", "torch", "optuna"))
    assert shown["disk_free_bytes"]["."] > 0
    assert main(["env"]) == 0
    assert "transformers" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*SECTIONS, "train", "finetune"])
def test_show_has_a_page_for_every_section_of_a_file(capsys, name):
    assert main(["show", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"section {name}: ")
    keys = SECTIONS[name].model_fields if name in SECTIONS else ["epochs", "lr"]
    for key in keys:
        [line] = [x for x in out.splitlines() if x.startswith(f"  {file_key(key)} ")]
        assert line.rstrip().endswith(".")


def test_show_tells_defaults_and_bounds_of_keys(capsys):
    assert main(["show", "confirm"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"top_k +1 +a whole number >= 1 <= 1000 +Configurations of each arm", out)
    assert re.search(r"seeds +\[1, 2, 3, 4, 5\] +a list or a mapping +The fresh seeds", out)


def test_show_says_why_a_module_is_no_method(tmp_path, monkeypatch, capsys):
    (tmp_path / "methods_without_one").mkdir()
    (tmp_path / "methods_without_one" / "bad2.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["show", "methods_without_one.bad2"]) == 2
    assert "module 'methods_without_one.bad2' defines no METHOD" in capsys.readouterr().err


def test_a_method_of_a_user_needs_no_paper(tmp_path, monkeypatch, capsys):
    (tmp_path / "methods_without_paper").mkdir()
    (tmp_path / "methods_without_paper" / "mine.py").write_text(
        "from raykd.methods.base import Method, OutputSpec\n"
        "from raykd.methods.none import Params\n"
        "class METHOD(Method[Params]):\n"
        "    title, requires = 'mine', OutputSpec()\n"
        "    def loss(self, batch, student, teacher): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["show", "methods_without_paper.mine"]) == 0
    assert re.search(r"paper:? +none", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        (["show"], "ck", {"ckd", "ckd_adaptive"}), (["show"], "glue/rt", {"glue/rte"}),
        (["show"], "confi", {"confirm"}),
        (["init"], "quick", {"quickstart", "quickstart_lm", "quickstart_repeats"}),
        (["ls"], "", {*LISTED}), (["trial", "space.yaml", "--arm"], "", {"none", "one"}),
        (["sweep", "--resume"], "runs/", {"runs/mine"}),
    ],
)  # fmt: skip
def test_the_shell_completes_names(tmp_path, monkeypatch, words, incomplete, offered):
    write(tmp_path, HEAD + ARMS)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "env.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    completion = BashComplete(get_command(_app()), {}, "raykd", "_RAYKD_COMPLETE")
    actual = {item.value for item in completion.get_completions(words, incomplete)}
    assert actual == offered
