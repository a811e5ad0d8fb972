"""Files of a run folder that are cut, missing, foreign or old: it continues with what is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from optuna.trial import TrialState

from raykd.cli.ls import meaning_of
from raykd.errors import RaykdError
from raykd.results.records import Status
from raykd.results.store import events_in, load_results, write_trials
from raykd.search.study_journal import whole_lines
from raykd.sweep import run_folder
from raykd.sweep.arm_studies import arm_studies, confirm_trial
from raykd.sweep.resume import finished_confirmations, rebuild_studies, settle
from raykd.sweep.search import open_storage
from tests.unit.sweep.specs import TASK, spec
from tests.unit.sweep.test_resume import Driver, save

TAIL = 4096
FOREIGN = (b"\x89PNG\r\n\x00\xff foreign", b'{"some": "object"}\n', b"\0" * 100, b"")
ENDS = (Status.COMPLETED, Status.FAILED, Status.PRUNED, Status.COMPLETED, None)


def one_run(folder):
    """Two arms with trials of every end, one open, and two confirm runs."""
    folder.mkdir()
    run = run_folder.create(folder, spec(), "", "", "none")
    driver = Driver(run, spec())
    for arm in ("kd", "hot"):
        for k, end in enumerate(ENDS):
            config = driver.start(arm)
            if end is None:
                continue
            study = driver.arms[arm].study
            study.report(arm, 1.0, 0.5 + k / 10)
            driver.record(config, end, accuracy=0.5 + k / 10)
            if end is Status.COMPLETED:
                study.complete(arm, [0.5 + k / 10])
            elif end is Status.FAILED:
                study.fail(arm)
            else:
                study.prune(arm)
    for seed in (1, 2):
        config = confirm_trial(spec(), run, driver.arm_study("kd"), 0, seed, {"alpha": 0.3})
        driver.begin(config)
        driver.record(config, Status.COMPLETED, accuracy=0.5)
        if config.save_path:
            save(config)
    driver.log.emit("sweep_finished", status="interrupted")
    write_trials(run, load_results(run).trials)
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return one_run(tmp_path_factory.mktemp("made") / "runs")


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / made.name))


def resumed(run):
    """What a driver does to the studies; what it says, and every trial of every study after it."""
    notes: list[str] = []
    storage = open_storage(run, notes.append)
    rebuild_studies(spec(), run, arm_studies(spec()), storage, notes.append)
    driver = Driver(run, spec(), storage)
    settle(run, driver.arm_studies, driver.arms)
    trials = {
        arm: [
            (t.number, t.state, dict(t.params), t.values) for t in actual.study.study.get_trials()
        ]
        for arm, actual in driver.arms.items()
    }
    return notes, trials


def on_record(run, arm):
    """State and parameters by number, as the log has them."""
    states = {
        Status.COMPLETED: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED,
        Status.FAILED: TrialState.FAIL, Status.INTERRUPTED: TrialState.WAITING,
    }  # fmt: skip
    return {
        t.number: (states[t.status], {n: t.params[n] for n in ("alpha", "lr")})
        for t in load_results(run).of(TASK, arm, "search")
    }


def agree(run, trials):
    for arm in ("kd", "hot"):
        known = on_record(run, arm)
        for number, state, chosen, _ in trials[arm]:
            if number in known:
                assert (state, chosen) == known[number]
            else:
                assert state is TrialState.WAITING
        assert set(known) <= {number for number, *_ in trials[arm]}


def test_a_whole_run_is_resumed_without_a_word(run):
    before = (run / "studies.journal").read_bytes()
    notes, trials = resumed(run)
    assert not notes
    assert (run / "studies.journal").read_bytes().startswith(before)
    agree(run, trials)


def test_a_log_that_is_cut_anywhere_is_read_up_to_there(run):
    path = run / "events.jsonl"
    whole = path.read_bytes()
    every = events_in(whole.decode().splitlines(keepends=True), "log")[0]
    for cut in range(max(0, len(whole) - TAIL), len(whole)):
        left = whole[:cut]
        events, torn = events_in(left.decode(errors="replace").splitlines(keepends=True), "log")
        is_whole_line = whole[cut : cut + 1] == b"\n"
        assert events == every[: left.count(b"\n") + is_whole_line]
        assert torn == (not is_whole_line and not left.endswith(b"\n") and cut > 0)
        if cut % 97 == 0:
            path.write_bytes(left)
            notes = load_results(run).notes
            assert any("had no end" in note for note in notes) == bool(torn)


def test_a_journal_that_is_cut_anywhere_keeps_its_whole_lines(run):
    whole = (run / "studies.journal").read_bytes()
    for cut in range(max(0, len(whole) - TAIL), len(whole)):
        is_cut = not whole[:cut].endswith(b"\n") and cut > 0
        assert whole_lines(whole[:cut]) == (whole[: whole.rfind(b"\n", 0, cut) + 1], is_cut)


@pytest.mark.parametrize("name", ["studies.journal", "events.jsonl"])
def test_studies_agree_with_the_log_wherever_one_of_them_was_cut(run, name):
    """After every line: what is between two ends of lines is dropped by `repair` alone."""
    whole = (run / name).read_bytes()
    journal, log = (run / "studies.journal").read_bytes(), (run / "events.jsonl").read_bytes()
    ends = [k + 1 for k, byte in enumerate(whole) if byte == 10]
    for end in [0, *(e for e in ends if e > len(whole) - TAIL)]:
        for zeros in (b"", b"\0" * 40):
            (run / "studies.journal").write_bytes(journal)
            (run / "events.jsonl").write_bytes(log)
            (run / name).write_bytes(whole[:end] + zeros)
            agree(run, resumed(run)[1])


@pytest.mark.parametrize(
    "content", [None, *FOREIGN], ids=["missing", "binary", "object", "zeros", "empty"]
)
def test_studies_that_are_lost_are_made_again_from_the_log(run, content):
    path = run / "studies.journal"
    _, before = resumed(run)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    notes, after = resumed(run)
    assert {arm: trials for arm, trials in after.items() if arm != "none"} == {
        arm: trials for arm, trials in before.items() if arm != "none"
    }
    assert any("made again from events.jsonl" in note for note in notes)
    if content and content.strip(b"\0"):
        assert any("studies.journal.unreadable" in note for note in notes)
        assert (run / "studies.journal.unreadable").read_bytes() == content
    assert not resumed(run)[0]


def test_operations_that_do_not_follow_each_other_are_moved_aside(run):
    path = run / "studies.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))  # the studies' beginning is gone
    notes, trials = resumed(run)
    assert any("made again" in note for note in notes)
    agree(run, trials)


def test_a_search_that_continued_with_a_study_made_again_draws_what_it_would_have(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    (other / "studies.journal").unlink()
    drawn = []
    for folder in (run, other):
        resumed(folder)
        driver = Driver(folder, spec())
        drawn.append([driver.start(arm).coefficients for arm in ("kd", "hot") for _ in range(3)])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("name", ["env.json", "resolved.json"])
def test_what_a_run_cannot_do_without_is_refused_and_left_alone(run, name):
    path = run / name
    whole = path.read_bytes()
    for cut in range(max(0, len(whole) - TAIL), len(whole)):
        with pytest.raises(json.JSONDecodeError):
            json.loads(whole[:cut])  # so that no cut is taken for a whole file
    broken = [whole[:cut] for cut in range(0, len(whole), 53)]
    for content in [*broken, *FOREIGN]:
        path.write_bytes(content)
        refused(run, name)
    path.unlink()
    refused(run, name)
    path.mkdir()
    refused(run, name)


def refused(run, name):
    for read in (load_results, run_folder.reopen):
        with pytest.raises(
            RaykdError, match=name.replace(".", r"\.") + "|not a run folder|of no version"
        ):
            read(run)
    assert meaning_of("runs", str(run)).startswith("cannot be read: ")


def test_a_resolved_search_space_that_is_cut_is_said_to_be(run):
    path = run / "resolved.yaml"
    whole = path.read_bytes()
    assert not any("resolved.yaml" in note for note in load_results(run).notes)
    for cut in range(max(0, len(whole) - TAIL), len(whole), 50):
        path.write_bytes(whole[:cut])
        assert any("resolved.yaml was cut" in note for note in load_results(run).notes)


def test_another_version_is_refused_by_its_name(run):
    env = json.loads((run / "env.json").read_text())
    for version, reads in ((3, (load_results, run_folder.reopen)), (1, (run_folder.reopen,))):
        (run / "env.json").write_text(json.dumps({**env, "version": version}))
        for read in reads:
            with pytest.raises(RaykdError, match=f"version {version}, this raykd"):
                read(run)


def test_the_table_of_trials_is_derived_and_may_be_anything(run):
    before = load_results(run)
    for content in FOREIGN:
        (run / "trials.parquet").write_bytes(content)
        assert load_results(run) == before


def test_a_saved_student_that_is_cut_is_trained_again(run):
    weights = next((run / "checkpoints").rglob("model.safetensors"))
    whole = weights.read_bytes()
    assert len(finished_confirmations(run)) == 2
    for cut in (0, 5, len(whole) // 2, len(whole) - 1):
        weights.write_bytes(whole[:cut])
        assert len(finished_confirmations(run)) == 1
