from __future__ import annotations

import errno
import importlib.metadata
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from typer.main import get_command

import raykd
from raykd.cli import ls
from raykd.cli.main import _app, commands, main
from raykd.errors import SetupError

COMMON = {"--quiet", "--verbose", "--format", "--log-file"}
OPTIONS = {
    "validate": {"--set", "--no-data", "--allow-imports", *COMMON},
    "ls": COMMON,
    "show": COMMON,
    "init": {"--output", "--from", "--teacher", "--label", *COMMON},
    "env": COMMON,
    "report": {
        "--open",
        "--out",
        "--plotlyjs",
        "--markdown",
        "--latex",
        "--figures",
        "--anonymous",
        *COMMON,
    },
    "export": {
        "--task",
        "--arm",
        "--licence",
        "--measure",
        "--teacher-licence",
        "--data-licence",
        "--push-to-hub",
        "--public",
        "--dry-run",
        "--onnx",
        "--int8",
        *COMMON,
    },
    "eval": {
        "--include-path",
        "--shots",
        "--limit",
        "--batch-size",
        "--device",
        "--arm",
        "--predictions",
        *COMMON,
    },
    "sweep": {
        "--set",
        "--out",
        "--resume",
        "--address",
        "--start-from",
        "--submit",
        "--trials",
        "--time-budget",
        "--seed",
        "--isolate",
        "--dry-run",
        "--no-data",
        "--smoke",
        "--no-confirm",
        "--allow-changes",
        "--allow-imports",
        "--insecure",
        *COMMON,
    },
    "cluster check": COMMON,
    "teacher": {"--set", "--list", "--prune", "--allow-imports", *COMMON},
    "trial": {
        "--arm",
        "--task",
        "--param",
        "--trial",
        "--seed",
        "--set",
        "--allow-imports",
        *COMMON,
    },
}


def test_the_version(capsys):
    assert main(["--version"]) == 0
    own, others = capsys.readouterr().out.splitlines()
    assert own == f"raykd {raykd.__version__}"
    assert f"torch {importlib.metadata.version('torch')}" in others.split(", ")


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_of_a_command_are_frozen(name):
    command = get_command(_app())
    for word in name.split():
        command = command.commands[word]
    given = {opt for p in command.params for opt in p.opts if opt.startswith("--")}
    assert given - {"--help"} == OPTIONS[name]


def test_every_command_has_help_and_the_common_options(capsys):
    for name in commands():
        assert main([*name.split(), "--help"]) == 0
        shown = capsys.readouterr().out
        assert all(option in shown for option in COMMON), name


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["ls", "--nosuch"], "No such option: --nosuch"),
        (["validate"], "Missing argument 'FILE...'"),
        (["ls", "method"], "unknown kind 'method'"),
    ],
)
def test_a_usage_error_is_2_on_stderr(capsys, argv, message):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert "Traceback" not in err


def test_a_usage_error_is_all_that_a_process_prints():
    # In a process of its own: here, pytest's handler of log records hides what Python prints.
    done = subprocess.run(
        [sys.executable, "-m", "raykd", "nosuch"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    lines = ["error: No such command 'nosuch'", "       = raykd --help lists what there is"]
    assert done.stderr.splitlines() == lines


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert "validate" in out
    assert err == ""


def test_a_usage_error_in_json(capsys):
    assert main(["ls", "--nosuch", "--format", "json"]) == 2
    shown = json.loads(capsys.readouterr().err)
    assert set(shown) == {"file", "line", "column", "path", "message", "hint"}
    assert shown["hint"] == "raykd ls --help lists what there is"


def failing(monkeypatch, error: BaseException) -> None:
    def raise_it(kind: str, *, spelled: bool) -> list[str]:
        raise error

    monkeypatch.setattr(ls, "names_of", raise_it)


def test_the_exit_code_is_that_of_the_error(monkeypatch, capsys):
    failing(monkeypatch, SetupError("no room", hint="free some"))
    assert main(["ls"]) == 4
    assert capsys.readouterr().err == "error: no room\n       = free some\n"


def test_an_unexpected_error_is_one_line(monkeypatch, capsys):
    failing(monkeypatch, RuntimeError("oh"))
    assert main(["ls"]) == 1
    assert capsys.readouterr().err == (
        "error: RuntimeError: oh\n       = this is a bug in raykd, -v shows where\n"
    )
    assert main(["ls", "-v"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch):
    failing(monkeypatch, KeyboardInterrupt())
    assert main(["ls"]) == 130


def test_a_full_disk_that_nobody_expected_is_the_machines(monkeypatch, capsys):
    from_a_library = RuntimeError("cannot write")
    from_a_library.__cause__ = OSError(errno.ENOSPC, "no space", "/data/file")
    for error in (OSError(errno.ENOSPC, "no space", "/data/file"), from_a_library):
        failing(monkeypatch, error)
        assert main(["ls"]) == 4
        message, hint = capsys.readouterr().err.splitlines()
        assert message == "error: No space left on device: /data/file"
        assert "free some space" in hint


def test_where_no_temporary_file_can_be_made(monkeypatch, capsys):
    # With real folders that cannot be written: tests/chaos/machines.py, as root.
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    def nowhere():
        raise error

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setenv("TMPDIR", "/closed")
    failing(monkeypatch, error)
    assert main(["ls"]) == 4
    message, hint = capsys.readouterr().err.splitlines()
    assert "no folder for temporary files can be written: neither TMPDIR (/closed)" in message
    assert "set TMPDIR" in hint


def test_a_file_that_is_not_there_is_not_the_machines_fault(monkeypatch, capsys):
    failing(monkeypatch, FileNotFoundError(errno.ENOENT, "No such file or directory", "x"))
    assert main(["ls"]) == 1
    assert "this is a bug in raykd" in capsys.readouterr().err


def test_the_log_file_keeps_the_error(monkeypatch, tmp_path, capsys):
    failing(monkeypatch, SetupError("no room"))
    assert main(["ls", "--log-file", str(tmp_path / "log")]) == 4
    assert "no room" in (tmp_path / "log").read_text()
    assert not logging.getLogger("raykd").handlers


def test_a_log_file_that_cannot_be_written(tmp_path, capsys):
    assert main(["ls", "--log-file", str(tmp_path / "a" / "b")]) == 4
    assert "cannot write the log file" in capsys.readouterr().err


NAMED = """
from dataclasses import dataclass
from raykd import LossTerms, Method, OutputSpec

@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    "Nothing."

class Named(Method[Params]):
    "Ein Größenvergleich."
    title = "naïve 漢字"
    reference = "https://example.org"
    requires = OutputSpec()

    def loss(self, batch, student, teacher):
        return LossTerms(task=student.task_loss)

METHOD = Named
"""


def test_a_terminal_without_utf_8_shows_what_it_can(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "named.py").write_text(NAMED, encoding="utf-8")
    asks = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    paths = os.pathsep.join([str(Path(raykd.__file__).parents[1]), str(tmp_path)])
    shown = subprocess.run(
        [sys.executable, "-m", "raykd", "show", "mine.named"],
        env={**os.environ, **asks, "PYTHONPATH": paths}, capture_output=True, check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert rb"na\xefve" in shown.stdout


LOST = """
import sys, threading, time
from raykd.cli import main
from raykd.cli.output import Output
from raykd.errors import ClusterLost
threading.Thread(target=time.sleep, args=(300,)).start()
sys.exit(main._show(ClusterLost("the cluster is lost", hint="continue"), Output()))
"""


def test_a_lost_cluster_ends_the_process_although_threads_still_wait_for_it():
    done = subprocess.run(
        [sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 4
    assert "the cluster is lost" in done.stderr
    assert "continue" in done.stderr


ENDS = """
import atexit, sys, types
sys.modules["ray"] = types.ModuleType("ray")
from raykd.cli import main
def command():
    atexit.register(print, "late")
    {body}
main.main = command
main.run()
"""


@pytest.mark.parametrize(
    ("body", "code"),
    [("return 0", 0), ("return 3", 3), ("sys.exit(7)", 7), ("raise KeyboardInterrupt", 130)],
)
def test_the_process_ends_with_the_code_of_its_command_and_writes_everything(body, code):
    done = subprocess.run(
        [sys.executable, "-c", ENDS.format(body=f"print('said'); {body}")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (code, ["said", "late"], "")


@pytest.mark.parametrize(
    ("redirected", "code", "message"),
    [(">/dev/full", 4, "error: cannot write to <stdout>: No space left on device\n"),
     (">&-", 0, ""), ("| true", 0, "")],
)  # fmt: skip
def test_output_that_cannot_be_written_at_the_end(redirected, code, message, tmp_path):
    script = tmp_path / "ends.py"
    script.write_text(ENDS.format(body="print('said'); return 0").replace(', "late"', ""))
    command = f"set -o pipefail; {sys.executable} {script} {redirected}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, message)


def test_a_cluster_that_could_not_be_left_is_not_waited_for():
    body = "from raykd.clusters import watched; watched.abandoned.set(); print('said'); return 4"
    done = subprocess.run(
        [sys.executable, "-c", ENDS.format(body=body)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (4, "said\n", "")
