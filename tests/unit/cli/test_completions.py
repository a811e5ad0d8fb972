"""What the shell completes, asked for as the shell does."""

import json
from pathlib import Path

import pytest

from raykd.cli.main import main
from raykd.cli.names import shipped


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run and a search space."""
    run = tmp_path / "runs" / "first-20260101-000000"
    run.mkdir(parents=True)
    (run / "env.json").write_text("{}")
    (run / "resolved.json").write_text(
        json.dumps({"methods": {"none": {}, "kd": {}, "kd_warm": {}}, "tasks": ["glue/rte"]})
    )
    (tmp_path / "mine.yaml").write_text(shipped()["quickstart"].read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(words: str, monkeypatch: pytest.MonkeyPatch, capsys) -> list[str]:
    monkeypatch.setenv("_RAYKD_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    return capsys.readouterr().out.split()


RUN = "runs/first-20260101-000000"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("raykd swe", ["sweep"]),
        ("raykd cluster ch", ["check"]),
        ("raykd init quickstart_", ["quickstart_lm", "quickstart_repeats"]),
        ("raykd ls alg", ["algorithms"]),
        ("raykd show glue/rt", ["glue/rte"]),
        ("raykd report ru", [RUN]),
        ("raykd sweep --resume ru", [RUN]),
        (f"raykd export {RUN} out --arm k", ["kd", "kd_warm"]),
        (f"raykd export {RUN} out --task ", ["glue/rte"]),
        ("raykd export nosuch out --arm k", []),
        ("raykd trial mine.yaml --arm c", ["ckd"]),
        ("raykd trial nosuch.yaml --arm c", []),
        ("raykd report --for", ["--format"]),
        ("raykd report RUN --format ma", ["markdown"]),
    ],
)
def test_names_are_completed(words, names, here, monkeypatch, capsys):
    assert completed(words, monkeypatch, capsys) == names


@pytest.fixture
def named_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Typer takes the shell that is named, in place of the one that runs the tests."""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_script_of_a_shell_is_shown(named_shell, capsys):
    with pytest.raises(SystemExit):
        main(["--show-completion", "bash"])
    assert "complete -o default -F _raykd_completion raykd" in capsys.readouterr().out


def test_it_is_installed_for_the_shell(named_shell):
    with pytest.raises(SystemExit):
        main(["--install-completion", "zsh"])
    assert "_RAYKD_COMPLETE=complete_zsh" in (named_shell / ".zfunc" / "_raykd").read_text()
    assert ".zfunc" in (named_shell / ".zshrc").read_text()
