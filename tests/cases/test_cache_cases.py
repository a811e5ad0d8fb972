"""Where and how teachers are kept: folders that cannot be written, no home, second runs.

The inputs are those of problems that people report of containers, shared machines and clusters:
nothing is lost after the work, and nothing is done twice.
"""

from __future__ import annotations

import csv
import os
import pwd
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raykd.cli.main import main
from raykd.home_folder import STAND_IN, stand_in
from raykd.teachers import cache_index
from tests.processes import Command
from tests.unit.teachers.test_cache import disk_full

ROOT = Path(__file__).parents[2]
BASE = """\
name: hunt
tasks: [{name: own, path: data, texts: [text], labels: [neg, pos]}]
data: {max_length: 16}
teacher:
  model: {family: bert, layers: 2, hidden: 16, heads: 2, vocabulary: 200, max_positions: 16}
  finetune: {epochs: 2, lr: 1e-3, batch_size: 8}
student:
  model: {family: bert, layers: 1, hidden: 8, heads: 2, vocabulary: 200, max_positions: 16}
train: {epochs: 1, batch_size: 8, lr: 1e-3}
methods: {none: {}, kd: {alpha: 0.5, temperature: 2}}
search: {trials: 1}
confirm: {seeds: [1]}
"""
MORE = "kd: {alpha: 0.5, temperature: 2}, ckd: {ltrdist: 0, ltrangle: 0}}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a search space and its data, which is the current one."""
    (tmp_path / "data").mkdir()
    for split, count in (("train", 40), ("validation", 12)):
        with (tmp_path / "data" / f"{split}.csv").open("w", newline="") as file:
            rows = [(f"the story is {('dull', 'fine')[k % 2]} {k}", ("neg", "pos")[k % 2])
                    for k in range(count)]  # fmt: skip
            csv.writer(file).writerows([("text", "label"), *rows])
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No home and no entry of the user, as container runtimes leave it for a foreign uid."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("HOME", "RAYKD_CACHE", "XDG_CACHE_HOME", STAND_IN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("atexit.register", lambda *work, **how: None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("HOME", "")  # so that what stands in for it goes with the test
    stand_in()


def raykd(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and all that is printed."""
    code = main([*arguments])
    out, err = capsys.readouterr()
    return code, out + err


def place_in(message: str) -> str:
    """The folder of the teacher that a command names."""
    (actual,) = re.findall(r"^teacher: (\S+)$", message, re.MULTILINE)
    return actual


def trained(message: str) -> bool:
    return "finetune 1/2" in message


@pytest.mark.parametrize("place", ["/proc/nope", "file/cache"])
def test_a_cache_that_cannot_be_written_is_reported_before_the_work_whose_purpose_it_is(
    folder, capsys, monkeypatch, place
):
    monkeypatch.setenv("RAYKD_CACHE", place)
    code, message = raykd(capsys, "teacher", "base.yaml")
    assert code == 4
    assert f"the cache of teachers {place} cannot be written: " in message
    assert "set RAYKD_CACHE to a folder that can be written" in message
    assert not trained(message)
    assert "bug" not in message


@pytest.mark.parametrize("place", ["/proc/nope", "file/cache"])
def test_a_trial_continues_without_a_cache_and_says_so_first(folder, capsys, monkeypatch, place):
    monkeypatch.setenv("RAYKD_CACHE", place)
    code, message = raykd(capsys, "trial", "base.yaml", "--arm", "kd")
    assert code == 0
    assert "teachers are not kept" in message
    assert message.index("teachers are not kept") < message.index("finetune 1/2")
    assert "test/accuracy" in message


def test_without_a_home_the_teachers_are_not_kept_and_that_is_reported(folder, capsys, homeless):
    code, message = raykd(capsys, "trial", "base.yaml", "--arm", "none")
    assert code == 0
    assert "there is no home folder to keep prepared teachers in; teachers are not kept" in message
    code, message = raykd(capsys, "teacher", "base.yaml")
    assert code == 4
    assert "there is no home folder" in message
    assert "RAYKD_CACHE" in message
    assert not trained(message)
    code, message = raykd(capsys, "teacher", "--list")
    assert code == 4
    assert "bug" not in message


@pytest.mark.parametrize("name", ["RAYKD_CACHE", "XDG_CACHE_HOME"])
def test_without_a_home_a_folder_that_is_named_will_do(folder, capsys, homeless, monkeypatch, name):
    monkeypatch.setenv(name, str(folder / "named"))
    code, message = raykd(capsys, "teacher", "base.yaml")
    assert code == 0, message
    assert str(folder / "named") in message
    code, message = raykd(capsys, "teacher", "--list")
    assert "1 teachers" in message


@pytest.mark.parametrize("change", ["data.root=~/rows", "teacher.model=~/m", "student.model=~/m"])
def test_a_folder_below_no_home_is_one_that_is_not_there(
    folder, capsys, homeless, monkeypatch, change
):
    monkeypatch.setenv("RAYKD_CACHE", str(folder / "cache"))
    (folder / "base.yaml").write_text(
        BASE.replace("[{name: own, path: data, texts: [text], labels: [neg, pos]}]", "[glue/rte]")
        if change.startswith("data")
        else BASE
    )
    code, message = raykd(capsys, "trial", "base.yaml", "--arm", "none", "--set", change)
    assert code in (2, 3, 4), message
    assert change.partition("=")[2] in message
    assert "bug" not in message


@pytest.mark.slow
def test_a_new_process_without_a_home_works_and_leaves_nothing(folder):
    """Ray asks for the home when it is imported; a user whom the system does not know has none."""
    code = (
        "import pwd\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "from raykd.cli.main import main\n"
        "raise SystemExit(main(['trial', 'base.yaml', '--arm', 'none']))\n"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", STAND_IN)}
    (folder / "tmp").mkdir()
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "tmp")}
    del env["RAYKD_CACHE"]
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "there is no home folder to keep prepared teachers in" in done.stderr
    assert "test/accuracy" in done.stdout
    assert not list((folder / "tmp").glob("raykd-*"))
    assert not list(folder.glob("~*"))


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_home_that_is_no_place_is_none(folder, capsys, homeless, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    code, message = raykd(capsys, "teacher", "--list")
    assert code == 4
    assert "there is no home folder" in message
    assert not (folder / ".cache").exists()


def test_a_disk_that_fills_up_costs_the_cache_and_not_the_trial(folder, capsys):
    with disk_full(30_000):
        code, message = raykd(capsys, "trial", "base.yaml", "--arm", "kd")
    assert code == 0, message
    assert "is not kept for the next time: cannot write the prepared teacher" in message
    with disk_full(30_000):
        code, message = raykd(capsys, "teacher", "base.yaml")
    assert code == 4
    assert "free some space" in message


def test_a_second_run_and_one_more_arm_do_nothing_again(folder, capsys):
    code, message = raykd(capsys, "teacher", "base.yaml")
    assert code == 0
    assert trained(message)
    place = place_in(message)
    code, message = raykd(capsys, "teacher", "base.yaml")
    assert "own: from the cache" in message
    assert not trained(message)
    (folder / "more.yaml").write_text(BASE.replace("kd: {alpha: 0.5, temperature: 2}}", MORE))
    code, message = raykd(capsys, "trial", "more.yaml", "--arm", "ckd")
    assert code == 0
    assert not trained(message)
    assert "what is missing is made: recorded of hidden_states/0, recorded of hidden" in message
    code, message = raykd(
        capsys, "trial", "more.yaml", "--arm", "kd", "--set", "student.model.hidden=4",
        "--set", "teacher.serve=weights",
    )  # fmt: skip
    assert code == 0
    assert not trained(message)
    assert "record" not in message
    code, message = raykd(capsys, "teacher", "base.yaml", "--set", "teacher.finetune.lr=2e-3")
    assert trained(message)
    assert "does not fit: teacher.finetune differ" in message
    # What the cache keeps is a checkpoint like any other.
    used = BASE.replace("  finetune: {epochs: 2, lr: 1e-3, batch_size: 8}\n", "")
    used = used.replace(BASE.split("teacher:\n  ")[1].split("\n")[0], f"checkpoint: {place}", 1)
    (folder / "used.yaml").write_text(used)
    code, message = raykd(capsys, "teacher", "used.yaml")
    assert code == 0, message
    assert not trained(message)
    assert f"teacher: {place}" in message
    code, message = raykd(capsys, "teacher", "--list")
    assert "3 teachers" in message
    assert "none of its own" in message
    code, message = raykd(capsys, "teacher", "--prune", "0")
    assert "deleted the teacher of own" in message
    assert "0 teachers" in message


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_a_configuration_with_lists_is_read_again(folder, capsys, family):
    """Qwen2 names a type of attention for each block; the student made of it is kept, too."""
    sizes = "layers: 2, hidden: 16, heads: 2, vocabulary: 300, max_positions: 64"
    (folder / "text.yaml").write_text(
        "name: text\ntasks: [toy_text/replies]\n"
        "data: {max_length: 48, limit: 24, select_on: {split: validation}}\n"
        f"teacher: {{model: {{family: {family}, {sizes}}}, finetune: {{epochs: 2, lr: 1e-3}}}}\n"
        "student: {from_teacher: {layers: [1], weights: finetuned}}\n"
        "train: {epochs: 1, lr: 1e-3}\nmethods: {sft: {}, kd: {}}\n"
        "search: {trials: 1}\nconfirm: {seeds: [1]}\n"
    )
    actual = []
    for _ in range(2):
        code, message = raykd(capsys, "trial", "text.yaml", "--arm", "kd", "--seed", "3")
        assert code == 0, message
        actual.append((trained(message), message[message.index("epoch 1 ") :]))
    assert [again for again, _ in actual] == [True, False]
    assert actual[0][1] == actual[1][1]


@pytest.mark.parametrize(
    ("task", "method"),
    [("toy_text/replies", "sft: {}"), ("toy_text/replies", "seqkd: {}"),
     ("toy_text/replies", "kd: {kd_ratio: 0}"), ("text", "none: {}")],
)  # fmt: skip
def test_arms_that_read_no_scores_of_tokens_run_a_second_time(folder, capsys, task, method):
    """Nothing at all is recorded of the train rows then."""
    (folder / "data" / "text").mkdir()
    for split, count in (("train", 12), ("validation", 6)):
        words = [f"the story number {k} is fine and very long" for k in range(count)]
        (folder / "data" / "text" / f"{split}.txt").write_text("\n".join(words))
    family = "gpt2" if task.startswith("toy") else "bert"
    sizes = f"family: {family}, layers: 1, hidden: 16, heads: 2, max_positions: 64"
    (folder / "text.yaml").write_text(
        f"name: text\ntasks: [{task}]\n"
        "data: {root: data, max_length: 48, limit: 8, select_on: {split: validation},"
        " report_on: {split: validation}}\n"
        f"teacher: {{model: {{{sizes}, vocabulary: 300}}, finetune: {{epochs: 1, lr: 1e-3}}}}\n"
        f"student: {{model: {{{sizes}, vocabulary: 300}}}}\n"
        f"train: {{epochs: 1, lr: 1e-3}}\nmethods: {{{method}}}\n"
        "search: {trials: 1}\nconfirm: {seeds: [1]}\n"
    )
    arm = method.partition(":")[0]
    actual = []
    for _ in range(2):
        code, message = raykd(capsys, "trial", "text.yaml", "--arm", arm, "--seed", "3")
        assert code == 0, message
        assert not re.search(r"record .* train", message)
        actual.append(("finetune 1/1" in message, message[message.index("epoch 1 ") :]))
    assert [again for again, _ in actual] == [True, False]
    assert actual[0][1] == actual[1][1]


def test_two_that_want_the_same_teacher_make_it_once(folder):
    running = [Command(folder / f"{k}.txt", "teacher", "base.yaml") for k in range(2)]
    codes = [command.wait() for command in running]
    message = [command.output() for command in running]
    assert codes == [0, 0], message
    assert sum(trained(text) for text in message) == 1
    assert sum("own: from the cache" in text for text in message) == 1
    (entry,) = cache_index.entries(folder / "cache")
    assert entry.weights > 0


def test_what_a_killed_process_left_is_shown_and_goes(folder, capsys):
    code = (
        "import sys\nfrom pathlib import Path\nfrom raykd.teachers.locks import CacheLocks\n"
        "with CacheLocks(Path('cache')).atomic_write(Path('cache/entry')) as draft:\n"
        "    (draft / 'model').write_bytes(b'0' * 5_000_000)\n"
        "    print('half', flush=True)\n    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "half\n"
    assert "left half written" not in raykd(capsys, "teacher", "--list")[1]
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, message = raykd(capsys, "teacher", "--list")
    assert "left half written" in message
    assert "5.0 MB" in message
    _, message = raykd(capsys, "teacher", "--prune", "1")
    assert "deleted left half written (5.0 MB)" in message
    assert not list((folder / "cache").glob(".new-*"))


def test_waiting_says_for_what(folder, capsys):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom raykd.teachers.locks import CacheLocks\n"
        "held = CacheLocks(Path('cache')).claim(sys.argv[1])\nprint('held', flush=True)\n"
        "sys.stdin.read()\nheld.release()\n"
    )
    _, message = raykd(capsys, "teacher", "base.yaml")
    name = Path(place_in(message)).parent.name
    raykd(capsys, "teacher", "--prune", "0")
    holder = subprocess.Popen(
        [sys.executable, "-c", code, name], env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    waiting = Command(folder / "waiting.txt", "teacher", "base.yaml")
    held = f"the teacher of own is being made by process {holder.pid} on "
    assert waiting.says(held), waiting.output()
    time.sleep(0.5)
    assert waiting.process.is_alive()
    holder.stdin.close()
    assert waiting.wait() == 0, waiting.output()
    assert trained(waiting.output())  # the other one made nothing
