"""The command that repeats a run is shown whole, without what is of the machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import typer

from raykd.cli.main import _app
from raykd.export.chosen import choose
from raykd.export.command import OPTIONS_WITH_VALUE, public_command
from raykd.export.model_card import model_card
from raykd.export.student import provenance_of
from raykd.results.store import load_results
from tests.unit.export.test_export import with_students


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return with_students(tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("raykd sweep /home/me/spaces/x.yaml --out /home/me/runs --address 10.1.2.3:6379",
         "raykd sweep x.yaml"),
        ("raykd sweep x.yaml --set data.root=/home/me/data --set=train.epochs=3 --trials 5 "
         "--smoke", "raykd sweep x.yaml --set data.root=data --set train.epochs=3 --trials 5 "
         "--smoke"),
        ("raykd sweep x.yaml --set teacher.endpoint=http://10.1.2.3:8000/v1 "
         "--set loggers=[mlflow]", "raykd sweep x.yaml --set 'teacher.endpoint=(address)'"),
        ("raykd sweep --set report.path=a.yaml --out=runs --address b.yml --log-file c.yaml x "
         "--set=loggers=[csv] --set loggers_of=1 --no-confirm",
         "raykd sweep x --set report.path=a.yaml --set loggers_of=1"),
        ("raykd sweep --set --trials=1 --seed 3 /home/me/x.yml",
         "raykd sweep x.yml --set --trials=1 --seed 3"),
        ("", "raykd sweep ckd_glue.yaml"), ("raykd sweep 'x", "raykd sweep ckd_glue.yaml"),
    ],
)  # fmt: skip
def test_the_command_is_shown_without_what_is_of_the_machine(command, shown, run):
    result = dataclasses.replace(load_results(run), name="ckd_glue", command=command)
    assert public_command(result) == shown


def test_all_options_of_a_sweep_that_take_a_value_are_known():
    sweep = typer.main.get_command(_app()).commands["sweep"]
    options = [p for p in sweep.params if p.param_type_name == "option" and not p.is_flag]
    assert {p.opts[0] for p in options} == set(OPTIONS_WITH_VALUE)


@pytest.mark.parametrize(
    ("resumed", "words", "totals"),
    [
        ((), "was made by:", []),
        (("raykd sweep --resume /home/me/r",), "was made by:", []),
        (("raykd sweep --resume r --trials 9", "raykd sweep --trials=12 --resume r"),
         "was begun by:", ["9", "12"]),
    ],
)  # fmt: skip
def test_a_run_that_was_resumed_with_other_trials_says_so(resumed, words, totals, run):
    chosen = choose(run, "glue/rte")
    env = {**chosen.result.env, "resumed": [{"command": of} for of in resumed]}
    chosen = dataclasses.replace(chosen, result=dataclasses.replace(chosen.result, env=env))
    card = model_card(chosen)
    assert words in card
    assert ("It was resumed with `--trials 9` and `--trials 12`." in card) == bool(totals)
    assert provenance_of(chosen)["resumed_with_trials"] == totals
