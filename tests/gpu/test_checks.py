"""The checks for a GPU (`python -m tests.gpu`): on one where there is one, and tried without."""

from __future__ import annotations

import pytest
import torch

from tests.gpu import __main__ as command
from tests.gpu import checks
from tests.gpu.checks import CHECKS, CheckFailed, Given
from tests.gpu.figures import FIGURES


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("name", [*CHECKS, *FIGURES])
def test_it_holds_on_a_gpu(name):
    {**CHECKS, **FIGURES}[name](Given(torch.device("cuda:0")))


@pytest.mark.slow
def test_the_command_prints_a_table_of_what_holds(capsys):
    names = [name for name in (*CHECKS, *FIGURES) if name != "slots"]
    assert command.main([*names, "--device", "cpu", "--small"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CPU, torch ")
    assert [line.split()[:2] for line in lines if " ok " in line] == [[n, "ok"] for n in names]
    assert lines[-1] == "all of it holds"


@pytest.mark.slow
def test_two_slots_share_a_device():
    assert command.main(["slots", "--device", "cpu", "--small"]) == 0


def test_what_does_not_hold_is_named_and_the_rest_still_runs(capsys, monkeypatch):
    monkeypatch.setattr(checks, "TOLERANCE", -1.0)
    assert command.main(["parity", "no_waiting", "--device", "cpu", "--small"]) == 1
    lines = capsys.readouterr().out.splitlines()
    first, *others = [line for line in lines if "off the CPU" in line]
    assert first.startswith("parity ")
    assert "FAILED" in first
    # A line for each method: a device is seldom at hand.
    assert [line.split(",")[0].strip() for line in others] == ["ckd", "minillm", "jsd"]
    assert lines[-2].startswith("no_waiting ")
    assert " ok " in lines[-2]
    assert lines[-1] == "failed: parity"


def test_what_raises_is_named_with_its_place_and_the_other_cases_still_run():
    tried = []

    def run(name):
        tried.append(name)
        if name != "b":
            torch.zeros(2) @ torch.zeros(3)

    with pytest.raises(CheckFailed) as caught:
        checks._of_each([("a",), ("b",), ("c",)], run)
    assert tried == ["a", "b", "c"]
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["a", "c"]
    assert "RuntimeError at test_checks.py:" in lines[0]


def test_other_numbers_of_terms_are_no_parity():
    with pytest.raises(CheckFailed, match="2 terms and gradients in place of 1"):
        checks._difference([torch.ones(1)], [torch.ones(1), torch.ones(1)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_the_command_says_what_to_do(capsys):
    assert command.main([]) == 2
    assert "--device cpu --small" in capsys.readouterr().out
